"""Applications whose uploads lie in a folder or in an S3 store."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from datingtoday.infra.storage.s3 import S3Access
from tests.accounts.conftest import app_with
from tests.infra.storage.conftest import s3_access, s3_endpoint
from tests.plugins.api import Api

__all__ = ["app_with", "s3_access", "s3_endpoint"]


@pytest.fixture(params=["local", "s3"])
def stored_api(request: pytest.FixtureRequest, app_of: Callable[..., Api]) -> Api:
    """An application of its own on each store."""
    if request.param == "local":
        return app_of()
    access: S3Access = request.getfixturevalue("s3_access")
    return app_of(
        STORAGE_PROVIDER="s3",
        STORAGE_S3_ENDPOINT=access.endpoint,
        STORAGE_S3_BUCKET=access.bucket,
        STORAGE_S3_REGION=access.region,
        STORAGE_S3_ACCESS_KEY=access.access_key,
        STORAGE_S3_SECRET_KEY=access.secret_key,
    )
