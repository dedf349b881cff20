"""Metrics of jobs and streams: read from SQL and Redis when Prometheus asks, so they do not need a worker."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

from datingtoday.infra.db import Database
from datingtoday.infra.jobs.leases import JobState, read_states
from datingtoday.infra.jobs.registry import Jobs
from datingtoday.infra.jobs.status import is_worker_alive, overdue_s
from datingtoday.infra.metric_declarations import MetricDeclaration, declare
from datingtoday.infra.milliseconds import to_s
from datingtoday.infra.streams import Streams

WORKER_UP = declare(
    "datingtoday_worker_up",
    "gauge",
    en="1 while a background worker runs, on any host.",
    zh="有后台进程在运行（任意主机）时为 1。",
)
OVERDUE = declare(
    "datingtoday_job_overdue_seconds",
    "gauge",
    en="Seconds for which a job has been due and nobody has run it; 0 while it runs, or has nothing to do.",
    zh="任务到期后无人运行的秒数；运行中或没有工作时为 0。",
    labels=("job",),
)
LAST_SUCCESS = declare(
    "datingtoday_job_last_success_seconds",
    "gauge",
    en="Unix time of a job's last success; 0: never.",
    zh="任务上次成功的 Unix 时间；0 表示从未成功。",
    labels=("job",),
)
DURATION = declare(
    "datingtoday_job_duration_seconds",
    "gauge",
    en="Length of a job's last successful run.",
    zh="任务上次成功运行的耗时（秒）。",
    labels=("job",),
)
FAILURES = declare(
    "datingtoday_job_failures",
    "gauge",
    en="Failed runs of a job since its last success.",
    zh="任务自上次成功以来的失败次数。",
    labels=("job",),
)
STREAM_WAITING = declare(
    "datingtoday_stream_waiting",
    "gauge",
    en="Entries of a stream that are not in SQL yet.",
    zh="流中尚未写入 SQL 的条目数。",
    labels=("stream",),
)
STREAM_LAG = declare(
    "datingtoday_stream_lag_seconds",
    "gauge",
    en="Age of the oldest entry of a stream that is not in SQL yet.",
    zh="流中尚未写入 SQL 的最早条目的秒数。",
    labels=("stream",),
)
_OF_JOBS: dict[MetricDeclaration, Callable[[JobState], float]] = {
    LAST_SUCCESS: lambda job: to_s(job.finished_ms),
    DURATION: lambda job: to_s(job.took_ms),
    FAILURES: lambda job: job.failures,
}


class JobGauges:
    """Gauges of the jobs, the same in every process; :raises DatabaseDown: from `read`."""

    def __init__(self, database: Database, jobs: Jobs) -> None:
        self._database = database
        self._jobs = jobs

    def read(self, now: datetime) -> Iterator[Any]:
        """Nothing of what is down: its absence is what an alert goes by, beside `/readyz`."""
        states = read_states(self._database)
        alive = WORKER_UP.family()
        alive.add_metric([], float(is_worker_alive(states)))
        yield alive
        overdue = OVERDUE.family()
        for state in states:
            overdue.add_metric([state.name], overdue_s(state, self._jobs, now))
        yield overdue
        for declaration, value_of in _OF_JOBS.items():
            family = declaration.family()
            for state in states:
                family.add_metric([state.name], value_of(state))
            yield family


class StreamGauges:
    """Gauges of the streams, the same in every process; :raises RedisDown: from `read`."""

    def __init__(self, streams: Streams) -> None:
        self._streams = streams

    def read(self, now: datetime) -> Iterator[Any]:
        """Nothing while Redis is down."""
        waiting, lag = STREAM_WAITING.family(), STREAM_LAG.family()
        for name, state in self._streams.states().items():
            waiting.add_metric([name], state.entries)
            lag.add_metric([name], state.lag_s)
        yield waiting
        yield lag
