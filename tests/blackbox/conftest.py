"""Real servers for tests from outside."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.cli.running_server import RunningServer

Serve = Callable[..., RunningServer]


@pytest.fixture
def serve(run_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    """``serve(data=None, SECTION_KEY=value)``: a server that starts, on a new data folder or on a used one."""
    folder = run_folder / tmp_path_factory.mktemp("blackbox").name
    numbers = itertools.count()
    with ExitStack() as stack:

        def begin(data: Path | None = None, **settings: Any) -> RunningServer:
            options = ["--migrate"] if "DATABASE_URI" in settings else []
            server = RunningServer(data or folder / f"data{next(numbers)}", *options, **settings)
            stack.callback(server.end)
            return server

        yield begin
