"""Three workers on one database, each in a process of its own that is started again when it dies; for tests of faults.

Every job writes a line when it starts and when it ends, has a short period, and waits in its middle while a file named
``hold-JOB`` exists. Arguments: the data folder, the log, the period in seconds.
"""

from __future__ import annotations

import os
import sys
import time
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from datingtoday.app import make_parts
from datingtoday.infra.config.settings import load_settings
from datingtoday.infra.jobs.registry import Job
from datingtoday.infra.logs import configure_logs
from datingtoday.infra.server.child_processes import ChildProcess, ChildProcesses
from datingtoday.worker import run_until_told
from tests.plugins.polling import wait_until


def watched(job: Job, log: Path, every_s: float) -> Job:
    """The job with lines in the log and a place to be held."""

    def note(what: str) -> None:
        with log.open("a", encoding="ascii") as file:
            file.write(f"{what} {job.name} {os.getpid()} {time.time()}\n")

    def run(now: datetime) -> None:
        note("start")
        hold = log.parent / f"hold-{job.name}"
        wait_until(lambda: not hold.exists(), "the test to go on", deadline_s=60)
        job.run(now)
        note("end")

    return replace(job, every_s=every_s, run=run, has_work=None)


def main() -> None:
    data, log, every_s = Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3])
    settings = load_settings(None, data)
    configure_logs(settings.log.level)
    parts = make_parts(settings)
    jobs = parts.base.jobs
    for job in jobs:
        jobs._jobs[job.name] = watched(job, log, every_s)
    workers = ChildProcesses(
        [ChildProcess(f"dt-worker{number}", lambda: run_until_told(parts)) for number in range(3)],
        in_child=lambda: None,
    )
    while True:
        workers.tend()
        _pause()


def _pause() -> None:
    began = time.monotonic()
    wait_until(lambda: time.monotonic() - began > 0.1, "the next look", every_s=0.1)


if __name__ == "__main__":
    main()
