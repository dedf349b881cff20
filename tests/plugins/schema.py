"""Tables as the migrations make them: made once in a process, then copied into further databases, which is quicker."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pymysql
from pymysql.constants import CLIENT
from sqlalchemy import URL, make_url

from datingtoday.infra import migrations

_made: dict[str, Any] = {}
"""By kind of database: the file of SQLite, or statements."""
_up: set[str] = set()


def bring_up(uri: str) -> None:
    """Give a database the tables of the newest schema; where others than these are there, by migrating."""
    url = make_url(uri)
    kind = url.get_backend_name()
    is_empty = _is_empty(url)
    if not is_empty and uri in _up:
        return
    if is_empty and kind in _made:
        if kind == "sqlite":
            _path(url).write_bytes(_made[kind])
        else:
            _run_together(url, _made[kind])
    else:
        migrations.upgrade(uri)
        if is_empty:
            _made[kind] = copy_of(uri)
    _up.add(uri)


def copy_of(uri: str) -> Any:
    """All that a database holds, in the form in which `bring_up` keeps it."""
    url = make_url(uri)
    if url.get_backend_name() == "sqlite":
        with closing(sqlite3.connect(_path(url))) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        return _path(url).read_bytes()
    statements = ["SET FOREIGN_KEY_CHECKS = 0"]
    with closing(_connect(url)) as connection, connection.cursor() as cursor:
        for table in _tables(cursor):
            cursor.execute(f"SHOW CREATE TABLE `{table}`")
            statements.append(cursor.fetchall()[0][1])
            cursor.execute(f"SELECT * FROM `{table}`")
            statements += [
                cursor.mogrify(f"INSERT INTO `{table}` VALUES ({', '.join(['%s'] * len(row))})", row)
                for row in cursor.fetchall()
            ]
    return ";\n".join(statements)


def _is_empty(url: URL) -> bool:
    if url.get_backend_name() == "sqlite":
        return not _path(url).exists() or _path(url).stat().st_size == 0
    with closing(_connect(url)) as connection, connection.cursor() as cursor:
        return not _tables(cursor)


def _tables(cursor: Any) -> list[str]:
    cursor.execute("SHOW TABLES")
    return [name for (name,) in cursor.fetchall()]


def _run_together(url: URL, statements: str) -> None:
    with closing(_connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute(statements)
        while cursor.nextset():
            pass
        connection.commit()


def _path(url: URL) -> Path:
    assert url.database is not None
    return Path(url.database)


def _connect(url: URL) -> Any:
    arguments: dict[str, Any] = url.translate_connect_args(username="user")
    return pymysql.connect(**arguments, charset="utf8mb4", client_flag=CLIENT.MULTI_STATEMENTS)
