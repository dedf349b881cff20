"""Transactions of a database and its pool, to the last attempt and the last connection."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.dialects import mysql, sqlite
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.orm import Session

from datingtoday.infra import db as db_module
from datingtoday.infra.db import Database, DatabaseDown, UTCDateTime, before_commit, on_commit
from tests.infra.recorded_log import RecordedLog


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    made = Database(f"sqlite:///{tmp_path}/x.sqlite3", pool_size=1, timeout_s=0.05)
    with made.statements() as connection:
        connection.execute(text("CREATE TABLE word (id INTEGER PRIMARY KEY)"))
    yield made
    made.dispose()


def put(session: Session, number: int = 1) -> None:
    session.execute(text("INSERT INTO word VALUES (:number)"), {"number": number})


def words(database: Database) -> list[int]:
    with database.reading() as session:
        return list(session.scalars(text("SELECT id FROM word ORDER BY id")))


class TestRetries:
    @pytest.mark.parametrize("failures", [0, 1, 4, 5, 6])
    def test_work_is_tried_five_times(self, database: Database, failures: int) -> None:
        tries: list[Session] = []

        def work(session: Session) -> str:
            tries.append(session)
            put(session)
            if len(tries) <= failures:
                put(session)
            return "done"

        if failures < 5:
            assert database.retried(work, also=(IntegrityError,)) == "done"
            assert words(database) == [1]
        else:
            with pytest.raises(DatabaseDown, match=r"^lost every race$"):
                database.retried(work, also=(IntegrityError,))
            assert words(database) == []
        assert len(tries) == min(failures + 1, 5)

    def test_other_errors_are_raised_at_once(self, database: Database) -> None:
        tries: list[Session] = []

        def work(session: Session) -> None:
            tries.append(session)
            put(session)
            put(session)

        with pytest.raises(IntegrityError):
            database.retried(work)
        assert len(tries) == 1


class TestPool:
    def test_who_finds_no_connection_is_told_that_the_database_is_down(self, database: Database) -> None:
        with ExitStack() as stack:
            # As many again may be opened for a burst.
            for _ in range(2):
                stack.enter_context(database.engine.connect())
            for begin in (database.transaction, database.statements):
                with pytest.raises(DatabaseDown, match="QueuePool limit of size 1 overflow 1"), begin() as it:
                    it.execute(text("SELECT 1"))
        assert words(database) == []

    @pytest.mark.parametrize("close", [True, False])
    def test_connections_are_closed_but_not_those_of_a_parent(self, database: Database, close: bool) -> None:
        with database.engine.connect() as taken:
            raw: Any = taken.connection.driver_connection
        database.dispose(**({} if close else {"close": False}))
        if close:
            with pytest.raises(sqlite3.ProgrammingError, match="closed database"):
                raw.execute("SELECT 1")
        else:
            raw.execute("SELECT 1")
            raw.close()

    def test_of_sqlite_none_is_kept_at_hand(self, database: Database) -> None:
        taken = database.kept.take()
        database.kept.give_back(taken)
        assert taken.closed

    @pytest.mark.parametrize(("size", "kept"), [(1, 0), (5, 2), (10, 5)])
    def test_of_others_half_of_them_and_each_for_half_an_hour(self, size: int, kept: int) -> None:
        made = Database("mysql+pymysql://nobody@127.0.0.1:1/none", pool_size=size, timeout_s=2)
        pool: Any = made.engine.pool
        assert made.kept._most == kept
        assert (pool.size(), pool._max_overflow, pool._timeout) == (size, size, 2)
        assert pool._recycle == 1_800
        assert pool._pool.use_lifo, "a few are used often, and the others end"


class TestCommit:
    def test_hooks_run_in_their_order_also_those_that_hooks_add(self, database: Database) -> None:
        told: list[str] = []
        with database.transaction() as session:

            def first() -> None:
                told.append("first")
                before_commit(session, lambda: told.append("of the first"))

            before_commit(session, first)
            before_commit(session, lambda: told.append("second"))
            on_commit(session, lambda: told.append("after"))
            put(session)
            assert told == []
        assert told == ["first", "second", "of the first", "after"]
        assert words(database) == [1]

    def test_one_before_it_that_fails_prevents_it(self, database: Database) -> None:
        told: list[str] = []

        def refuse() -> None:
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError), database.transaction() as session:
            put(session)
            on_commit(session, lambda: told.append("after"))
            before_commit(session, refuse)
        assert (told, words(database)) == ([], [])

    def test_one_after_it_that_fails_is_logged_and_stops_no_other(
        self, database: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        log, told = RecordedLog(), list[str]()
        monkeypatch.setattr(db_module, "log", log)

        class Hook:
            def __call__(self) -> None:
                raise ZeroDivisionError

        def refuse() -> None:
            raise ZeroDivisionError

        with database.transaction() as session:
            put(session)
            for hook in (refuse, Hook(), lambda: told.append("after")):
                on_commit(session, hook)
        assert (told, words(database)) == (["after"], [1])
        assert [line for line, _ in log.lines] == ["exception after_commit_hook_failed"] * 2
        names = [it["hook"] for _, it in log.lines]
        assert names[0].endswith("refuse") and names[1].endswith("Hook'>")

    def test_a_server_that_is_away_is_told_by_its_kind(self, tmp_path: Path) -> None:
        nowhere = Database(f"sqlite:///{tmp_path}/none/x.sqlite3")
        for begin in (nowhere.transaction, nowhere.statements, nowhere.reading):
            with pytest.raises(DatabaseDown, match=r"^OperationalError$"), begin() as it:
                it.execute(text("SELECT 1"))

    def test_a_fault_of_a_statement_is_a_fault(self, database: Database) -> None:
        for begin in (database.transaction, database.statements):
            with pytest.raises(OperationalError, match="no such table"), begin() as it:
                it.execute(text("SELECT 1 FROM words"))


def test_moments_are_stored_in_utc_with_microseconds() -> None:
    kind = UTCDateTime()
    dialect = sqlite.dialect()
    moment = datetime(2026, 1, 2, 3, 4, 5, 678_901, tzinfo=timezone(timedelta(hours=8)))
    stored = kind.process_bind_param(moment, dialect)
    assert stored == datetime(2026, 1, 1, 19, 4, 5, 678_901)
    found = kind.process_result_value(stored, dialect)
    assert found is not None and (found, found.tzinfo) == (moment, UTC)
    assert kind.process_bind_param(None, dialect) is kind.process_result_value(None, dialect) is None
    with pytest.raises(ValueError, match="without a zone"):
        kind.process_bind_param(datetime(2026, 1, 1), dialect)
    assert kind.load_dialect_impl(mysql.dialect()).fsp == 6
