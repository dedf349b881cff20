"""Metrics of jobs and streams: read from SQL and Redis when Prometheus asks, so they do not need a worker."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import structlog

from datingtoday.infra.db import Database, DatabaseDown
from datingtoday.infra.jobs.leases import JobState, read_states
from datingtoday.infra.jobs.status import is_worker_alive
from datingtoday.infra.redis import RedisDown
from datingtoday.infra.streams import Streams

log = structlog.get_logger(__name__)


class WorkerGauges:
    """Gauges that are the same in every process."""

    def __init__(self, database: Database, streams: Streams) -> None:
        self._database = database
        self._streams = streams

    def read(self, now: datetime) -> Iterator[Any]:
        """Nothing of what is down: its absence is what an alert goes by, beside `/readyz`."""
        try:
            yield from self._jobs(read_states(self._database))
        except DatabaseDown as error:
            log.warning("jobs_not_told", reason=str(error))
        try:
            yield from self._stream_gauges()
        except RedisDown as error:
            log.warning("streams_not_told", reason=str(error))

    @staticmethod
    def _jobs(states: list[JobState]) -> Iterator[Any]:
        from prometheus_client.core import GaugeMetricFamily

        alive = GaugeMetricFamily("datingtoday_worker_up", "1 while some background worker runs.")
        alive.add_metric([], float(is_worker_alive(states)))
        yield alive
        gauges: dict[str, tuple[str, Callable[[JobState], float]]] = {
            "overdue_seconds": (
                "Seconds since a job has been due.",
                lambda job: max(0, -job.due_in_ms) / 1e3,
            ),
            "last_success_seconds": (
                "Epoch time of the last success; 0: never.",
                lambda job: job.finished_ms / 1e3,
            ),
            "duration_seconds": ("Length of a job's last successful run.", lambda job: job.took_ms / 1e3),
            "failures": ("Failed runs of a job since its last success.", lambda job: job.failures),
        }
        for name, (help_, value_of) in gauges.items():
            family = GaugeMetricFamily(f"datingtoday_job_{name}", help_, labels=["job"])
            for state in states:
                family.add_metric([state.name], value_of(state))
            yield family

    def _stream_gauges(self) -> Iterator[Any]:
        from prometheus_client.core import GaugeMetricFamily

        waiting = GaugeMetricFamily(
            "datingtoday_stream_waiting", "Entries of a stream that are not in SQL yet.", labels=["stream"]
        )
        lag = GaugeMetricFamily(
            "datingtoday_stream_lag_seconds",
            "Age of the oldest of them.",
            labels=["stream"],
        )
        for name, state in self._streams.states().items():
            waiting.add_metric([name], state.entries)
            lag.add_metric([name], state.lag_s)
        yield waiting
        yield lag
