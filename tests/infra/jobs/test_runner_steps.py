"""Steps of a runner, one by one: what it asks of the scheduler and of the leases, and what it writes into the log."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from apscheduler.triggers.date import DateTrigger

from datingtoday.infra.db import DatabaseDown
from datingtoday.infra.jobs import runner as runner_module
from datingtoday.infra.jobs.registry import Job, Jobs, JobStopped
from datingtoday.infra.jobs.runner import JobRunner
from datingtoday.infra.redis import RedisDown
from tests.infra.recorded_log import RecordedLog

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
DUE = SimpleNamespace(due_in_ms=0, held_ms=0, failures=3)


class Scheduler:
    """Notes what it is asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, ...]] = []
        self.is_daemon: bool | None = None

    def add_job(self, run: Callable[..., object], trigger: object, **options: Any) -> None:
        at = trigger.run_date if isinstance(trigger, DateTrigger) else trigger
        self.asked.append((run, at, options))

    def start(self) -> None:
        self.asked.append(("start",))

    def pause(self) -> None:
        self.asked.append(("pause",))

    def shutdown(self) -> None:
        self.is_daemon = threading.current_thread().daemon
        self.asked.append(("shutdown",))


class Rows:
    """Leases that answer what they are told to, and note what is asked of them."""

    lease_ms = 6_000

    def __init__(self, **answers: Any) -> None:
        self.asked: list[tuple[Any, ...]] = []
        self._answers = answers

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def answer(*args: Any, **options: Any) -> Any:
            self.asked.append((name, *args, *options.values()))
            found = self._answers.get(name, True)
            if isinstance(found, Exception):
                raise found
            return found

        return answer


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> RecordedLog:
    made = RecordedLog()
    monkeypatch.setattr(runner_module, "log", made)
    monkeypatch.setattr(runner_module, "datetime", SimpleNamespace(now=lambda _: NOW))
    return made


class Lab:
    def __init__(self, folder: Path, **answers: Any) -> None:
        self.jobs = Jobs(folder)
        self.rows = Rows(**answers)
        leases: Any = self.rows
        self.runner: Any = JobRunner(self.jobs, leases, threads=2)
        self.defaults = self.runner._scheduler._job_defaults
        self.runner._scheduler = self.scheduler = Scheduler()

    def job(self, run: Callable[[datetime], object] = lambda _: None, name: str = "sweep") -> Job:
        made = Job(name, 60, run)
        self.jobs.register(made)
        return made


def test_each_job_is_looked_at_soon_and_leases_are_renewed_by_thirds(
    tmp_path: Path, log: RecordedLog
) -> None:
    lab = Lab(tmp_path)
    jobs = [lab.job(name=name) for name in ("one", "two")]
    lab.runner.start()
    soon = NOW + timedelta(seconds=0.01)
    assert lab.scheduler.asked == [
        *(
            (lab.runner._attempt, soon, {"args": [job], "id": job.name, "replace_existing": True})
            for job in jobs
        ),
        (lab.runner._renew, "interval", {"seconds": 2.0, "executor": "renewal", "id": "renewal"}),
        ("start",),
    ]
    # Late ones are run whatever the delay, once for all that were missed, and never twice at a time.
    assert lab.defaults == {"misfire_grace_time": None, "coalesce": True, "max_instances": 1}


@pytest.mark.parametrize(("wait_s", "after_s"), [(0, 0.01), (0.001, 0.01), (2.5, 2.5)])
def test_the_next_look_is_no_busy_loop(
    tmp_path: Path, log: RecordedLog, wait_s: float, after_s: float
) -> None:
    lab = Lab(tmp_path)
    lab.runner._look_in(lab.job(), wait_s)
    assert [at for _, at, _ in lab.scheduler.asked] == [NOW + timedelta(seconds=after_s)]


def test_the_end(tmp_path: Path, log: RecordedLog) -> None:
    lab = Lab(tmp_path)
    job = lab.job()
    lab.runner._held.update(("b", "a"))
    assert lab.runner.stop(60) is True
    assert lab.scheduler.asked == [("pause",), ("shutdown",)]
    assert lab.scheduler.is_daemon, "a job that hangs keeps no process alive"
    assert lab.rows.asked == [("release", "a"), ("release", "b")]
    assert log.lines == [("warning job_left_behind", {"job": name}) for name in ("a", "b")]
    with pytest.raises(JobStopped):
        lab.jobs.checkpoint()
    lab.runner._look_in(job, 0)
    assert len(lab.scheduler.asked) == 2, "nothing is begun any more"


