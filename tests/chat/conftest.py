"""Fixtures of the tests of chat."""

from tests.accounts.conftest import app_with
from tests.blackbox.conftest import serve

__all__ = ["app_with", "serve"]
