"""Status of the background workers, as every other process can tell from SQL."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from sqlalchemy import Connection, select

from datingtoday.infra.jobs.leases import JobState, now_ms
from datingtoday.infra.jobs.models import JobLease
from datingtoday.infra.jobs.registry import Jobs
from datingtoday.infra.milliseconds import to_ms, to_s
from datingtoday.infra.redis import RedisDown

HEARTBEAT = "heartbeat"
"""A job that does nothing: its row says that some worker runs."""
HEARTBEAT_S = 10.0
JOB_ROWS = "job_rows"
WORKERS_OWN = (HEARTBEAT, JOB_ROWS)
"""Jobs that only the worker itself registers."""
DEAD_S = 45.0
"""No worker runs if the heartbeat did not for so long; some periods, and the lease of a worker that died."""


def is_worker_alive(states: Sequence[JobState]) -> bool:
    """True if some worker ran lately. :param states: of all jobs."""
    return any(
        state.name == HEARTBEAT and state.now_ms - state.finished_ms < to_ms(DEAD_S) for state in states
    )


def overdue_s(state: JobState, jobs: Jobs, now: datetime) -> float:
    """Seconds for which a job has been due and nobody has run it; 0 while it runs, or has nothing to do.

    A job that each host does for itself is judged by that host: of another one nobody knows whether it still exists.
    Neither is one late that this version does not know: it may be gone.

    :raises DatabaseDown:
    """
    if state.due_in_ms >= 0 or (state.holder and state.held_ms > 0):
        return 0.0
    job = next((job for job in jobs if jobs.row_name(job) == state.name), None)
    if job is None and state.name not in WORKERS_OWN:
        return 0.0
    if job is not None and job.has_work is not None and not _has_work(job.has_work, now):
        return 0.0
    return to_s(-state.due_in_ms)


def _has_work(look: Callable[[datetime], bool], now: datetime) -> bool:
    try:
        return look(now)
    except RedisDown:
        # Nobody can tell: the worker cannot either, so the job is not done.
        return True


def has_worker(connection: Connection) -> bool:
    """The same, by one statement on this connection."""
    age_ms = now_ms(connection.dialect.name) - JobLease.finished_ms
    found = connection.scalar(select(age_ms).where(JobLease.name == HEARTBEAT))
    return found is not None and found < to_ms(DEAD_S)