def test_a_lease_that_cannot_be_given_back_is_told(tmp_path: Path, log: RecordedLog) -> None:
    Lab(tmp_path, release=DatabaseDown("away")).runner._give_back("sweep")
    assert log.lines == [("warning job_lease_not_given_back", {"job": "sweep", "reason": "away"})]


@pytest.mark.parametrize(
    ("error", "is_unexpected"),
    [(DatabaseDown("away"), False), (RedisDown("away"), False), (ValueError("away"), True)],
)
def test_a_failure_of_the_work(
    tmp_path: Path, log: RecordedLog, error: Exception, is_unexpected: bool
) -> None:
    def fail(_: datetime) -> None:
        assert lab.runner._held == {"sweep"}
        raise error

    lab = Lab(tmp_path, look=DUE)
    assert lab.runner._run_if_due(lab.job(fail)) == 0.01
    assert lab.runner._held == set()
    assert lab.rows.asked == [
        ("look", "sweep"), ("take", "sweep"), ("fail", "sweep", f"{type(error).__name__}: away", 3),
    ]  # fmt: skip
    told = {"job": "sweep", "failures": 4, "exc_info": is_unexpected}
    assert log.lines == [("error job_failed", told)]


@pytest.mark.parametrize("error", [DatabaseDown("away"), RedisDown("away"), ValueError("x")])
def test_a_look_that_fails_is_repeated_after_a_second(
    tmp_path: Path, log: RecordedLog, error: Exception
) -> None:
    lab = Lab(tmp_path, look=error)
    lab.runner._attempt(lab.job())
    assert [at for _, at, _ in lab.scheduler.asked] == [NOW + timedelta(seconds=1)]
    if isinstance(error, ValueError):
        assert log.lines == [("exception job_not_looked_at", {"job": "sweep"})]
    else:
        assert log.lines == [("warning job_not_looked_at", {"job": "sweep", "reason": "away"})]


def test_a_job_that_was_stopped_is_given_back(tmp_path: Path, log: RecordedLog) -> None:
    def stop(_: datetime) -> None:
        raise JobStopped

    lab = Lab(tmp_path, look=DUE)
    assert lab.runner._run_if_due(lab.job(stop)) == 0.01
    assert lab.rows.asked[2:] == [("release", "sweep")]
    assert log.lines == [("info job_stopped", {"job": "sweep"})]


@pytest.mark.parametrize("is_own", [True, False])
def test_a_success(tmp_path: Path, log: RecordedLog, is_own: bool) -> None:
    runs: list[datetime] = []
    lab = Lab(tmp_path, look=DUE, succeed=is_own)
    lab.runner._attempt(lab.job(runs.append))
    assert runs == [NOW]
    assert lab.rows.asked[2:] == [("succeed", "sweep", 60_000)]
    assert log.lines == ([] if is_own else [("warning job_outlived_its_lease", {"job": "sweep"})])
    assert [at for _, at, _ in lab.scheduler.asked] == [NOW + timedelta(seconds=0.01)]


def test_a_success_is_not_repeated_at_the_end(tmp_path: Path, log: RecordedLog) -> None:
    lab = Lab(tmp_path, succeed=DatabaseDown("away"))
    lab.runner._is_stopping.set()
    with pytest.raises(DatabaseDown):
        lab.runner._note_success(lab.job(), "sweep")
    assert len(lab.rows.asked) == 1


@pytest.mark.parametrize(
    ("renewed", "is_held", "told"),
    [
        (True, True, []),
        (False, True, [("warning job_lease_lost", {"job": name}) for name in ("a", "b")]),
        (False, False, []),
        (
            DatabaseDown("away"), True,
            [("warning job_lease_not_renewed", {"job": name, "reason": "away"}) for name in ("a", "b")],
        ),
    ],
)  # fmt: skip
def test_renewals(
    tmp_path: Path, log: RecordedLog, monkeypatch: pytest.MonkeyPatch, renewed: Any, is_held: bool, told: Any
) -> None:
    lab = Lab(tmp_path, renew=renewed)
    lab.runner._held.update(("b", "a"))
    if not is_held:
        # It ends between the look at the held ones and the answer.
        monkeypatch.setattr(lab.rows, "renew", lambda name: lab.runner._held.discard(name), raising=False)
    lab.runner._renew()
    assert log.lines == told
    if is_held:
        assert lab.rows.asked == [("renew", "a"), ("renew", "b")]
