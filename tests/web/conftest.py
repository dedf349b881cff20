"""An application of its own for each set of settings."""

from tests.accounts.conftest import app_with

__all__ = ["app_with"]
