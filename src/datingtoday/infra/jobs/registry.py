"""Jobs: the work that happens without a request. Features register theirs; `datingtoday worker` runs them."""

from __future__ import annotations

import hashlib
import re
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from datingtoday.infra.jobs.models import NAME_CHARS

_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")


@dataclass(frozen=True, slots=True)
class Job:
    """Work that is done once per period, whatever the number of workers.

    It may be killed at any point and run again, and in rare cases (a worker that hung for longer than its lease) twice
    at the same time: it works in small transactions, each of which is right by itself.

    :param name: lower-case letters, digits and ``_``.
    :param every_s: the period, from the start of one run to the start of the next.
    :param run: called with the time (UTC). What it raises is a failure: it is logged, and the job is tried again after
        a pause, with the same period's end.
    :param per_host: each host does it for itself, because it works on files of its own disk.
    :param has_work: a cheap look that writes nothing; where it says False no run is due. For short periods.
    """

    name: str
    every_s: float
    run: Callable[[datetime], object]
    per_host: bool = False
    has_work: Callable[[datetime], bool] | None = None

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ValueError(f"{self.name!r} is no name of a job")
        if self.every_s <= 0:
            raise ValueError(f"job {self.name}: a period is above 0")


class JobStopped(Exception):
    """The worker ends: the job stops between two transactions, and is done later."""


class Jobs:
    """The jobs of one application.

    :param data_dir: with the host's name it names the disk of jobs that are done per host.
    """

    def __init__(self, data_dir: Path) -> None:
        self._jobs: dict[str, Job] = {}
        self._stopping = threading.Event()
        self._host = _host_name(data_dir)

    def register(self, job: Job) -> None:
        """Add a job.

        :raises RuntimeError: its name is taken.
        """
        if job.name in self._jobs:
            raise RuntimeError(f"two jobs are called {job.name}")
        self._jobs[job.name] = job

    def wrap(
        self, wrapped: Callable[[str, Callable[[datetime], object]], Callable[[datetime], object]]
    ) -> None:
        """Put something around the work of every job. :param wrapped: called with a job's name and work."""
        self._jobs = {name: replace(job, run=wrapped(name, job.run)) for name, job in self._jobs.items()}

    def __iter__(self) -> Iterator[Job]:
        return iter(tuple(self._jobs.values()))

    def __getitem__(self, name: str) -> Job:
        """:raises KeyError: there is no such job."""
        return self._jobs[name]

    def row_name(self, job: Job) -> str:
        """The key of its row in `job_lease`."""
        return f"{job.name}@{self._host}" if job.per_host else job.name

    # --- the worker's end

    def checkpoint(self, *_: object) -> None:
        """Called by long jobs between two transactions; takes any arguments, so that it can be a progress callback.

        :raises JobStopped: the worker is about to end.
        """
        if self._stopping.is_set():
            raise JobStopped

    def stop(self) -> None:
        """Let running jobs stop at their next checkpoint."""
        self._stopping.set()


def _host_name(data_dir: Path) -> str:
    folder = hashlib.sha256(str(data_dir.resolve()).encode()).hexdigest()[:8]
    return f"{socket.gethostname()}:{folder}"[: NAME_CHARS - 41]
