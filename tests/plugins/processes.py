"""Processes, ports and folders that never outlive the test run, however it ends.

* A process started here dies with the process that started it (parent-death signal), even after ``kill -9``.
* A run's folder is removed at its end; that of a killed run at the start of the next one.
* Ports lie below the range from which the kernel takes the ports of outgoing connections, and are claimed by a
  lock, so that a server that is stopped and started again finds its port free.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO

REDIS_TIMEOUT_S = "3"
"""Ten times the product's default: a busy machine on which Redis stands still for a moment is no failure."""
_ENOUGH_MEMORY_BYTES = 2 << 30
_PORTS = range(21_000, 29_000)

# Tests that were started with nohup, or by a shell in the background, start programs that were not. This becomes the
# program itself, so that the process id is the program's.
_HEAR_SIGNALS = """
import os, signal, sys
for sign in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
    signal.signal(sign, signal.SIG_DFL)
os.execvp(sys.argv[1], sys.argv[1:])
"""
_DIE_WITH_PARENT = (
    """
import ctypes, os, signal, sys
try:
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
except AttributeError:
    pass  # not Linux: there only an orderly end stops the program
if os.getppid() != int(sys.argv[1]):
    os._exit(1)
del sys.argv[1]
"""
    + _HEAR_SIGNALS
)

# The parent-death signal comes when the *thread* ends that started the process; this one lives as long as we do.
_spawner = ThreadPoolExecutor(max_workers=1, thread_name_prefix="spawner")


def hearing(command: Sequence[str | Path]) -> list[str]:
    """The command that starts a program which hears signals, whether or not these tests do."""
    return [sys.executable, "-I", "-S", "-c", _HEAR_SIGNALS, *map(str, command)]


def spawn(
    command: Sequence[str | Path],
    *,
    log: Path,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> subprocess.Popen[bytes]:
    """Start a program that dies with this process; from any thread. Its output is appended to `log`.

    It gets a process group of its own: Ctrl-C reaches it only through us.
    """
    shim = [sys.executable, "-I", "-S", "-c", _DIE_WITH_PARENT, str(os.getpid())]
    with log.open("ab") as output:
        return _spawner.submit(
            subprocess.Popen,
            [*shim, *map(str, command)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=cwd,
            env=env,
            start_new_session=True,
        ).result()


def end(process: subprocess.Popen[bytes], sign: signal.Signals = signal.SIGKILL) -> int:
    """Send the signal, wait (a minute at most, then kill), and return the exit status."""
    if process.poll() is None:
        process.send_signal(sign)
    try:
        return process.wait(timeout=60)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait(timeout=60)


def tail_of(log: Path, lines: int = 15) -> str:
    """The last lines of a log, for messages about servers that did not start."""
    if not log.exists():
        return "(no output)"
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])


def runs_folder() -> Path:
    """Parent of the folders of all runs of this user: in memory if there is room, else on disk."""
    memory = Path("/dev/shm")
    roomy = os.access(memory, os.W_OK) and shutil.disk_usage(memory).free >= _ENOUGH_MEMORY_BYTES
    base = memory if roomy else Path(tempfile.gettempdir())
    folder = base / f"datingtoday-tests-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.stat().st_uid != os.getuid() or folder.is_symlink():
        raise PermissionError(f"{folder} belongs to another user")
    return folder


class RunFolder:
    """The folder of one test run; its lock tells whether the run is still alive."""

    def __init__(self, runs: Path | None = None) -> None:
        runs = runs or runs_folder()
        remove_dead_runs(runs)
        # Short: the path of a Unix socket has room for 107 bytes.
        self.path = runs / f"run-{uuid.uuid4().hex[:8]}"
        self.path.mkdir(mode=0o700)
        self._lock = _lock(self.path / "alive")

    def remove(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)
        if self._lock is not None:
            self._lock.close()
            self._lock = None


def remove_dead_runs(runs: Path) -> list[str]:
    """Remove the folders of runs that were killed; returns their names."""
    removed = []
    for folder in runs.glob("run-*"):
        try:
            lock = _lock(folder / "alive", create=False)
        except FileNotFoundError:
            continue  # just being made by another run, or just removed
        if lock is not None:
            shutil.rmtree(folder, ignore_errors=True)
            lock.close()
            removed.append(folder.name)
    return removed


class Port:
    """A TCP port of 127.0.0.1 that nobody else gets while this object (or the process) lives."""

    number: int

    def __init__(self) -> None:
        claims = runs_folder() / "ports"
        claims.mkdir(mode=0o700, exist_ok=True)
        start = os.getpid() * 16 % len(_PORTS)
        for number in (*_PORTS[start:], *_PORTS[:start]):
            lock = _lock(claims / str(number))
            if lock is None:
                continue
            if _is_free(number):
                self.number = number
                self._lock = lock
                return
            lock.close()
        raise OSError(f"no free port between {_PORTS.start} and {_PORTS.stop - 1}")

    def release(self) -> None:
        self._lock.close()


def _is_free(number: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", number))
        except OSError:
            return False
        return True


def _lock(path: Path, *, create: bool = True) -> IO[bytes] | None:
    """An open, locked file, or None if another user holds its lock. The lock ends with the process."""
    file = path.open("ab" if create else "rb")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file
