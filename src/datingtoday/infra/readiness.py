"""Readiness of the parts that every request needs, checked within a second or two."""

from __future__ import annotations

from typing import Any, Literal

import structlog
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import OperationalError, ProgrammingError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from datingtoday.infra.jobs.status import has_worker
from datingtoday.infra.migrations import head
from datingtoday.infra.realtime import Realtime
from datingtoday.infra.redis import RUN_ID, RedisDown, RedisRole

log = structlog.get_logger(__name__)

State = Literal["up", "down"]
NEEDED = ("database", "schema", "redis")
"""Parts without which no request is answered. Without the others requests are answered, and something is late."""
_TIMEOUT_S = 1


class Readiness:
    """Asks the SQL database, the guard's Redis, SQL for the last sign of a background worker, and who receives pushes.

    The database is asked on a connection of its own, because those of the pool wait for a hanging server as long as a
    large query may take.
    """

    def __init__(self, database_uri: str, redis: RedisRole, realtime: Realtime) -> None:
        self._redis = redis
        self._newest = head()
        self._realtime = realtime
        timeouts: dict[str, Any] = {"timeout": _TIMEOUT_S}
        if make_url(database_uri).get_backend_name() != "sqlite":
            timeouts = dict.fromkeys(("connect_timeout", "read_timeout", "write_timeout"), _TIMEOUT_S)
        self._engine = create_engine(database_uri, poolclass=NullPool, connect_args=timeouts)

    def check(self) -> dict[str, State]:
        """Part → whether it is up; the schema is while the database is at this program's revision."""
        database, schema, worker = self._database()
        return {
            "database": database,
            "schema": schema,
            "redis": self._guard(),
            "worker": worker,
            "push": self._push(),
        }

    def _database(self) -> tuple[State, State, State]:
        """The database, its schema and the worker that has left signs in it."""
        try:
            with self._engine.connect() as connection:
                connection.execute(text("SELECT 1"))
                try:
                    at = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
                    if at != self._newest:
                        return "up", "down", "down"
                    return "up", "up", "up" if has_worker(connection) else "down"
                except (OperationalError, ProgrammingError) as error:
                    # Without tables, if it still answers.
                    log.warning("schema_unreadable", reason=str(error.orig))
                    connection.rollback()
                    connection.execute(text("SELECT 1"))
                    return "up", "down", "down"
        except (SQLAlchemyError, OSError):
            return "down", "down", "down"

    def _push(self) -> State:
        try:
            return "up" if self._realtime.processes() else "down"
        except RedisDown:
            return "down"

    def _guard(self) -> State:
        try:
            # Answered by a server that the guard can use, not by any.
            self._redis.execute("ECHO", RUN_ID)
        except RedisDown:
            return "down"
        return "up"
