"""Jobs to the millisecond: when one is due, how long a lease lasts, and when nobody is alive any more."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import Integer, literal, update

from datingtoday.infra.db import Base, Database, DatabaseDown
from datingtoday.infra.jobs import runner as runner_module
from datingtoday.infra.jobs import status
from datingtoday.infra.jobs.gauges import JobGauges
from datingtoday.infra.jobs.leases import JobState, Leases
from datingtoday.infra.jobs.models import JobLease
from datingtoday.infra.jobs.registry import Job, Jobs
from datingtoday.infra.jobs.runner import JobRunner
from datingtoday.infra.jobs.status import has_worker, is_worker_alive, overdue_s

NAME = "sweep"
DAY_MS = 86_400_000
NOW = datetime(2026, 11, 29, tzinfo=UTC)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    made = Database(f"sqlite:///{tmp_path}/own.sqlite3")
    Base.metadata.create_all(made.engine, tables=[Base.metadata.tables[JobLease.__tablename__]])
    yield made
    made.dispose()


class Lab:
    """Workers whose database has the time that the test says."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.one, self.other = (Leases(database, name, lease_ms=60_000) for name in ("one", "other"))
        self.at(1_000)
        self.one.ensure([NAME])

    def at(self, ms: int) -> None:
        for leases in (self.one, self.other):
            leases._now = literal(ms, Integer)

    def row(self, name: str = NAME) -> JobLease:
        with self.database.reading() as session:
            return session.get_one(JobLease, name)

    def took_at(self, ms: int) -> bool:
        self.at(ms)
        return self.other.take(NAME)


@pytest.fixture
def lab(database: Database) -> Lab:
    return Lab(database)


class TestLeases:
    def test_a_new_row_is_due_from_now_on(self, lab: Lab) -> None:
        row = lab.row()
        assert (row.due_ms, row.holder, row.error) == (1_000, "", "")
        numbers = (row.until_ms, row.started_ms, row.finished_ms, row.took_ms, row.runs, row.failures)
        assert numbers == (0,) * 6

    def test_a_job_is_taken_in_the_millisecond_in_which_it_is_due(self, lab: Lab) -> None:
        assert [lab.took_at(ms) for ms in (999, 1_000)] == [False, True]
        row = lab.row()
        assert (row.holder, row.started_ms, row.until_ms) == ("other", 1_000, 61_000)

    def test_a_lease_lasts_until_its_end(self, lab: Lab) -> None:
        assert lab.one.take(NAME)
        assert [lab.took_at(ms) for ms in (1_001, 60_999, 61_000)] == [False, False, True]

    def test_a_renewal_counts_from_now(self, lab: Lab) -> None:
        assert lab.one.take(NAME)
        lab.at(21_000)
        assert lab.one.renew(NAME)
        assert lab.row().until_ms == 81_000

    @pytest.mark.parametrize(
        ("every_ms", "due_ms"), [(5_000, 6_000), (1_201, 2_201), (1_200, 2_200), (7, 2_200)]
    )
    def test_the_next_run_is_due_a_period_after_the_start_but_not_before_now(
        self, lab: Lab, every_ms: int, due_ms: int
    ) -> None:
        assert lab.one.take(NAME)
        lab.at(2_200)
        assert lab.one.succeed(NAME, every_ms=every_ms)
        row = lab.row()
        assert (row.due_ms, row.finished_ms, row.took_ms, row.runs) == (due_ms, 2_200, 1_200, 1)
        assert (row.until_ms, row.holder, row.failures, row.error) == (0, "", 0, "")

    @pytest.mark.parametrize(
        ("failures", "pause_s"),
        [(0, 2), (1, 4), (2, 8), (6, 128), (7, 256), (8, 300), (9, 300), (10_000, 300)],
    )
    def test_pauses_double_up_to_five_minutes(self, lab: Lab, failures: int, pause_s: int) -> None:
        with lab.database.transaction() as session:
            session.execute(update(JobLease).values(failures=failures))
        assert lab.one.take(NAME)
        lab.at(3_000)
        assert lab.one.fail(NAME, "e" * 301, failures=failures)
        row = lab.row()
        assert (row.until_ms, row.due_ms) == (3_000 + pause_s * 1_000, 1_000)
        assert (row.failures, row.error, row.holder) == (failures + 1, "e" * 300, "")

    def test_what_is_given_back_is_free_in_the_same_millisecond(self, lab: Lab) -> None:
        assert lab.one.take(NAME) and lab.one.release(NAME)
        assert lab.row().until_ms == 0
        assert lab.took_at(1_000)

    def test_only_the_holder_gives_back(self, lab: Lab) -> None:
        assert lab.one.take(NAME)
        assert not lab.other.release(NAME) and not lab.other.fail(NAME, "x", failures=0)
        assert not lab.one.renew("another job")
        assert lab.row().holder == "one"

    @pytest.mark.parametrize(
        ("column", "ms", "stays"), [("due_ms", 0, True), ("until_ms", 0, True), ("due_ms", -1, False)]
    )
    def test_a_row_that_nobody_uses_stays_for_thirty_days(
        self, lab: Lab, column: str, ms: int, stays: bool
    ) -> None:
        lab.one.ensure(["files@gone"])
        now = 40 * DAY_MS
        with lab.database.transaction() as session:
            session.execute(update(JobLease).values(due_ms=now))
            old = {"due_ms": 1, "until_ms": 1, column: now - 30 * DAY_MS + ms}
            session.execute(update(JobLease).where(JobLease.name == "files@gone").values(old))
        lab.at(now)
        assert lab.one.remove_unused() == (0 if stays else 1)


