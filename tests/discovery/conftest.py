"""Fixtures of the tests of discovery."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.plugins.api import Api


@pytest.fixture
def own(app_of: Callable[..., Api]) -> Iterator[Api]:
    """An application with people of its own, whose attention counts at once."""
    api = app_of(DISCOVERY_HOT_GIVER_DAYS=0)
    yield api
    api.parts.base.database.dispose()
