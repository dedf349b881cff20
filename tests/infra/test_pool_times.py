"""Connections of a pool by a clock of the test's own: when one is asked whether its server is still there."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine
from sqlalchemy.exc import OperationalError

from datingtoday.infra import kept_connections, pooled_connections
from datingtoday.infra.kept_connections import KeptConnections
from datingtoday.infra.pooled_connections import attend, give_back


class Clock:
    now = 100.0

    def monotonic(self) -> float:
        return self.now


class Pings:
    """Answers to pings: True, False, or an error."""

    def __init__(self) -> None:
        self.asked = 0
        self.answer: Any = True

    def __call__(self, _: object) -> Any:
        self.asked += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    for module in (kept_connections, pooled_connections):
        monkeypatch.setattr(module, "time", made)
    return made


@pytest.fixture
def engine(tmp_path: Path, clock: Clock) -> Iterator[Engine]:
    made = create_engine(f"sqlite:///{tmp_path}/pool.sqlite3", pool_size=2, pool_reset_on_return=None)
    attend(made)
    yield made
    made.dispose()


@pytest.fixture
def pings(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Pings:
    made = Pings()
    monkeypatch.setattr(engine.dialect, "do_ping", made)
    return made


def use(engine: Engine) -> Any:
    """Take a connection and give it back; the driver's own."""
    with engine.connect() as connection:
        return connection.connection.driver_connection


def test_after_half_a_second_it_is_asked(engine: Engine, clock: Clock, pings: Pings) -> None:
    first = use(engine)
    for now, asked in ((100.0, 0), (100.25, 0), (100.5, 0), (101.0, 1), (101.25, 1), (102.0, 2)):
        clock.now = now
        assert use(engine) is first
        assert pings.asked == asked, now


def test_one_that_lay_elsewhere_is_as_old_as_its_last_use(engine: Engine, clock: Clock, pings: Pings) -> None:
    connection = engine.connect()
    clock.now = 200.0
    give_back(connection, 199.5)
    use(engine)
    assert pings.asked == 1
    clock.now = 200.25
    use(engine)
    assert pings.asked == 1, "and from then on counts as any other"


@pytest.mark.parametrize("answer", [False, sqlite3.OperationalError("gone")])
def test_one_whose_server_has_gone_is_replaced(
    engine: Engine, clock: Clock, pings: Pings, monkeypatch: pytest.MonkeyPatch, answer: Any
) -> None:
    monkeypatch.setattr(engine.dialect, "is_disconnect", lambda *_: True)
    first = use(engine)
    clock.now, pings.answer = 101.0, answer
    assert use(engine) is not first
    assert pings.asked == 1


def test_another_error_is_told(
    engine: Engine, clock: Clock, pings: Pings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine.dialect, "is_disconnect", lambda *_: False)
    use(engine)
    clock.now, pings.answer = 101.0, sqlite3.OperationalError("of another kind")
    with pytest.raises((sqlite3.OperationalError, OperationalError), match="of another kind"):
        use(engine)


def test_those_at_hand_are_taken_within_half_a_second(engine: Engine, clock: Clock, pings: Pings) -> None:
    kept = KeptConnections(engine, most=2)
    first = kept.take()
    kept.give_back(first)
    clock.now = 100.25
    assert kept.take() is first
    kept.give_back(first)
    clock.now = 100.75
    another = kept.take()
    assert another is not first and first.closed
    assert pings.asked == 1, "by the pool, which had it back as old as it was"
    another.close()


def test_the_last_one_that_was_given_back_is_taken_first(engine: Engine, pings: Pings) -> None:
    kept = KeptConnections(engine, most=2)
    one, other = kept.take(), kept.take()
    third = SimpleNamespace(close=lambda: closed.append(True))
    closed: list[bool] = []
    for connection in (one, other, third):
        kept.give_back(connection)  # type: ignore[arg-type]
    assert closed == [True], "two are enough"
    assert kept.take() is other
    assert kept.take() is one
    for connection in (one, other):
        kept.give_back(connection)
    kept.clear()
    assert one.closed and other.closed
