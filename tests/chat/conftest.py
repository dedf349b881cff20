"""Fixtures of the tests of chat."""

from __future__ import annotations

import pytest

from tests.accounts.conftest import app_with
from tests.blackbox.conftest import serve
from tests.chat.room import Room
from tests.plugins.api import Api

__all__ = ["app_with", "serve"]


@pytest.fixture
def room(api: Api) -> Room:
    """Two new people who have not talked yet."""
    return Room(api)
