"""Connections of the pool: asked for when they were idle, rolled back when something is open, and not otherwise."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import IntegrityError, OperationalError

from datingtoday.infra.db import Database, DatabaseDown
from datingtoday.infra.pooled_connections import PING_AFTER_S, attend
from tests.plugins.polling import wait_until
from tests.plugins.sql_server import SqlServer


@pytest.fixture
def server(private_sql_server: Callable[[], SqlServer]) -> SqlServer:
    return private_sql_server()


@pytest.fixture
def database(server: SqlServer) -> Iterator[Database]:
    """With a single connection in its pool."""
    made = Database(server.create_database("dt_pool"), pool_size=1)
    with made.transaction() as session:
        session.execute(text("CREATE TABLE t (id INT PRIMARY KEY) ENGINE=InnoDB"))
    yield made
    made.dispose()


def connection_id(database: Database) -> int:
    with database.transaction(write=False) as session:
        return int(session.execute(text("SELECT CONNECTION_ID()")).scalar_one())


def end(server: SqlServer, number: int) -> None:
    with server.as_administrator() as connection, connection.cursor() as cursor:
        cursor.execute(f"KILL {number}")


def test_a_busy_connection_is_neither_asked_for_nor_rolled_back(database: Database) -> None:
    counted = text(
        "SHOW SESSION STATUS WHERE Variable_name IN ('Com_rollback', 'Com_admin_commands', 'Com_commit')"
    )

    def counts() -> dict[str, int]:
        with database.transaction() as session:
            return {name: int(count) for name, count in session.execute(counted)}

    def in_a_row() -> bool:
        """Again where this machine paused for so long that the connection counts as idle."""
        before, began = counts(), time.monotonic()
        for number in range(5):
            with database.transaction() as session:
                session.execute(text("REPLACE INTO t VALUES (:number)"), {"number": number})
        after = counts()
        if time.monotonic() - began >= PING_AFTER_S:
            return False
        assert after["Com_commit"] - before["Com_commit"] == 6
        assert after["Com_rollback"] == before["Com_rollback"]
        assert after["Com_admin_commands"] == before["Com_admin_commands"]
        return True

    wait_until(in_a_row, "six transactions in half a second")


def test_an_idle_connection_that_was_ended_is_replaced_unnoticed(
    database: Database, server: SqlServer
) -> None:
    before, since = connection_id(database), time.monotonic()
    end(server, before)
    wait_until(lambda: time.monotonic() - since > PING_AFTER_S, "the connection to count as idle")
    assert connection_id(database) != before


def test_one_that_was_ended_a_moment_ago_costs_one_request(database: Database, server: SqlServer) -> None:
    before = connection_id(database)
    end(server, before)
    try:
        after = connection_id(database)
    except DatabaseDown:
        after = connection_id(database)
    assert after != before


def test_nothing_that_was_begun_is_left_for_the_next(database: Database, server: SqlServer) -> None:
    connection = database.engine.raw_connection()
    connection.cursor().execute("INSERT INTO t VALUES (1)")
    connection.close()
    with server.as_administrator() as other, other.cursor() as cursor:
        # Locked until then, if it had not been rolled back.
        cursor.execute("SET innodb_lock_wait_timeout = 1")
        cursor.execute("INSERT INTO dt_pool.t VALUES (1)")
        other.commit()
    with pytest.raises(IntegrityError), database.transaction() as session:
        session.execute(text("INSERT INTO t VALUES (2)"))
        session.execute(text("INSERT INTO t VALUES (1)"))
    with database.transaction() as session:
        assert session.execute(text("SELECT id FROM t ORDER BY id")).scalars().all() == [1]


def test_drivers_that_do_not_tell_what_is_open_are_rolled_back(tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path}/pool.sqlite3", pool_reset_on_return=None)
    attend(engine)
    taken = engine.raw_connection()
    connection: Any = taken.driver_connection
    connection.execute("CREATE TABLE t (id INTEGER)")
    connection.execute("INSERT INTO t VALUES (1)")
    assert connection.in_transaction
    taken.close()
    assert not connection.in_transaction
    assert connection.execute("SELECT count(*) FROM t").fetchone() == (0,)
    engine.dispose()


def test_errors_of_the_ping_that_are_not_about_the_connection_are_told(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    since = time.monotonic()
    connection_id(database)
    wait_until(lambda: time.monotonic() - since > 2 * PING_AFTER_S, "the connection to count as idle")
    error = database.engine.dialect.loaded_dbapi.OperationalError(1105, "unknown")

    def refuse(_: object) -> bool:
        raise error

    monkeypatch.setattr(database.engine.dialect, "do_ping", refuse)
    with pytest.raises((OperationalError, type(error))):
        connection_id(database)
