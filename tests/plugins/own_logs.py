"""pytest plugin: no test changes for others how the program logs.

A logger that is kept after its first use goes on writing as it did then, and `structlog.testing.capture_logs` in a
later test of the same process captures nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import structlog

_configure = structlog.configure


def _configure_without_keeping(**options: Any) -> None:
    _configure(**{**options, "cache_logger_on_first_use": False})


@pytest.fixture(scope="session", autouse=True)
def loggers_are_not_kept() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(structlog, "configure", _configure_without_keeping)
        yield


@pytest.fixture(autouse=True)
def logs_are_as_before(loggers_are_not_kept: None) -> Iterator[None]:
    before = structlog.get_config()
    yield
    if structlog.get_config() != before:
        _configure(**before)