def state(**changes: Any) -> JobState:
    values: dict[str, Any] = {
        "name": NAME, "holder": "", "due_in_ms": -1_500, "held_ms": 0, "started_ms": 0, "finished_ms": 0,
        "took_ms": 0, "runs": 0, "failures": 0, "error": "", "now_ms": 1_000_000,
    }  # fmt: skip
    return JobState(**{**values, **changes})


class TestStatus:
    def test_no_worker_is_alive_after_forty_five_seconds(
        self, database: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(status, "now_ms", lambda _: literal(1_000_000, Integer))
        Leases(database, "one", lease_ms=1).ensure(["heartbeat", NAME])
        for age_ms, is_alive in ((0, True), (44_999, True), (45_000, False), (45_001, False)):
            beat = state(name="heartbeat", finished_ms=1_000_000 - age_ms)
            assert is_worker_alive([state(), beat]) is is_alive
            assert not is_worker_alive([state(finished_ms=1_000_000 - age_ms)]), "of another job"
            with database.statements() as connection:
                # Another job that ran just now is no sign.
                connection.execute(update(JobLease).values(finished_ms=1_000_000))
                beats = update(JobLease).where(JobLease.name == "heartbeat")
                connection.execute(beats.values(finished_ms=1_000_000 - age_ms))
                assert has_worker(connection) is is_alive
        assert not is_worker_alive([])

    def test_a_job_is_late_by_the_time_for_which_nobody_ran_it(self, tmp_path: Path) -> None:
        jobs = Jobs(tmp_path)
        jobs.register(Job(NAME, 5, print))
        jobs.register(Job("idle", 5, print, has_work=lambda _: False))
        for found, late_s in (
            (state(), 1.5), (state(due_in_ms=-1), 0.001), (state(due_in_ms=0), 0), (state(due_in_ms=1), 0),
            (state(holder="a", held_ms=1), 0), (state(holder="a", held_ms=0), 1.5), (state(held_ms=1), 1.5),
            (state(name="unknown"), 0), (state(name="heartbeat"), 1.5), (state(name="job_rows"), 1.5),
            (state(name="idle"), 0),
        ):  # fmt: skip
            assert overdue_s(found, jobs, NOW) == late_s, found

    def test_gauges_are_in_seconds(self, lab: Lab, tmp_path: Path) -> None:
        with lab.database.transaction() as session:
            session.execute(update(JobLease).values(finished_ms=1_764_000_000_500, took_ms=1_250, failures=3))
        families = {it.name: it for it in JobGauges(lab.database, Jobs(tmp_path)).read(NOW)}
        found = {
            name.removeprefix("datingtoday_job_"): family.samples[0].value
            for name, family in families.items()
        }
        assert found["last_success_seconds"] == 1_764_000_000.5
        assert (found["duration_seconds"], found["failures"]) == (1.25, 3)
        assert found["datingtoday_worker_up"] == 0


class TestRunner:
    """The time until a job is looked at again."""

    def looked(self, folder: Path, found: JobState | None, job: Job, *, is_taken: bool = False) -> float:
        made: list[list[str]] = []
        leases: Any = SimpleNamespace(
            lease_ms=5_000, look=lambda _: found, ensure=made.append, take=lambda _: not is_taken
        )
        runner = JobRunner(Jobs(folder), leases, threads=1)
        wait_s = runner._run_if_due(job)
        assert made == ([] if found else [[NAME]])
        return wait_s

    def test_it_waits_for_the_row_but_half_a_minute_at_most(self, tmp_path: Path) -> None:
        job = Job(NAME, 60, print)
        for found, wait_s in (
            (state(due_in_ms=1_500), 1.5), (state(due_in_ms=1), 0.001), (state(due_in_ms=30_001), 30),
            (state(due_in_ms=-5, held_ms=2_000), 2), (state(due_in_ms=3_000, held_ms=2_000), 3), (None, 0.01),
        ):  # fmt: skip
            assert self.looked(tmp_path, found, job) == wait_s, found

    def test_a_job_without_work_is_looked_at_after_its_period(self, tmp_path: Path) -> None:
        for every_s, wait_s in ((0.5, 0.5), (31, 30)):
            idle = Job(NAME, every_s, print, has_work=lambda _: False)
            assert self.looked(tmp_path, state(due_in_ms=0), idle) == wait_s

    def test_one_that_another_took_is_looked_at_again_at_once(self, tmp_path: Path) -> None:
        assert self.looked(tmp_path, state(due_in_ms=0), Job(NAME, 5, print), is_taken=True) == 0.01

    @pytest.mark.parametrize(("back_after", "is_noted"), [(1, True), (49, True), (60, False)])
    def test_a_success_is_noted_until_the_lease_is_over(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, back_after: int, is_noted: bool
    ) -> None:
        clock, noted = [100.0], list[int]()

        def succeed(_: str, *, every_ms: int) -> bool:
            noted.append(every_ms)
            if len(noted) <= back_after:
                raise DatabaseDown("away")
            return True

        def wait(seconds: float) -> bool:
            clock[0] += seconds
            return False

        monkeypatch.setattr(runner_module, "time", SimpleNamespace(monotonic=lambda: clock[0]))
        leases: Any = SimpleNamespace(lease_ms=5_000, succeed=succeed)
        runner = JobRunner(Jobs(tmp_path), leases, threads=1)
        monkeypatch.setattr(runner, "_is_stopping", SimpleNamespace(wait=wait))
        if is_noted:
            runner._note_success(Job(NAME, 1.5, print), NAME)
            assert len(noted) == back_after + 1
        else:
            with pytest.raises(DatabaseDown):
                runner._note_success(Job(NAME, 1.5, print), NAME)
            assert 105 <= clock[0] < 105.2
        assert set(noted) == {1_500}


def test_the_key_of_a_row_fits_its_column(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "h" * 200)
    job = Job("j" * 40, 1, print, per_host=True)
    assert len(Jobs(tmp_path).row_name(job)) == 120
    monkeypatch.setattr("socket.gethostname", lambda: "host")
    assert Jobs(tmp_path).row_name(job) != Jobs(tmp_path / "other").row_name(job), "another disk"
    own = Job(NAME, 1, print, per_host=True)
    assert re.fullmatch(r"sweep@host:[0-9a-f]{8}", Jobs(tmp_path).row_name(own))
    assert Jobs(tmp_path).row_name(Job(NAME, 1, print)) == NAME
