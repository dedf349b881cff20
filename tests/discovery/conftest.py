"""Fixtures of the tests of discovery."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.plugins.api import Api


@pytest.fixture
def own(app_of: Callable[..., Api]) -> Iterator[Api]:
    """An application with people of its own."""
    api = app_of()
    yield api
    api.parts.base.database.dispose()
