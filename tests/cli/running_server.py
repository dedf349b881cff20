"""A real `datingtoday serve` in a process of its own, for tests from outside."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import requests

from tests.plugins.polling import wait_until
from tests.plugins.processes import REDIS_TIMEOUT_S, Port, end, spawn, tail_of

PROGRAM = Path(sys.executable).with_name("datingtoday")
READY = "Ctrl-C stops the server."


def clean_environ(**more: str) -> dict[str, str]:
    """The environment without settings of ours, speaking English, with compiled modules kept."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("DATINGTODAY_")}
    for name in ("PYTHONDONTWRITEBYTECODE", "LC_ALL", "LC_MESSAGES"):
        environ.pop(name, None)
    return environ | {"LANG": "C.UTF-8", "DATINGTODAY_REDIS_TIMEOUT_S": REDIS_TIMEOUT_S} | more


class RunningServer:
    """Started at once; `wait_until_ready` before use, `end` after it.

    :param settings: as ``SECTION_KEY=value``.
    :param program: of another installation.
    """

    def __init__(
        self,
        data: Path,
        *options: str,
        port: int | None = None,
        program: Path = PROGRAM,
        **settings: str,
    ) -> None:
        self.data = data
        self._port = None if port is not None else Port()
        self.wanted_port = port or (self._port.number if self._port else 0)
        data.parent.mkdir(parents=True, exist_ok=True)
        self.log = data.parent / f"{data.name}.log"
        self.log.unlink(missing_ok=True)
        self.process: subprocess.Popen[bytes] = spawn(
            [program, "serve", "--data", data, "--port", str(self.wanted_port), *options],
            log=self.log,
            cwd=data.parent,
            env=clean_environ(**{f"DATINGTODAY_{name}": value for name, value in settings.items()}),
        )

    @property
    def printed(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")

    @property
    def url(self) -> str:
        found = re.search(r"API +(http://\S+)/api", self.printed)
        assert found, self.printed
        return found[1]

    @property
    def shell_lines(self) -> list[str]:
        return [line for line in self.printed.splitlines() if "curl" in line]

    def wait_until_ready(self, deadline_s: float = 60.0) -> RunningServer:
        """Until the banner stands there and a request is answered."""

        def is_ready() -> bool:
            assert self.process.poll() is None, f"the server ended:\n{tail_of(self.log)}"
            return READY in self.printed

        wait_until(is_ready, f"the banner\n{tail_of(self.log)}", deadline_s=deadline_s)
        self.get("/")
        return self

    def wait_for_workers(self, count: int = 2) -> list[int]:
        """Until there are so many; the first request may be answered before the last worker is there."""
        return wait_until(
            lambda: workers if len(workers := self.workers()) == count else [],
            f"{count} workers",
            deadline_s=30,
        )

    def get(self, path: str, **options: Any) -> requests.Response:
        return requests.get(self.url + path, timeout=30, **options)

    def descendants(self) -> list[int]:
        """Pids of the workers, of the processes beside them, and of Redis."""
        return _descendants(self.process.pid)

    def workers(self) -> list[int]:
        """Pids of those who serve HTTP."""
        beside = {self.redis_pid(), *self.beside().values()}
        return [pid for pid in self.descendants() if pid not in beside]

    def beside(self) -> dict[str, int]:
        """Pids of the processes beside the API workers, by their names (``dt-worker``, …)."""
        names = {pid: _name_of(pid).strip() for pid in self.descendants()}
        return {name: pid for pid, name in names.items() if name.startswith("dt-")}

    def redis_pid(self) -> int | None:
        named = [pid for pid in self.descendants() if "valkey" in _name_of(pid) or "redis" in _name_of(pid)]
        return named[0] if named else None

    def waited_for_cpu_s(self) -> float:
        """Time for which the processes were ready to run while others had the processors (Linux counts it)."""
        delays_ns = []
        for pid in (self.process.pid, *self.descendants()):
            delays_ns.append(int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]))
        return sum(delays_ns) / 1e9

    def stop(self, sign: signal.Signals = signal.SIGTERM) -> int:
        """Send the signal, wait, return the exit code."""
        return end(self.process, sign)

    def end(self) -> None:
        """Whatever state it is in: end it and what belongs to it."""
        end(self.process, signal.SIGTERM)
        if self._port is not None:
            self._port.release()


Start = Callable[..., RunningServer]
"""The fixture `start`: options of the command, settings as ``SECTION_KEY=value``, and ``ready=False`` not to wait."""


def runs(pid: int) -> bool:
    """True while the process runs (a zombie does not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def _descendants(pid: int) -> list[int]:
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except (FileNotFoundError, ProcessLookupError):
        return []
    return [found for child in map(int, children) for found in (child, *_descendants(child))]


def _name_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""
