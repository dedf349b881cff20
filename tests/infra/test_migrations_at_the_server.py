"""Migrations on MySQL and MariaDB, of which no server is needed here: errors by their numbers, and the lock."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pymysql
import pytest
from sqlalchemy.exc import DBAPIError

from datingtoday.infra import migrations
from datingtoday.infra.migrations import DatabaseUnreachable, MigrationError


@pytest.mark.parametrize(
    ("arguments", "is_unreachable"),
    [
        ((1044, "access denied"), True), ((1045, "access denied"), True), ((1049, "unknown database"), True),
        ((2000, "unknown"), True), ((2003, "cannot connect"), True), ((2013, "lost"), True),
        ((1043, "bad handshake"), False), ((1046, "no database"), False), ((1050, "table exists"), False),
        ((1064, "syntax"), False), ((1999, "x"), False), (("a text",), False), ((), False),
    ],
)  # fmt: skip
def test_a_server_that_lets_nobody_in_is_no_failed_migration(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, arguments: tuple[Any, ...], is_unreachable: bool
) -> None:
    def refuse(_: str) -> None:
        raise DBAPIError("ALTER TABLE x", None, pymysql.err.OperationalError(*arguments))

    monkeypatch.setattr(migrations, "_exclusive", refuse)
    with pytest.raises(MigrationError) as caught:
        migrations.upgrade(f"sqlite:///{tmp_path}/none.sqlite3")
    assert isinstance(caught.value, DatabaseUnreachable) is is_unreachable
    assert caught.value.en.startswith("[DATABASE] uri" if is_unreachable else "a migration failed")


class Connection:
    """Answers to GET_LOCK, and what was said."""

    def __init__(self, database: str, taken: int | None) -> None:
        self.engine = SimpleNamespace(url=SimpleNamespace(database=database))
        self.taken = taken
        self.invalidated = False
        self.said: list[str] = []
        self.names: list[str] = []
        self.wait_s: int | None = None

    def execute(self, statement: Any, params: dict[str, Any]) -> Any:
        self.said.append(str(statement).partition("(")[0].removeprefix("SELECT "))
        self.names.append(params["name"])
        self.wait_s = params.get("wait_s", self.wait_s)
        return SimpleNamespace(scalar=lambda: self.taken)

    def commit(self) -> None:
        self.said.append("COMMIT")

    def rollback(self) -> None:
        self.said.append("ROLLBACK")


class TestLock:
    """One process migrates a database; others wait for ten minutes."""

    def test_it_is_let_go_whatever_happens(self) -> None:
        for error in (None, ZeroDivisionError):
            connection: Any = Connection("dt", 1)
            with (
                pytest.raises(ZeroDivisionError) if error else _nothing(),
                migrations._mysql_lock(connection),
            ):
                # An open transaction would keep Alembic from committing its own.
                assert connection.said == ["GET_LOCK", "COMMIT"]
                if error:
                    raise error
            assert connection.said[2:] == ["ROLLBACK", "RELEASE_LOCK", "COMMIT"]
            assert connection.names == ["datingtoday.dt"] * 2
            assert connection.wait_s == 600

    @pytest.mark.parametrize("taken", [0, None])
    def test_one_that_another_holds_is_told(self, taken: int | None) -> None:
        connection: Any = Connection("dt", taken)
        with pytest.raises(MigrationError, match="for 600 s"), migrations._mysql_lock(connection):
            raise AssertionError("nobody migrates without it")
        assert connection.said == ["GET_LOCK", "COMMIT"]

    def test_its_name_has_sixty_four_characters_at_most(self) -> None:
        connection: Any = Connection("d" * 64, 1)
        with migrations._mysql_lock(connection):
            connection.invalidated = True
        assert connection.names == [f"datingtoday.{'d' * 52}"]
        assert connection.said == ["GET_LOCK", "COMMIT"], "a lost connection has lost the lock"


@contextmanager
def _nothing() -> Iterator[None]:
    yield
