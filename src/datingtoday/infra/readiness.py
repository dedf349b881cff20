"""Readiness: whether each part of an installation answers, and how fast; checked within a second or two."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import structlog
from redis.exceptions import ResponseError
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import OperationalError, ProgrammingError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from datingtoday.infra.jobs.status import has_worker
from datingtoday.infra.metric_declarations import declare
from datingtoday.infra.migrations import head, is_newer
from datingtoday.infra.milliseconds import to_s
from datingtoday.infra.realtime import Realtime
from datingtoday.infra.redis import RUN_ID, RedisDown, RedisRole

log = structlog.get_logger(__name__)

State = Literal["up", "down"]

NEEDED = ("database", "schema", "redis")
"""Parts without which no request is answered. Without the others requests are answered, and something is late."""
PARTS = (*NEEDED, "cache", "queues", "worker", "push")
_TIMEOUT_S = 1

UP = declare(
    "datingtoday_part_up",
    "gauge",
    en="1 if a part answers: database, schema (revision), redis (of the guard), cache, queues, worker, push.",
    zh="各部分是否可用（1 为可用）：database、schema（版本）、redis（防重放）、cache、queues、worker、push。",
    labels=("part",),
)
LATENCY = declare(
    "datingtoday_part_latency_seconds",
    "gauge",
    en="Time that the part took to answer this check; of a part that is down, until that was clear.",
    zh="各部分应答本次检查的耗时（秒）；不可用时为判定所用的时间。",
    labels=("part",),
)


@dataclass(frozen=True, slots=True)
class PartState:
    """State of one part. :param latency_ms: until it answered, or until it was clear that it does not."""

    state: State
    latency_ms: float

    @property
    def is_up(self) -> bool:
        return self.state == "up"


class Readiness:
    """Asks the SQL database, the Redis servers, SQL for the last sign of a background worker, and who receives pushes.

    The database is asked on a connection of its own, because those of the pool wait for a hanging server as long as a
    large query may take.
    """

    def __init__(
        self,
        database_uri: str,
        guard: RedisRole,
        cache: RedisRole,
        queues: RedisRole,
        realtime: Realtime,
        *,
        newer_schema: bool = False,
    ) -> None:
        self._guard = guard
        self._cache = cache
        self._queues = queues
        self._newest = head()
        self._newer_schema = newer_schema
        self._realtime = realtime
        timeouts: dict[str, Any] = {"timeout": _TIMEOUT_S}
        if make_url(database_uri).get_backend_name() != "sqlite":
            timeouts = dict.fromkeys(("connect_timeout", "read_timeout", "write_timeout"), _TIMEOUT_S)
        self._engine = create_engine(database_uri, poolclass=NullPool, connect_args=timeouts)

    def check(self) -> dict[str, PartState]:
        """The state of each of `PARTS`; the schema is up while the database is at a revision that is served."""
        found = self._database()
        found["redis"] = guard = _timed(self._answers_guard)
        found["cache"] = guard if self._cache is self._guard else _timed(lambda: _answers(self._cache))
        found["queues"] = guard if self._queues is self._guard else _timed(lambda: _answers(self._queues))
        found["push"] = _timed(self._has_push)
        return {part: found[part] for part in PARTS}

    def read(self, now: datetime) -> Iterator[Any]:
        """The same for Prometheus."""
        return gauges_of(self.check())

    def _database(self) -> dict[str, PartState]:
        """The database, its schema and the worker that has left signs in it."""
        began = time.perf_counter()
        down = {part: PartState("down", 0.0) for part in ("database", "schema", "worker")}
        try:
            with self._engine.connect() as connection:
                connection.execute(text("SELECT 1"))
                found = down | {"database": _since(began, up=True)}
                try:
                    found["schema"] = _timed(lambda: self._is_current(connection))
                    if found["schema"].is_up:
                        found["worker"] = _timed(lambda: has_worker(connection))
                except (OperationalError, ProgrammingError) as error:
                    # Without tables, if it still answers.
                    log.warning("schema_unreadable", reason=str(error.orig))
                    connection.rollback()
                    connection.execute(text("SELECT 1"))
                return found
        except (SQLAlchemyError, OSError):
            return down | {"database": _since(began, up=False)}

    def _is_current(self, connection: Connection) -> bool:
        at = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
        return bool(at == self._newest or (self._newer_schema and is_newer(at)))

    def _has_push(self) -> bool:
        try:
            return self._realtime.processes() > 0
        except RedisDown:
            return False

    def _answers_guard(self) -> bool:
        if self._guard.is_cluster:
            return _answers(self._guard)
        try:
            # Answered by a server that the guard can use, not by any.
            self._guard.execute("ECHO", RUN_ID)
        except RedisDown:
            return False
        return True


def gauges_of(found: Mapping[str, PartState]) -> Iterator[Any]:
    """States as metrics."""
    up, latency = UP.family(), LATENCY.family()
    for part, state in found.items():
        up.add_metric([part], float(state.is_up))
        latency.add_metric([part], to_s(state.latency_ms))
    yield up
    yield latency


def _answers(role: RedisRole) -> bool:
    try:
        # By a key: on a cluster, a command without one has no node to go to.
        role.execute("GET", "readyz")
    except (RedisDown, ResponseError):
        return False
    return True


def _timed(ask: Callable[[], bool]) -> PartState:
    began = time.perf_counter()
    return _since(began, up=ask())


def _since(began: float, *, up: bool) -> PartState:
    return PartState("up" if up else "down", round((time.perf_counter() - began) * 1e3, 2))
