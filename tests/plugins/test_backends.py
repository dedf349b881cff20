"""The backends: empty, alone, and as the documentation of the plugin says."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pymysql
import pytest
import redis
from sqlalchemy import create_engine, inspect, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool

from datingtoday.infra import migrations
from datingtoday.infra.db import Database
from tests.plugins.backend import Backend
from tests.plugins.redis_server import RedisServer
from tests.plugins.schema import bring_up, copy_of
from tests.plugins.sql_product import TESTED
from tests.plugins.sql_server import SqlServer


def _run(uri: str, *statements: str) -> list[tuple[object, ...]]:
    engine = create_engine(uri, poolclass=NullPool)
    try:
        with engine.begin() as connection:
            for statement in statements:
                result = connection.execute(text(statement))
            return [tuple(row) for row in result] if result.returns_rows else []
    finally:
        engine.dispose()


@pytest.mark.parametrize("time_round", [1, 2])
def test_every_test_gets_an_empty_database_and_an_empty_redis(backend: Backend, time_round: int) -> None:
    engine = create_engine(backend.database_uri, poolclass=NullPool)
    assert inspect(engine).get_table_names() == []
    _run(backend.database_uri, "CREATE TABLE thing (id INTEGER PRIMARY KEY)")
    for uri in {backend.redis_uri, backend.cache_uri, backend.queue_uri}:
        with redis.Redis.from_url(uri) as client:
            assert client.keys() == []
            client.set("thing", 1)
    assert list(backend.folder.iterdir()) == []


def test_embedded_and_real_are_what_they_say(backend: Backend) -> None:
    with backend.redis.client() as client:
        server = client.info("server")
    if backend.is_real:
        ((version,),) = _run(backend.database_uri, "SELECT version()")
        assert TESTED.has_version(str(version))
        assert _run(backend.database_uri, "SELECT @@innodb_flush_log_at_trx_commit") == [(1,)]
        assert "valkey_version" not in server
        assert str(server["redis_version"]).startswith("7.") or str(server["redis_version"]) > "8"
    else:
        assert make_url(backend.database_uri).get_backend_name() == "sqlite"
        assert "valkey_version" in server


def test_clear_removes_rows_and_keys_and_keeps_what_it_is_told_to(backend: Backend) -> None:
    _run(
        backend.database_uri,
        "CREATE TABLE parent (id INTEGER PRIMARY KEY)",
        "CREATE TABLE child (id INTEGER PRIMARY KEY, parent INTEGER REFERENCES parent (id))",
        "CREATE TABLE alembic_version (version_num VARCHAR(32))",
        "CREATE TABLE label (id INTEGER PRIMARY KEY)",
        "INSERT INTO parent VALUES (1)",
        "INSERT INTO child VALUES (1, 1)",
        "INSERT INTO alembic_version VALUES ('abc')",
        "INSERT INTO label VALUES (1)",
    )
    with redis.Redis.from_url(backend.queue_uri) as client:
        client.set("job", 1)
        backend.clear(keep=["label"])
        assert client.dbsize() == 0
    counts = {
        table: _run(backend.database_uri, f"SELECT count(*) FROM {table}")[0][0]
        for table in ("parent", "child", "alembic_version", "label")
    }
    assert counts == {"parent": 0, "child": 0, "alembic_version": 1, "label": 1}


def test_copied_tables_are_those_of_the_migrations(
    private_sql_server: Callable[[], SqlServer], backend: Backend
) -> None:
    """SQLite: the file is copied as it is."""
    bring_up(backend.database_uri)
    if backend.kind == "real":
        server = private_sql_server()
        copied, migrated = server.create_database("dt_copied"), server.create_database("dt_migrated")
        # There is something to copy by now.
        bring_up(copied)
        migrations.upgrade(migrated)
        schemas = [TESTED.without_repetition(copy_of(uri)) for uri in (copied, migrated)]
        assert schemas[0] == schemas[1]
        assert migrations.current(copied) == migrations.head()
    assert migrations.current(backend.database_uri) == migrations.head()


def test_the_shared_backend_is_another(shared_backend: Backend, backend: Backend) -> None:
    assert shared_backend.database_uri != backend.database_uri
    assert shared_backend.redis.port != backend.redis.port


@pytest.mark.parametrize("engine", ["embedded", pytest.param("real", marks=pytest.mark.real)])
def test_redis_survives_kill_with_its_data_under_the_same_address(
    private_redis: Callable[..., RedisServer], engine: str
) -> None:
    server = private_redis(engine)
    with redis.Redis.from_url(server.uri) as client:
        client.set("kept", "yes")
        first_run = client.info("server")["run_id"]
    server.kill()
    assert not server.is_running
    server.start()
    with redis.Redis.from_url(server.socket_uri) as client:
        assert client.get("kept") == b"yes"
        assert client.info("server")["run_id"] != first_run


def test_redis_can_lose_its_memory_or_come_back_with_an_older_one(backend: Backend) -> None:
    server = backend.private_redis()
    with server.client() as client:
        client.set("n", 1)
        backup = server.back_up()
        client.set("n", 2)
    server.stop()
    server.restore(backup)
    server.start()
    with server.client() as client:
        assert client.get("n") == b"1"
    server.stop()
    server.wipe()
    server.start()
    with server.client() as client:
        assert client.get("n") is None
    with backend.redis.client() as client:
        assert client.keys() == []


def test_a_frozen_redis_accepts_connections_and_says_nothing(
    private_redis: Callable[..., RedisServer],
) -> None:
    server = private_redis()
    server.pause()
    with socket.create_connection(("127.0.0.1", server.port), timeout=0.2) as connection:
        connection.sendall(b"PING\r\n")
        with pytest.raises(TimeoutError):
            connection.recv(10)
        server.resume()
        connection.settimeout(10)
        assert connection.recv(10) == b"+PONG\r\n"


def test_a_cluster_refuses_commands_over_several_slots(backend: Backend) -> None:
    server = backend.private_redis(cluster=True)
    with redis.RedisCluster.from_url(server.uri.replace("+cluster", "")) as client:
        assert client.set("{a}1", "x")
    with server.client() as node, pytest.raises(redis.ResponseError, match="same slot"):
        node.eval("return 1", 2, "{a}1", "{b}1")


def test_the_sql_server_survives_kill_with_what_was_committed(
    private_sql_server: Callable[[], SqlServer],
) -> None:
    server = private_sql_server()
    uri = server.create_database()
    _run(uri, "CREATE TABLE t (n INTEGER PRIMARY KEY)", "INSERT INTO t VALUES (7)")
    server.kill()
    with pytest.raises(OperationalError):
        _run(uri, "SELECT 1")
    server.start()
    assert _run(uri, "SELECT n FROM t") == [(7,)]
    server.restart()
    assert _run(uri, "SELECT n FROM t") == [(7,)]


@pytest.mark.parametrize("backend", ["real"], indirect=True)
def test_the_sql_server_is_in_another_time_zone_and_its_user_is_no_administrator(backend: Backend) -> None:
    assert _run(backend.database_uri, "SELECT timestampdiff(HOUR, utc_timestamp(), now())") == [(8,)]
    with pytest.raises(OperationalError) as refused:
        _run(backend.database_uri, "CREATE DATABASE another_users")
    assert isinstance(refused.value.orig, pymysql.err.OperationalError)
    assert refused.value.orig.args[0] == 1044


def test_the_process_is_in_chinas_time_zone() -> None:
    assert time.localtime(0).tm_hour == 8


def test_the_folder_is_this_workers_own(run_folder: Path, worker_name: str) -> None:
    assert run_folder.name == worker_name
    assert run_folder.stat().st_uid == os.getuid()


def test_a_password_is_accepted_with_and_without_tls(
    private_sql_server: Callable[[], SqlServer],
) -> None:
    server = private_sql_server()
    with closing(server.as_administrator()) as root, root.cursor() as cursor:
        cursor.execute("SELECT plugin FROM mysql.user WHERE user = 'dt'")
        assert cursor.fetchall() == ((TESTED.password_plugin,),)
    # A server that was just started knows no password yet, and asks for it: under TLS, or with its public key.
    for options in ("", "&ssl_disabled=true"):
        database = Database(server.create_database() + options)
        with database.transaction() as session:
            encrypted = session.execute(text("SHOW STATUS LIKE 'Ssl_cipher'")).one()[1] != ""
        assert encrypted == (TESTED.offers_tls and not options)
        database.dispose()
        server.restart()
