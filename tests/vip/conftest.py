"""Fixtures of the tests about VIP and payments."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.accounts.conftest import app_with, clock
from tests.vip.shop import Shop

__all__ = ["app_with", "clock"]


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    """Orders without a server; see `tests/vip/shop.py`."""
    shop = Shop(tmp_path)
    yield shop
    shop.close()
    assert shop.unlocked == [], "changed without a lock"
