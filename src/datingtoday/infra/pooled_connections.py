"""Connections to MariaDB or MySQL in the pool: two round trips that are only made where they are needed.

SQLAlchemy's own `pool_pre_ping` asks before every use whether the server is still there, and its reset rolls back after
every use. Under load a connection was used a moment ago, and after a commit there is nothing to roll back: two of five
round trips of a message that is sent (docs/decisions/chat-in-sql.md).
"""

from __future__ import annotations

import time
from typing import Any

from sqlalchemy import Connection, Engine, event
from sqlalchemy.exc import InvalidatePoolError
from sqlalchemy.pool import ConnectionPoolEntry, PoolResetState

PING_AFTER_S = 0.5
"""Idle time after which a connection is asked for. A server that was restarted has been away for longer. A connection
that it ends by itself or by an operator's KILL, used within this time, costs the request that meets it a 503."""
_USED_AT = "used_at"
_LAY_IDLE_SINCE = "lay_idle_since"
_IN_TRANSACTION = 1
"""SERVER_STATUS_IN_TRANS: the server says with each answer whether a transaction is open."""


def give_back(connection: Connection, used_at: float) -> None:
    """Give a connection back into its pool that was used for the last time at ``used_at`` and lay idle since."""
    connection.info[_LAY_IDLE_SINCE] = used_at
    connection.close()


def attend(engine: Engine) -> None:
    """Ping and roll back by need; the engine was made without either."""

    @event.listens_for(engine, "connect")
    @event.listens_for(engine, "checkin")
    def note_use(dbapi_connection: Any, entry: ConnectionPoolEntry) -> None:
        if dbapi_connection is not None:
            entry.info[_USED_AT] = entry.info.pop(_LAY_IDLE_SINCE, None) or time.monotonic()

    @event.listens_for(engine, "checkout")
    def ping_if_idle(dbapi_connection: Any, entry: ConnectionPoolEntry, _proxy: object) -> None:
        if time.monotonic() - entry.info[_USED_AT] < PING_AFTER_S:
            return
        try:
            is_there = engine.dialect.do_ping(dbapi_connection)
        except engine.dialect.loaded_dbapi.Error as error:
            if not engine.dialect.is_disconnect(error, dbapi_connection, None):
                raise
            is_there = False
        if not is_there:
            # The pool makes a new one, and asks no other that is as old.
            raise InvalidatePoolError

    @event.listens_for(engine, "reset")
    def roll_back_if_open(dbapi_connection: Any, _entry: object, state: PoolResetState) -> None:
        # Drivers that do not tell are rolled back in any case.
        if not state.terminate_only and getattr(dbapi_connection, "server_status", 1) & _IN_TRANSACTION:
            dbapi_connection.rollback()
