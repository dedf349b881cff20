"""Status of the background workers, as every other process can tell from SQL."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, select

from datingtoday.infra.jobs.leases import JobState, now_ms
from datingtoday.infra.jobs.models import JobLease

HEARTBEAT = "heartbeat"
"""A job that does nothing: its row says that some worker runs."""
HEARTBEAT_S = 10.0
DEAD_S = 45.0
"""No worker runs if the heartbeat did not for so long; some periods, and the lease of a worker that died."""


def is_worker_alive(states: Sequence[JobState]) -> bool:
    """True if some worker ran lately. :param states: of all jobs."""
    return any(
        state.name == HEARTBEAT and state.now_ms - state.finished_ms < DEAD_S * 1000 for state in states
    )


def has_worker(connection: Connection) -> bool:
    """The same, by one statement on this connection."""
    age_ms = now_ms(connection.dialect.name) - JobLease.finished_ms
    found = connection.scalar(select(age_ms).where(JobLease.name == HEARTBEAT))
    return found is not None and found < DEAD_S * 1000
