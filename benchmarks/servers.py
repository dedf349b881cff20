"""Starts what a benchmark needs on this machine: MariaDB or MySQL, Redis, and gunicorn as production runs it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.clients import APPKEY, APPSECRET
from tests.plugins.processes import Port, end, spawn, tail_of
from tests.plugins.sql_product import TESTED
from tests.plugins.sql_server import SqlServer
from tests.plugins.tools import program, require_servers

SQL_NAME = TESTED.name
"""SQL server of the benchmarks: MariaDB, or MySQL if ``MYSQLD`` names its program."""
_CORES = sorted(os.sched_getaffinity(0))
"""CPU cores of this machine, before this process leaves one of them."""
_SECRET_KEY = "b0" * 32
SERVER_CORE = 0
"""The worker has this core to itself; databases and the load generator share the others."""
_BUFFER_POOL = "1G"
"""Enough for all of a million people that requests ask for, as docs/deployment tells to give it."""


@dataclass(frozen=True)
class Web:
    """A gunicorn with one worker."""

    port: int
    process: subprocess.Popen[bytes]

    def worker_pid(self) -> int:
        return int(Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()[0])

    def worker_cpu_s(self) -> float:
        """CPU time that the threads that the worker has now have used; to the nanosecond."""
        threads = Path(f"/proc/{self.worker_pid()}/task").glob("*/schedstat")
        return sum(int(thread.read_text().split()[0]) for thread in threads) / 1e9

    def worker_rss_bytes(self) -> int:
        """Resident memory of the worker."""
        pages = int(Path(f"/proc/{self.worker_pid()}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGESIZE")


class _RoomyServer(SqlServer):
    """With memory as in production, where the tests' server has little."""

    def _options(self) -> list[str]:
        return [*super()._options(), f"--innodb-buffer-pool-size={_BUFFER_POOL}"]


@contextmanager
def sql_server(folder: Path) -> Iterator[tuple[str, int]]:
    """A private MariaDB or MySQL; yields the URI of an empty database and the server's pid."""
    require_servers()
    server = _RoomyServer(folder / "sql_server", template=folder / "sql_server-template").start()
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
    require_servers()
    binary = program("redis-server")
    assert binary is not None
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


def product_environ(folder: Path, *, database_uri: str, redis_uri: str) -> dict[str, str]:
    """Settings of the product under measurement: production's, but for limits of requests and profiles per person."""
    return {
        "DATINGTODAY_DATABASE_URI": database_uri,
        "DATINGTODAY_REDIS_URI": redis_uri,
        "DATINGTODAY_APP_APPKEY": APPKEY,
        "DATINGTODAY_APP_APPSECRET": APPSECRET,
        "DATINGTODAY_SECURITY_SECRET_KEY": _SECRET_KEY,
        "DATINGTODAY_LOG_ACCESS": "0",
        "DATINGTODAY_LIMITS_PER_USER_PER_MINUTE": "1000000",
        "DATINGTODAY_LIMITS_PROFILES_PER_HOUR": "10000000",
        "DATINGTODAY_LIMITS_PROFILES_PER_DAY": "10000000",
        "DATINGTODAY_DATA": str(folder / "data"),
        "PYTHONHASHSEED": "0",
    }


def product_command(arguments: Sequence[str], environ: Mapping[str, str]) -> None:
    """Run a command of the product, on all cores; what it says goes to stderr. Ends the program if it fails."""
    program_path = Path(sys.executable).parent / "datingtoday"
    command = ["taskset", "--cpu-list", ",".join(map(str, _CORES)), str(program_path), *arguments]
    done = subprocess.run(command, env={**os.environ, **environ}, stdout=sys.stderr, check=False)
    if done.returncode:
        raise SystemExit(f"datingtoday {' '.join(arguments)} failed")


def _pinned(command: list[str | Path], *, server: bool) -> list[str | Path]:
    if len(_CORES) < 2:
        return command
    chosen = _CORES[SERVER_CORE : SERVER_CORE + 1] if server else _CORES[SERVER_CORE + 1 :]
    return ["taskset", "--cpu-list", ",".join(map(str, chosen)), *command]


def pin_this_process() -> None:
    """The load generator, and what it starts without saying where, leave the server's core alone."""
    if len(_CORES) > 1:
        os.sched_setaffinity(0, _CORES[SERVER_CORE + 1 :])


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
