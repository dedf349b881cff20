"""Errors of MariaDB and MySQL by their numbers: what is tried again, what is "unavailable", what ends a connection.

Numbers as in the servers' error references; those of one server only are marked.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pymysql
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from datingtoday.infra import packet_connection
from datingtoday.infra.db import Database, DatabaseDown, is_down, is_other_server, should_retry

LOST_RACES = {
    1020: "record has changed since last read (MariaDB)",
    1205: "lock wait timeout exceeded",
    1213: "deadlock found",
    3101: "rollback by the plugin of a group (MySQL)",
}
OTHER_SERVER = {
    0: "connection closed",
    1040: "too many connections",
    1044: "access denied to database",
    1045: "access denied for user",
    1047: "unknown command: a node that is not part of its cluster",
    1049: "unknown database",
    1053: "server shutdown in progress",
    1129: "host is blocked",
    1130: "host is not allowed to connect",
    1142: "command denied for table",
    1143: "command denied for column",
    1158: "error reading communication packets",
    1159: "timeout reading communication packets",
    1160: "error writing communication packets",
    1161: "timeout writing communication packets",
    1184: "aborted connection",
    1203: "user has too many connections",
    1226: "user has exceeded a resource",
    1227: "access denied, a privilege is needed",
    1290: "option prevents the statement: --read-only",
    1370: "command denied for routine",
    1698: "access denied without a password",
    1792: "cannot execute in a read-only transaction",
    1820: "password must be reset (ALTER USER)",
    1836: "running in read-only mode",
    1862: "password has expired",
    1927: "connection was killed (MariaDB)",
    3032: "server is in offline mode",
    3118: "account is locked (MySQL)",
    3159: "secure transport is required (MySQL)",
    3168: "server is not configured properly for a plugin (MySQL)",
    3169: "session was killed (MySQL)",
    3955: "account is blocked after failed logins (MySQL)",
    4031: "disconnected for inactivity (MySQL)",
    4151: "account is locked (MariaDB)",
}
BUSY = {
    1021: "disk full",
    1023: "error on close",
    1024: "error reading a file",
    1026: "error writing a file",
    1030: "error from the storage engine",
    1037: "out of memory",
    1038: "out of sort memory",
    1041: "out of memory; more swap space",
    1114: "table is full",
    1135: "cannot create a thread",
    1206: "total number of locks exceeds the lock table",
    1317: "query execution was interrupted",
    1969: "max_statement_time exceeded (MariaDB)",
    3024: "maximum statement execution time exceeded (MySQL)",
}
OF_THE_DRIVER = (2000, 2003, 2006, 2013, 2099)
"""PyMySQL's own, about the connection."""
OF_THE_STATEMENT = (1048, 1054, 1062, 1064, 1146, 1264, 1292, 1366, 1406, 1452, 1999, 2100, 3140, 4025)
"""A statement that is wrong, or data that do not fit: the server is well, and says so each time."""


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    made = Database(f"sqlite:///{tmp_path}/own.sqlite3", timeout_s=0.1)
    with made.transaction() as session:
        session.execute(text("CREATE TABLE word (id INTEGER PRIMARY KEY, text VARCHAR(20) NOT NULL)"))
    yield made
    made.dispose()


def error_of(number: int) -> DBAPIError:
    """As SQLAlchemy tells of an error of the driver."""
    return DBAPIError("SELECT 1", None, pymysql.err.OperationalError(number, "said by the server"))


@pytest.mark.parametrize("number", LOST_RACES)
def test_lost_races_are_tried_again_by_the_same_connection(number: int) -> None:
    error = error_of(number)
    assert (should_retry(error), is_down(error)) == (True, True)
    assert error.orig is not None and not is_other_server(error.orig)


@pytest.mark.parametrize("number", OTHER_SERVER)
def test_after_these_a_connection_is_thrown_away(number: int) -> None:
    error = error_of(number)
    assert (should_retry(error), is_down(error)) == (False, True)
    assert error.orig is not None and is_other_server(error.orig)


@pytest.mark.parametrize("number", [*BUSY, *OF_THE_DRIVER])
def test_these_are_unavailable_and_no_more(number: int) -> None:
    error = error_of(number)
    assert (should_retry(error), is_down(error)) == (False, True)
    assert error.orig is not None and not is_other_server(error.orig)


@pytest.mark.parametrize("number", OF_THE_STATEMENT)
def test_faults_of_a_statement_are_faults(number: int) -> None:
    error = error_of(number)
    assert (should_retry(error), is_down(error)) == (False, False)
    assert error.orig is not None and not is_other_server(error.orig)


def test_errors_without_a_number_are_judged_by_their_text() -> None:
    for words, is_gone in (
        ("database is locked", True), ("unable to open database file", True), ("disk I/O error", True),
        ("database or disk is full", True), ("no such column: x", False),
    ):  # fmt: skip
        orig = sqlite3.OperationalError(words)
        told = DBAPIError.instance("SELECT 1", None, orig, sqlite3.Error)
        assert isinstance(told, DBAPIError)
        assert (should_retry(told), is_down(told), is_other_server(orig)) == (False, is_gone, False), words
    assert not is_other_server(ValueError())
    assert is_down(DBAPIError("SELECT 1", None, ValueError("lost"), connection_invalidated=True))


