"""A SQL server that hangs is given up after the time that a database allows for an answer."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from sqlalchemy import text

from datingtoday.infra.db import Database, DatabaseDown
from datingtoday.infra.packet_connection import PacketConnection
from tests.plugins.sql_server import SqlServer


def test_a_server_that_hangs_is_given_up(private_sql_server: Callable[[], SqlServer]) -> None:
    server = private_sql_server()
    database = Database(server.create_database("dt_hangs"), pool_size=1)
    database.answer_s = 1.5
    for send in (
        lambda connection: connection.run_packet("DO SLEEP(6)"),
        lambda connection: connection.query("DO SLEEP(6)"),
    ):
        pooled = database.engine.raw_connection()
        connection = pooled.driver_connection
        assert isinstance(connection, PacketConnection)
        server.pause()
        try:
            began = time.monotonic()
            with pytest.raises(database.engine.dialect.loaded_dbapi.OperationalError, match="Lost"):
                send(connection)
            assert time.monotonic() - began >= 1
            assert not connection.open
        finally:
            server.resume()
            pooled.invalidate()
    with database.transaction() as session:
        assert session.scalar(text("SELECT 1")) == 1
    server.pause()
    try:
        with pytest.raises(DatabaseDown), database.transaction() as session:
            session.scalar(text("SELECT SLEEP(12)"))
    finally:
        server.resume()
        database.dispose()
