"""Metrics of the database connections of a process."""

from __future__ import annotations

from typing import Literal

from sqlalchemy.pool import QueuePool

from datingtoday.infra.db import Database
from datingtoday.infra.metric_declarations import declare, process_gauge

Process = Literal["api", "push", "worker"]

CONNECTIONS = declare(
    "datingtoday_database_connections",
    "gauge",
    en="Database connections of this host's processes by state (used, idle), sampled while requests come.",
    zh="本机进程的数据库连接数，按状态（used、idle），有请求时采样。",
    labels=("process", "state"),
)
LIMIT = declare(
    "datingtoday_database_connections_max",
    "gauge",
    en="Connections that this host's processes may open at most ([DATABASE] pool_size, twice).",
    zh="本机进程最多可打开的数据库连接数（[DATABASE] pool_size 的两倍）。",
    labels=("process",),
)


class PoolGauge:
    """Gauges of one process's pool; `update` samples it."""

    def __init__(self, database: Database, process: Process) -> None:
        self._database = database
        self._process = process

    def update(self) -> None:
        """Sample the pool. Costs no statement."""
        # Made anew by every dispose().
        pool = self._database.engine.pool
        if not isinstance(pool, QueuePool):
            return
        connections, limit = process_gauge(CONNECTIONS, "livesum"), process_gauge(LIMIT, "livesum")
        used = pool.checkedout()
        connections.labels(self._process, "used").set(used)
        connections.labels(self._process, "idle").set(pool.checkedin())
        limit.labels(self._process).set(pool.size() + pool._max_overflow)
