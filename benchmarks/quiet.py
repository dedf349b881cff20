"""CPU time that other processes used during a run, so that a disturbed run is repeated."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

_BUSY = (0, 1, 2, 5, 6, 7)
"""user, nice, system, irq, softirq, steal of /proc/stat."""


class OthersCpu:
    """The share of all cores that processes other than ours were using since it was made."""

    def __init__(self, pids: Iterable[int]) -> None:
        self._pids = list(pids)
        self._busy, self._all = _machine()
        self._ours = _of(self._pids)

    def share(self) -> float:
        """0 to 1."""
        busy, everything = _machine()
        ours = _of(self._pids)
        spent = everything - self._all
        return max(0.0, (busy - self._busy) - (ours - self._ours)) / spent if spent else 0.0


def _machine() -> tuple[int, int]:
    fields = [int(field) for field in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    return sum(fields[index] for index in _BUSY), sum(fields)


def _of(pids: Iterable[int]) -> int:
    total = 0
    for pid in [*pids, os.getpid()]:
        for process in [pid, *_children(pid)] if pid != os.getpid() else [pid]:
            try:
                fields = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
            except OSError:
                continue  # ended meanwhile
            total += int(fields[11]) + int(fields[12])
    return total


def _children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []
