"""Servers for the tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.cli.running_server import RunningServer, Start


@pytest.fixture
def data(run_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run_folder / tmp_path_factory.mktemp("serve").name / "data"


@pytest.fixture
def start(data: Path) -> Iterator[Start]:
    """Starts servers on one data folder, with limits switched off, and waits until they are ready."""
    with ExitStack() as at_end:

        def begin(*options: str, ready: bool = True, **settings: Any) -> RunningServer:
            server = RunningServer(data, *options, **{"LIMITS_ENABLED": "0"} | settings)
            at_end.callback(server.end)
            return server.wait_until_ready() if ready else server

        yield begin
