"""Fixtures of the tests of chat."""

from tests.accounts.conftest import app_with

__all__ = ["app_with"]
