"""Leases of jobs: one worker at a time, one run per period, and nothing lost with a worker."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import update

from datingtoday.infra.db import Database
from datingtoday.infra.jobs.leases import RETRY_MAX_MS, Leases, read_states
from datingtoday.infra.jobs.models import JobLease
from tests.plugins.backend import Backend
from tests.plugins.schema import bring_up

NAME = "sweep"


@pytest.fixture
def database(backend: Backend) -> Database:
    bring_up(backend.database_uri)
    return Database(backend.database_uri, pool_size=12)


def leases(database: Database, holder: str = "a", lease_ms: int = 60_000) -> Leases:
    made = Leases(database, holder, lease_ms=lease_ms)
    made.ensure([NAME])
    return made


def let_pass(database: Database, ms: int) -> None:
    """Move the row into the past, as if so much time had passed: no test depends on how quick the machine is."""
    with database.transaction() as session:
        row = session.get_one(JobLease, NAME)
        row.started_ms, row.until_ms, row.due_ms = row.started_ms - ms, row.until_ms - ms, row.due_ms - ms


def test_one_of_many_workers_takes_a_job(database: Database) -> None:
    workers = [leases(database, f"worker {number}") for number in range(12)]
    with ThreadPoolExecutor(12) as pool:
        took = list(pool.map(lambda worker: worker.take(NAME), workers))
    assert took.count(True) == 1
    state = workers[0].look(NAME)
    assert state is not None and state.holder == f"worker {took.index(True)}"


def test_a_job_is_not_due_again_within_its_period(database: Database) -> None:
    one, other = leases(database, "a"), leases(database, "b")
    assert one.take(NAME)
    assert one.succeed(NAME, every_ms=60_000)
    assert not one.take(NAME) and not other.take(NAME)
    state = one.look(NAME)
    assert state is not None
    assert 50_000 < state.due_in_ms <= 60_000
    assert (state.runs, state.failures, state.holder, state.error) == (1, 0, "", "")


def test_the_next_period_begins_with_the_start_of_a_run(database: Database) -> None:
    one = leases(database)
    assert one.take(NAME)
    let_pass(database, 31_000)
    assert one.succeed(NAME, every_ms=30_000)
    assert one.take(NAME), "a run that took longer than the period is followed by the next one at once"


def test_a_lease_ends_and_another_worker_goes_on(database: Database) -> None:
    dead, other = leases(database, "dead"), leases(database, "other")
    assert dead.take(NAME)
    let_pass(database, 30_000)
    assert not other.take(NAME)
    let_pass(database, 30_000)
    assert other.take(NAME)
    assert not dead.renew(NAME), "who has lost a lease is told"
    assert not dead.succeed(NAME, every_ms=60_000), "and does not end the run of the other"
    state = other.look(NAME)
    assert state is not None and (state.holder, state.runs) == ("other", 0)


def test_a_renewed_lease_does_not_end(database: Database) -> None:
    one, other = leases(database, "a"), leases(database, "b")
    assert one.take(NAME)
    for _ in range(3):
        let_pass(database, 30_000)
        assert one.renew(NAME)
        assert not other.take(NAME)
        state = one.look(NAME)
        assert state is not None and 30_000 < state.held_ms <= 60_000


def test_a_failed_run_stays_due_after_pauses_that_grow(database: Database) -> None:
    one = leases(database)
    for failures in range(4):
        let_pass(database, RETRY_MAX_MS)
        assert one.take(NAME)
        before = one.look(NAME)
        assert one.fail(NAME, "ValueError: no", failures=failures)
        state = one.look(NAME)
        assert before is not None and state is not None
        pause_ms = (2_000, 4_000, 8_000, 16_000)[failures]
        assert before.now_ms + pause_ms <= state.now_ms + state.held_ms <= state.now_ms + pause_ms
        assert (state.failures, state.error) == (failures + 1, "ValueError: no")
        assert state.due_in_ms <= 0
    assert not one.take(NAME), "within the pause"


def test_a_lease_that_is_given_back_is_free_at_once(database: Database) -> None:
    one, other = leases(database, "a"), leases(database, "b")
    assert one.take(NAME)
    assert one.release(NAME)
    assert other.take(NAME)


def test_rows_are_made_once(database: Database) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: leases(database, f"worker {number}"), range(8)))
    assert [state.name for state in read_states(database)] == [NAME]


def test_rows_of_hosts_that_are_gone_are_removed(database: Database) -> None:
    one = leases(database)
    assert one.take(NAME) and one.succeed(NAME, every_ms=60_000)
    one.ensure(["files@gone", "files@new"])
    assert one.remove_unused() == 0
    with database.transaction() as session:
        session.execute(update(JobLease).where(JobLease.name == "files@gone").values(due_ms=1))
    assert one.remove_unused() == 1
    assert [state.name for state in read_states(database)] == ["files@new", NAME]
