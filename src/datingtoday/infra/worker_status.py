"""Status of background workers, as every other process reads it from SQL."""

from __future__ import annotations

from collections.abc import Sequence

from datingtoday.infra.jobs.leases import JobState

HEARTBEAT = "heartbeat"
"""A job that does nothing: its row says that some worker runs."""
HEARTBEAT_S = 10.0
DEAD_S = 45.0
"""No worker runs if the heartbeat did not for so long; some periods, and the lease of a worker that died."""


def is_worker_alive(states: Sequence[JobState]) -> bool:
    """Whether some worker ran lately. :param states: of all jobs."""
    return any(
        state.name == HEARTBEAT and state.now_ms - state.finished_ms < DEAD_S * 1000 for state in states
    )
