"""Fixtures of the tests about people's rights."""

from tests.accounts.conftest import app_with

__all__ = ["app_with"]
