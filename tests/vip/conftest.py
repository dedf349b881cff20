"""Fixtures of the tests about VIP and payments."""

from tests.accounts.conftest import app_with, clock

__all__ = ["app_with", "clock"]
