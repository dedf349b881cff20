"""Leases: which worker may run a job now, decided by conditional updates of its row in SQL.

A worker that dies keeps its lease until it ends, and then another takes it: the job was due and still is, because
`due_ms` moves on only after a success. The database's clock decides, so hosts need not agree on the time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Integer,
    Update,
    case,
    delete,
    insert,
    literal_column,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from datingtoday.infra.db import Database
from datingtoday.infra.jobs.models import ERROR_CHARS, JobLease

RETRY_MIN_MS = 2_000
RETRY_MAX_MS = 300_000
"""Pause after a failure; it doubles with each one."""
UNUSED_MS = 30 * 86_400_000
"""Rows of jobs and hosts that are no more go after this time."""


@dataclass(frozen=True, slots=True)
class JobState:
    """A row, and how it stands to the database's clock."""

    name: str
    holder: str
    due_in_ms: int
    """Negative: due for so long."""
    held_ms: int
    """For how long nobody may take it; 0 or less: free."""
    started_ms: int
    finished_ms: int
    took_ms: int
    runs: int
    failures: int
    error: str
    now_ms: int


class Leases:
    """The rows of `job_lease`, for one worker process.

    :param holder: names the worker among all of them.
    :raises DatabaseDown: from every method.
    """

    def __init__(self, database: Database, holder: str, *, lease_ms: int) -> None:
        self._database = database
        self.holder = holder
        self.lease_ms = lease_ms
        self._now = now_ms(database.engine.dialect.name)

    def ensure(self, names: Sequence[str]) -> None:
        """Make missing rows, due at once."""
        known = {state.name for state in read_states(self._database)}
        for name in names:
            if name not in known:
                try:
                    self._database.retried(lambda session, name=name: _insert(session, name, self._now))  # type: ignore[misc]
                except IntegrityError:
                    # Another worker was faster.
                    continue

    def look(self, name: str) -> JobState | None:
        """The row as it is; None if it is gone."""
        return next(iter(read_states(self._database, name)), None)

    def take(self, name: str) -> bool:
        """Take the lease if the job is due and free; of several workers one succeeds."""
        return self._changed(
            update(JobLease)
            .where(JobLease.name == name, JobLease.due_ms <= self._now, JobLease.until_ms <= self._now)
            .values(holder=self.holder, until_ms=self._now + self.lease_ms, started_ms=self._now)
        )

    def renew(self, name: str) -> bool:
        """Make the lease last longer; False if another has taken it."""
        return self._changed(self._own(name).values(until_ms=self._now + self.lease_ms))

    def succeed(self, name: str, *, every_ms: int) -> bool:
        """The run is over; the next is due a period after its start. False if another has taken the lease."""
        due = JobLease.started_ms + every_ms
        return self._changed(
            self._own(name).values(
                due_ms=case((due > self._now, due), else_=self._now),
                holder="",
                until_ms=0,
                finished_ms=self._now,
                took_ms=self._now - JobLease.started_ms,
                runs=JobLease.runs + 1,
                failures=0,
                error="",
            )
        )

    def fail(self, name: str, error: str, *, failures: int) -> bool:
        """The run failed: it stays due, and nobody tries it again before a pause is over.

        :param failures: how many there were before, one after another.
        """
        pause_ms = min(RETRY_MIN_MS << failures, RETRY_MAX_MS)
        return self._changed(
            self._own(name).values(
                holder="",
                until_ms=self._now + pause_ms,
                failures=JobLease.failures + 1,
                error=error[:ERROR_CHARS],
            )
        )

    def release(self, name: str) -> bool:
        """Give the lease back before the job is done: it is due, and free at once."""
        return self._changed(self._own(name).values(holder="", until_ms=0))

    def remove_unused(self) -> int:
        """Remove rows of jobs and hosts that have not been run for `UNUSED_MS`; how many."""

        def work(session: Session) -> int:
            is_old = JobLease.until_ms < self._now - UNUSED_MS
            found: Any = session.execute(
                delete(JobLease).where(is_old, JobLease.due_ms < self._now - UNUSED_MS)
            )
            return int(found.rowcount)

        return self._database.retried(work)

    def _own(self, name: str) -> Update:
        return update(JobLease).where(JobLease.name == name, JobLease.holder == self.holder)

    def _changed(self, statement: Update) -> bool:
        def work(session: Session) -> bool:
            found: Any = session.execute(statement.execution_options(synchronize_session=False))
            return bool(found.rowcount)

        return self._database.retried(work)


def read_states(database: Database, name: str | None = None) -> list[JobState]:
    """All rows, or one, in one statement. :raises DatabaseDown:"""
    now = now_ms(database.engine.dialect.name)
    wanted = select(
        JobLease.name,
        JobLease.holder,
        JobLease.due_ms - now,
        JobLease.until_ms - now,
        JobLease.started_ms,
        JobLease.finished_ms,
        JobLease.took_ms,
        JobLease.runs,
        JobLease.failures,
        JobLease.error,
        now,
    ).order_by(JobLease.name)
    if name is not None:
        wanted = wanted.where(JobLease.name == name)
    with database.reading() as session:
        return [JobState(*row) for row in session.execute(wanted)]


def now_ms(dialect: str) -> ColumnElement[int]:
    """The database's clock in epoch milliseconds, as an expression."""
    if dialect == "sqlite":
        # Of the statement's start, like the other database's.
        return literal_column("CAST(ROUND((julianday('now') - 2440587.5) * 86400000) AS INTEGER)", Integer)
    return literal_column("CAST(UNIX_TIMESTAMP(NOW(3)) * 1000 AS SIGNED)", Integer)


def _insert(session: Session, name: str, now: ColumnElement[int]) -> None:
    # Due from now on, not since ever: nobody is late with a job that has just been made.
    numbers = dict.fromkeys(("until_ms", "started_ms", "finished_ms", "took_ms", "runs", "failures"), 0)
    session.execute(insert(JobLease).values(name=name, holder="", error="", due_ms=now, **numbers))
