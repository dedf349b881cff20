"""Starts what a benchmark needs on this machine: MariaDB, Redis, and gunicorn as production runs it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.plugins.mariadb_server import MariaDBServer
from tests.plugins.processes import Port, end, spawn, tail_of
from tests.plugins.tools import program

SERVER_CORE = 0
"""The worker has this core to itself; databases and the load generator share the others."""


@dataclass(frozen=True)
class Web:
    """A gunicorn with one worker."""

    port: int
    process: subprocess.Popen[bytes]

    def worker_pid(self) -> int:
        return int(Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()[0])

    def worker_cpu_s(self) -> float:
        """CPU time that the worker has used since it started."""
        fields = Path(f"/proc/{self.worker_pid()}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def worker_rss_bytes(self) -> int:
        """Resident memory of the worker."""
        pages = int(Path(f"/proc/{self.worker_pid()}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGESIZE")


@contextmanager
def mariadb(folder: Path) -> Iterator[tuple[str, int]]:
    """A private MariaDB; yields the URI of an empty database and the server's pid."""
    server = MariaDBServer(folder / "mariadb", template=folder / "mariadb-template").start()
    try:
        yield server.create_database(), server.pid
    finally:
        server.close()


@contextmanager
def redis(folder: Path) -> Iterator[tuple[str, int]]:
    """A private Redis 7 as docs/deployment tells to run it: append-only, fsync each second, no eviction."""
    folder = folder / "redis"
    folder.mkdir()
    socket = folder / "s"
    binary = program("redis-server")
    if binary is None:
        raise SystemExit(
            "redis-server is missing: install Debian's redis-server (as root, make test does it)"
        )
    command: list[str | Path] = [
        binary, "--port", "0", "--unixsocket", socket, "--dir", folder, "--save", "",
        "--appendonly", "yes", "--appendfsync", "everysec",
    ]  # fmt: skip
    process = spawn(_pinned(command, server=False), log=folder / "log")
    try:
        _wait_for(socket.exists, process, folder / "log")
        yield f"unix://{socket}?db=0", process.pid
    finally:
        end(process)


@contextmanager
def gunicorn(
    factory: str, folder: Path, *, environ: dict[str, str], worker_class: str, threads: int
) -> Iterator[Web]:
    """One worker, pinned to a core of its own, so that two applications are compared on the same."""
    port = Port()
    log = folder / f"{factory}.log"
    command: list[str | Path] = [
        Path(sys.executable).parent / "gunicorn", f"benchmarks.apps:{factory}()",
        "--bind", f"127.0.0.1:{port.number}",
        "--workers", "1", "--worker-class", worker_class, "--threads", str(threads), "--keep-alive", "30",
        "--log-level", "warning", "--timeout", "60", "--preload",
    ]  # fmt: skip
    process = spawn(_pinned(command, server=True), log=log, env={**os.environ, **environ})
    try:
        _wait_for(lambda: _answers(port.number), process, log)
        yield Web(port.number, process)
    finally:
        end(process)
        port.release()


def _pinned(command: list[str | Path], *, server: bool) -> list[str | Path]:
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        return command
    chosen = cores[SERVER_CORE : SERVER_CORE + 1] if server else cores[SERVER_CORE + 1 :]
    return ["taskset", "--cpu-list", ",".join(map(str, chosen)), *command]


def pin_this_process() -> None:
    """The load generator leaves the server's core alone."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) > 1:
        os.sched_setaffinity(0, cores[SERVER_CORE + 1 :])


def _answers(port: int) -> bool:
    try:
        urllib.request.urlopen(f"http://127.0.0.1:{port}/hello", timeout=2).close()
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True


def _wait_for(ready: object, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 30
    while not ready():  # type: ignore[operator]
        if process.poll() is not None or time.monotonic() > deadline:
            raise SystemExit(f"a server did not start:\n{tail_of(log, 30)}")
        time.sleep(0.05)
