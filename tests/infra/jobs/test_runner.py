"""Running jobs: several runners on one database, as on several hosts."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import pytest

from datingtoday.infra.db import Database
from datingtoday.infra.jobs.leases import JobState, Leases, read_states
from datingtoday.infra.jobs.registry import Job, Jobs, JobStopped
from datingtoday.infra.jobs.runner import JobRunner
from tests.plugins.backend import Backend
from tests.plugins.polling import wait_until
from tests.plugins.schema import bring_up

Start = Callable[..., JobRunner]
LEASE_MS = 4_500
"""Renewed every 1.5 s: a machine that stands still for 3 s does not end it."""


@pytest.fixture
def database(backend: Backend) -> Database:
    bring_up(backend.database_uri)
    return Database(backend.database_uri, pool_size=12)


@pytest.fixture
def start(database: Database, tmp_path: Path) -> Iterator[Start]:
    """Starts a runner of the given jobs; all are stopped with the test."""
    with ExitStack() as stack:
        numbers = iter(range(100))

        def begin(*jobs: Job, host: str = "", lease_ms: int = 5_000) -> JobRunner:
            registry = Jobs(tmp_path / host)
            for job in jobs:
                registry.register(job)
            leases = Leases(database, f"runner {next(numbers)}", lease_ms=lease_ms)
            runner = JobRunner(registry, leases, threads=4)
            runner.start()
            stack.callback(runner.stop, 3)
            return runner

        yield begin


def state_of(database: Database, name: str) -> JobState:
    """Waits for the row: the first look of a runner makes it."""

    def find() -> JobState | None:
        return next((state for state in read_states(database) if state.name.startswith(name)), None)

    found = wait_until(find, "the row")
    assert found is not None
    return found


def end_of_lease(database: Database) -> int:
    state = state_of(database, "sweep")
    return state.now_ms + state.held_ms


class Runs:
    """Notes when a job ran."""

    def __init__(self) -> None:
        self.starts: list[float] = []

    def __call__(self, now: datetime) -> None:
        assert now.tzinfo is not None
        self.starts.append(time.monotonic())


def test_three_runners_do_a_job_once_per_period(start: Start, database: Database) -> None:
    starts: list[int] = []

    def work(now: datetime) -> None:
        # By the database's clock, which decides: a thread here may be kept waiting for any time.
        starts.append(state_of(database, "sweep").started_ms)

    for _ in range(3):
        start(Job("sweep", 0.3, work))
    wait_until(lambda: len(starts) >= 5, "five runs")
    pauses_ms = [after - before for before, after in pairwise(starts)]
    assert min(pauses_ms) >= 300, "no two runs within a period"
    assert state_of(database, "sweep").runs >= 4


def test_a_job_of_each_host(start: Start, database: Database) -> None:
    one, other = Runs(), Runs()
    start(Job("files", 60, one, per_host=True), host="one")
    start(Job("files", 60, other, per_host=True), host="other")
    wait_until(lambda: one.starts and other.starts, "both hosts to do it")
    assert len({state.name for state in read_states(database)}) == 2


def test_a_failure_is_told_and_tried_again(start: Start, database: Database) -> None:
    tries: list[datetime] = []

    def work(now: datetime) -> None:
        tries.append(now)
        if len(tries) == 1:
            raise ValueError("the first\ntime it fails")

    start(Job("sweep", 60, work))
    wait_until(lambda: state_of(database, "sweep").failures, "the failure")
    assert state_of(database, "sweep").error == "ValueError: the first time it fails"
    wait_until(lambda: state_of(database, "sweep").runs == 1, "the second try")
    assert (len(tries), state_of(database, "sweep").error) == (2, "")


def test_a_job_without_work_takes_no_lease(start: Start, database: Database) -> None:
    runs, has_work = Runs(), threading.Event()
    looks: list[datetime] = []

    def look(now: datetime) -> bool:
        looks.append(now)
        return has_work.is_set()

    start(Job("moves", 0.05, runs, has_work=look))
    wait_until(lambda: len(looks) > 3, "looks")
    assert state_of(database, "moves").started_ms == 0 and not runs.starts
    has_work.set()
    wait_until(lambda: runs.starts, "a run")


def test_a_long_job_keeps_its_lease(start: Start, database: Database) -> None:
    begun, may_end = [], threading.Event()

    def work(now: datetime) -> None:
        begun.append(now)
        may_end.wait(60)

    for _ in range(2):
        start(Job("sweep", 0.1, work), lease_ms=LEASE_MS)
    wait_until(lambda: begun, "the run")
    first = end_of_lease(database)
    wait_until(lambda: end_of_lease(database) > first, "the first renewal, a third of the lease later")
    second = end_of_lease(database)
    wait_until(lambda: end_of_lease(database) > second, "the second renewal")
    assert len(begun) == 1
    may_end.set()


def test_a_stopped_runner_gives_its_work_to_another(start: Start, database: Database, tmp_path: Path) -> None:
    jobs = Jobs(tmp_path)
    begun = threading.Event()

    def steps(now: datetime) -> None:
        begun.set()
        while True:
            jobs.checkpoint("step", 1)
            threading.Event().wait(0.01)

    jobs.register(Job("sweep", 60, steps))
    runner = JobRunner(jobs, Leases(database, "first", lease_ms=60_000), threads=2)
    runner.start()
    assert begun.wait(10)
    assert runner.stop(3), "it stopped at a checkpoint"
    state = state_of(database, "sweep")
    assert (state.holder, state.runs, state.failures) == ("", 0, 0)
    runs = Runs()
    start(Job("sweep", 60, runs))
    wait_until(lambda: runs.starts, "another runner, long before the lease would have ended")


def test_a_job_that_does_not_stop_is_left_behind(database: Database, tmp_path: Path) -> None:
    begun, may_end = threading.Event(), threading.Event()

    def hang(now: datetime) -> None:
        begun.set()
        may_end.wait(60)

    jobs = Jobs(tmp_path)
    jobs.register(Job("sweep", 60, hang))
    runner = JobRunner(jobs, Leases(database, "first", lease_ms=60_000), threads=2)
    runner.start()
    assert begun.wait(10)
    began = time.monotonic()
    assert not runner.stop(0.3)
    assert time.monotonic() - began < 15
    assert state_of(database, "sweep").holder == "", "its lease is free"
    may_end.set()


def test_names_and_periods_are_checked(tmp_path: Path) -> None:
    jobs = Jobs(tmp_path)
    jobs.register(Job("sweep", 1, print))
    with pytest.raises(RuntimeError):
        jobs.register(Job("sweep", 2, print))
    for name, every_s in (("Sweep", 1), ("", 1), ("a" * 41, 1), ("sweep", 0)):
        with pytest.raises(ValueError, match=r"job|name"):
            Job(name, every_s, print)
    jobs.stop()
    with pytest.raises(JobStopped):
        jobs.checkpoint()
