"""Backends of tests: a database and the Redis roles, embedded or real."""

from __future__ import annotations

import itertools
import shutil
import sqlite3
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pymysql
from sqlalchemy.engine import make_url

from tests.plugins import sql_server
from tests.plugins.redis_server import Engine, RedisServer

KEPT_TABLES = ("alembic_version",)
Address = dict[str, str | int]
_numbers = itertools.count()


@dataclass(frozen=True)
class Backend:
    """Servers for one test (or, shared, for many), of one kind. Nobody else uses this database or this Redis."""

    kind: Engine
    """``embedded``: SQLite and Valkey, all roles in one database of it. ``real``: MariaDB or MySQL (`sql_product`) and
    Redis, with a database for each role."""
    database_uri: str
    """Without tables, unless a user made them."""
    redis_uri: str
    """Sessions, replay guard, limits."""
    cache_uri: str
    queue_uri: str
    folder: Path
    """An empty folder, for the server's data."""
    redis: RedisServer = field(repr=False)
    """For looking at it. To stop or kill one, take a `private_redis`: this one serves other tests, too."""
    _stack: ExitStack = field(repr=False)

    @property
    def is_real(self) -> bool:
        return self.kind == "real"

    def private_redis(self, *, cluster: bool = False) -> RedisServer:
        """A running Redis of this kind, which the test may stop, kill, freeze, wipe and set back."""
        server = RedisServer(self.kind, new_folder(self.folder.parent, "redis"), cluster=cluster)
        self._stack.callback(server.close)
        return server.start()

    def clear(self, keep: Collection[str] = ()) -> None:
        """Remove all rows, but for the tables named and Alembic's own, and everything in Redis."""
        clear_tables(self.database_uri, {*KEPT_TABLES, *keep})
        self.redis.flush()


@contextmanager
def make_backend(
    kind: Engine, redis: RedisServer, folder: Path, worker: str, sql: Callable[[], Address]
) -> Iterator[Backend]:
    """A backend with a new, empty database, which is dropped at the end, on the given Redis, emptied.

    :param folder: for its files; removed at the end.
    :param worker: names the database: two workers must never draw the same name.
    :param sql: called for the running SQL server only if it is needed.
    """
    redis.flush()
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        if kind == "real":
            address, name = sql(), f"dt_{worker}_{next(_numbers)}"
            sql_server.create_database(address, name)
            stack.callback(sql_server.drop_database, address, name)
            database_uri = sql_server.database_uri(address, name)
            redis_uri, cache_uri, queue_uri = (f"redis://127.0.0.1:{redis.port}/{n}" for n in range(3))
        else:
            database_uri = f"sqlite:///{new_folder(folder, 'sqlite') / 'test.db'}"
            redis_uri = cache_uri = queue_uri = redis.socket_uri
        data = new_folder(folder, "data")
        yield Backend(kind, database_uri, redis_uri, cache_uri, queue_uri, data, redis, stack)


def new_folder(parent: Path, name: str) -> Path:
    folder = parent / f"{name}{next(_numbers)}"
    folder.mkdir(parents=True)
    return folder


def clear_tables(database_uri: str, keep: Collection[str]) -> None:
    """Delete the rows of all tables but these, in one transaction; much faster than making the tables anew."""
    url = make_url(database_uri)
    if url.get_backend_name() == "sqlite":
        assert url.database is not None
        with closing(sqlite3.connect(url.database, timeout=10, isolation_level=None)) as connection:
            found = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
            tables = [name for (name,) in found if name not in keep and not name.startswith("sqlite_")]
            # Foreign keys are off on a new connection of SQLite.
            connection.execute("BEGIN IMMEDIATE")
            for table in tables:
                connection.execute(f'DELETE FROM "{table}"')
            connection.execute("COMMIT")
        return
    arguments: dict[str, Any] = url.translate_connect_args(username="user")
    with closing(pymysql.connect(**arguments, charset="utf8mb4", autocommit=False)) as connection:
        with connection.cursor() as cursor:
            cursor.execute("SET FOREIGN_KEY_CHECKS = 0")
            cursor.execute("SHOW FULL TABLES WHERE Table_type = 'BASE TABLE'")
            for table in [row[0] for row in cursor.fetchall() if row[0] not in keep]:
                cursor.execute(f"DELETE FROM `{table}`")
        connection.commit()
