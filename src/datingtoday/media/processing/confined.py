"""Run a program that reads what strangers sent: with little memory, time and output, and no way to stay.

Decoders are where hostile files do their harm. In a process of their own, a file that makes one run forever,
ask for gigabytes or crash costs that process and nothing else, and what it used is given back at once.
"""

from __future__ import annotations

import contextlib
import math
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

OUTPUT_BYTES = 256 * 1024
"""Limit of a program's output, both streams together."""

# Runs ahead of the program, in its process. A `preexec_fn` would run Python between fork and exec, which can
# deadlock where there are threads; limits that the parent sets after the start would come too late.
_LAUNCHER = """
import os, resource, sys
memory, cpu, written = (int(value) for value in sys.argv[1:4])
for what, soft, hard in (
    (resource.RLIMIT_AS, memory, memory),
    (resource.RLIMIT_CPU, cpu, cpu + 1),
    (resource.RLIMIT_FSIZE, written, written),
    (resource.RLIMIT_NOFILE, 64, 64),
    (resource.RLIMIT_CORE, 0, 0),
):
    resource.setrlimit(what, (soft, hard))
os.nice(5)
os.execv(sys.argv[4], sys.argv[4:])
"""


@dataclass(frozen=True, slots=True)
class Limits:
    memory_bytes: int
    """Address space: code, shared libraries and stacks count too."""
    cpu_s: int
    wall_s: float
    file_bytes: int
    """The largest file that it may write."""


@dataclass(frozen=True, slots=True)
class Outcome:
    returncode: int
    """Negative: the number of the signal that ended it."""
    output: bytes
    errors: bytes
    """The program's error output, for the log; it may quote the file."""
    cut: bool
    """The process was ended for taking too long or printing too much."""

    @property
    def ok(self) -> bool:
        return self.returncode == 0 and not self.cut


def run_confined(argv: Sequence[str], *, folder: Path, limits: Limits, deadline: float = math.inf) -> Outcome:
    """Run `argv` (absolute path first, no shell) inside `folder`, in a session of its own, with nothing of our
    environment. Returns when it has ended; after `limits.wall_s` from the call, or at `deadline` (of the monotonic
    clock) if that is earlier, it is killed with all that it started.
    """
    deadline = min(deadline, time.monotonic() + limits.wall_s)
    command = [
        sys.executable,
        "-I",
        "-S",
        "-c",
        _LAUNCHER,
        str(limits.memory_bytes),
        str(limits.cpu_s),
        str(limits.file_bytes),
        *argv,
    ]
    process = subprocess.Popen(  # noqa: S603 -- no shell, and the file's name is ours
        command,
        cwd=folder,
        env={"LC_ALL": "C.UTF-8", "PATH": os.defpath},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    with process:
        try:
            printed, whole = _collect(process, deadline)
            if whole:
                # Both streams are closed: it has ended or is about to.
                process.wait(timeout=max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            whole = False
        finally:
            if process.returncode is None:
                # Not reaped yet, so that the number still belongs to its group.
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
    return Outcome(process.returncode, printed[0], printed[1], cut=not whole)


def _collect(process: subprocess.Popen[bytes], deadline: float) -> tuple[tuple[bytes, bytes], bool]:
    """Collect the output of both streams, and whether that is all of it."""
    streams = (process.stdout, process.stderr)
    printed = (bytearray(), bytearray())
    with selectors.DefaultSelector() as selector:
        for stream, kept in zip(streams, printed, strict=True):
            if stream is not None:
                selector.register(stream, selectors.EVENT_READ, kept)
        while selector.get_map():
            left_s = deadline - time.monotonic()
            if left_s <= 0 or sum(map(len, printed)) > OUTPUT_BYTES:
                return (bytes(printed[0]), bytes(printed[1])), False
            for ready, _ in selector.select(left_s):
                chunk = os.read(ready.fd, 65536)
                ready.data.extend(chunk)
                if not chunk:
                    selector.unregister(ready.fileobj)
    return (bytes(printed[0]), bytes(printed[1])), True