def test_a_statement_that_fails_names_no_value(database: Database) -> None:
    with pytest.raises(DBAPIError) as caught, database.transaction() as session:
        session.execute(text("INSERT INTO word VALUES (:id, :text)"), {"id": 47_114_711, "text": None})
    assert "NOT NULL" in str(caught.value) and "47114711" not in str(caught.value)


class TestOnSqlite:
    """A transaction that writes takes the write lock at its beginning; one that reads never waits for it."""

    @pytest.fixture
    def writer(self, database: Database) -> Iterator[sqlite3.Connection]:
        """A process that holds the write lock."""
        with closing(sqlite3.connect(str(database.engine.url.database), timeout=0)) as connection:
            connection.isolation_level = None
            yield connection

    def test_the_lock_is_taken_before_anything_is_read(
        self, database: Database, writer: sqlite3.Connection
    ) -> None:
        with database.transaction() as session:
            session.execute(text("SELECT 1"))
            with pytest.raises(sqlite3.OperationalError, match="locked"):
                writer.execute("BEGIN IMMEDIATE")
        with database.reading() as session:
            session.execute(text("SELECT 1"))
            writer.execute("BEGIN IMMEDIATE")
            writer.execute("ROLLBACK")
        session = database.session(write=True)
        session.execute(text("SELECT 1"))
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            writer.execute("BEGIN IMMEDIATE")
        session.close()

    def test_reading_goes_on_while_another_writes(
        self, database: Database, writer: sqlite3.Connection
    ) -> None:
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("INSERT INTO word VALUES (1, 'one')")
        for _ in range(2):
            with database.reading() as session:
                assert session.execute(text("SELECT text FROM word")).all() == []
        with pytest.raises(DatabaseDown), database.transaction() as session:
            session.execute(text("SELECT 1"))
        writer.execute("COMMIT")
        with database.reading() as session:
            assert session.scalar(text("SELECT text FROM word")) == "one"

    def test_a_commit_is_on_disk_and_references_are_checked(self, database: Database) -> None:
        with database.statements() as connection:
            told = [
                connection.exec_driver_sql(f"PRAGMA {name}").scalar()
                for name in ("journal_mode", "synchronous", "foreign_keys")
            ]
        assert told == ["wal", 2, 1]

    def test_a_refused_commit_leaves_no_lock(self, database: Database, writer: sqlite3.Connection) -> None:
        def refuse(_connection: Any) -> None:
            raise sqlite3.OperationalError("database or disk is full")

        dialect: Any = database.engine.dialect
        commit, dialect.do_commit = dialect.do_commit, refuse
        try:
            with pytest.raises(DatabaseDown), database.transaction() as session:
                session.execute(text("INSERT INTO word VALUES (1, 'one')"))
        finally:
            dialect.do_commit = commit
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("ROLLBACK")
        with database.reading() as session:
            assert session.execute(text("SELECT 1 FROM word")).all() == []

    def test_threads_share_an_engine(self, database: Database) -> None:
        """A connection that one thread gave back is used by another."""
        with database.reading() as session:
            session.execute(text("SELECT 1"))
        found: list[Any] = []

        def read() -> None:
            with database.reading() as session:
                found.append(session.scalar(text("SELECT 2")))

        thread = threading.Thread(target=read)
        thread.start()
        thread.join(30)
        assert found == [2]


class TestBeyondSqlite:
    """Options that a connection to MariaDB or MySQL is made with; nothing is connected to here."""

    @pytest.fixture
    def asked(self, monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Any]]:
        found: list[dict[str, Any]] = []

        def connect(*_: Any, **options: Any) -> None:
            found.append(options)
            raise pymysql.err.OperationalError(2003, "nobody is there")

        monkeypatch.setattr(packet_connection, "PacketConnection", connect)

        def ask(**options: Any) -> dict[str, Any]:
            database = Database("mysql+pymysql://nobody@127.0.0.1:1/none", **options)
            with pytest.raises(DatabaseDown), database.transaction() as session:
                session.execute(text("SELECT 1"))
            assert database.engine.hide_parameters
            return found.pop()

        return ask

    @pytest.mark.parametrize(("timeout_s", "whole"), [(0.3, 1), (1.9, 1), (5.0, 5)])
    def test_a_connection_is_waited_for_in_whole_seconds(
        self, asked: Callable[..., dict[str, Any]], timeout_s: float, whole: int
    ) -> None:
        assert asked(timeout_s=timeout_s)["connect_timeout"] == whole

    def test_an_answer_is_waited_for_ten_seconds_and_a_lock_five(
        self, asked: Callable[..., dict[str, Any]]
    ) -> None:
        options = asked()
        assert (options["read_timeout"], options["write_timeout"]) == (10, 10)
        assert options["init_command"] == "SET time_zone = '+00:00', innodb_lock_wait_timeout = 5"
