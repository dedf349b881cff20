"""Transactions of packets: all or nothing, hooks once, and a session in the same transaction where one is wanted."""

from __future__ import annotations

import itertools
import socket
import sqlite3
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pymysql
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import String, bindparam, insert, inspect, select, text
from sqlalchemy.exc import DBAPIError, IntegrityError

from datingtoday.accounts.models import SmsNumber
from datingtoday.infra import kept_connections
from datingtoday.infra.db import Database, on_commit
from datingtoday.infra.kept_connections import KeptConnections
from datingtoday.infra.packet_connection import PacketConnection
from datingtoday.infra.packet_transaction import PacketTransaction
from datingtoday.infra.packets import Packet
from datingtoday.infra.pooled_connections import PING_AFTER_S
from tests.plugins.api import Api
from tests.plugins.polling import wait_until

ON_REAL = pytest.mark.parametrize("shared_backend", ["real"], indirect=True)
_numbers = itertools.count(1)


def put(name: str) -> Any:
    return insert(SmsNumber).values(phone=bindparam(name), last_sent_at=bindparam("at"))


PUT_ONE, PUT_THREE = Packet(put("one")), Packet(put("one"), put("two"), put("three"))
READ = Packet(select(SmsNumber.phone).where(SmsNumber.phone == bindparam("one")))


@pytest.fixture
def database(api: Api) -> Database:
    return api.parts.base.database


@pytest.fixture
def work(database: Database) -> Iterator[PacketTransaction]:
    made = PacketTransaction(database.kept)
    yield made
    made.close()


def phones(**same: str) -> dict[str, Any]:
    new = {name: f"+8617{next(_numbers):09d}" for name in ("one", "two", "three")}
    return {**new, **{name: new[other] for name, other in same.items()}, "at": datetime.now(UTC)}


def stored(database: Database, params: dict[str, Any]) -> set[str]:
    with database.transaction(write=False) as session:
        wanted = [params[name] for name in ("one", "two", "three")]
        return set(session.scalars(select(SmsNumber.phone).where(SmsNumber.phone.in_(wanted))))


def test_the_last_packet_is_committed_and_its_hooks_run_once(
    database: Database, work: PacketTransaction
) -> None:
    params, told = phones(), list[str]()
    assert work.run(READ, params) == [[]]
    work.run_last(PUT_THREE, params)
    on_commit(work, lambda: told.append("committed"))
    assert not told
    work.finish()
    assert told == ["committed"]
    work.close()
    assert told == ["committed"]
    assert stored(database, params) == {params["one"], params["two"], params["three"]}


def test_a_statement_that_fails_leaves_nothing_of_its_packet(
    database: Database, work: PacketTransaction
) -> None:
    params, told = phones(two="one"), list[str]()
    on_commit(work, lambda: told.append("of what failed"))
    with pytest.raises(IntegrityError):
        work.run_last(PUT_THREE, params)
    work.rollback()
    assert stored(database, params) == set()
    # It begins anew, also for what was in the way of itself.
    again = phones()
    work.run_last(PUT_ONE, {**params, **again})
    work.finish()
    assert stored(database, again) == {again["one"]}
    assert not told


def test_what_was_not_committed_is_undone_with_the_end(database: Database, work: PacketTransaction) -> None:
    params = phones()
    work.run(PUT_THREE, params)
    assert work.run(READ, params) == [[[params["one"]]]]
    work.close()
    assert stored(database, params) == set()


@pytest.mark.parametrize("keep", [True, False], ids=["committed", "undone"])
def test_a_session_goes_on_in_the_same_transaction(
    database: Database, work: PacketTransaction, keep: bool
) -> None:
    params, told = phones(), list[str]()
    on_commit(work, lambda: told.append("first"))
    work.run(PUT_ONE, params)
    assert work.session.scalar(select(SmsNumber.phone).where(SmsNumber.phone == params["one"]))
    row = SmsNumber(phone=params["two"], last_sent_at=params["at"])
    work.session.add(row)
    on_commit(work.session, lambda: told.append("second"))
    work.run_last(Packet(put("three")), params)
    if keep:
        work.finish()
        assert (told, len(stored(database, params))) == (["first", "second"], 3)
        assert not inspect(row).expired_attributes, "what was read may be told after the commit"
    else:
        work.rollback()
        assert (told, stored(database, params)) == ([], set())


def test_packets_within_the_transaction_of_a_session_are_committed_with_it(database: Database) -> None:
    params, told = phones(), list[str]()
    with pytest.raises(ZeroDivisionError), database.transaction() as session:
        PacketTransaction.within(session).run_last(PUT_ONE, params)
        raise ZeroDivisionError
    assert stored(database, params) == set()
    with database.transaction() as session:
        work = PacketTransaction.within(session)
        work.run_last(PUT_ONE, params)
        on_commit(work, lambda: told.append("committed"))
    assert (told, stored(database, params)) == (["committed"], {params["one"]})


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=50)
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=300), st.integers(-(2**62), 2**62))
@example("'\"\\%s%%%(one)s\x00\x1a\n;-- 你😀", 0)
@example("a" * 250, 1)
@example("你" * 30_000, -1)
@example("x" * 300_000, 2)
def test_values_come_back_as_they_were(work: PacketTransaction, text: str, number: int) -> None:
    packet = Packet(select(bindparam("text", type_=String()), bindparam("number"), bindparam("none")))
    read = work.run(packet, {"text": text, "number": number, "none": None})
    assert read == [[[text, number, None]]]


@pytest.mark.parametrize("shared_backend", ["embedded"], indirect=True)
def test_a_commit_that_is_refused_leaves_no_lock(
    database: Database, work: PacketTransaction, monkeypatch: pytest.MonkeyPatch
) -> None:
    params, told = phones(), list[str]()

    def refuse(_: Any) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    work.run_last(PUT_ONE, params)
    on_commit(work, lambda: told.append("committed"))
    with monkeypatch.context() as patch, pytest.raises(DBAPIError, match="full"):
        patch.setattr(database.engine.dialect, "do_commit", refuse)
        work.finish()
    work.close()
    again = phones()
    with database.transaction() as session:
        session.add(SmsNumber(phone=again["one"], last_sent_at=again["at"]))
    assert (stored(database, params), stored(database, again), told) == (set(), {again["one"]}, [])


@ON_REAL
def test_a_connection_that_is_lost_is_told_as_lost_and_thrown_away(
    database: Database, work: PacketTransaction
) -> None:
    params = phones()
    work.run(PUT_ONE, params)
    lost = work.session.connection().connection.driver_connection
    assert isinstance(lost, PacketConnection)
    work.rollback()
    work.run(PUT_ONE, params)
    lost._sock.shutdown(socket.SHUT_RDWR)
    with pytest.raises(DBAPIError) as caught:
        work.run(READ, params)
    assert caught.value.connection_invalidated
    work.rollback()
    work.run_last(PUT_ONE, params)
    work.finish()
    assert stored(database, params) == {params["one"]}
    assert not lost.open


@ON_REAL
@pytest.mark.parametrize("number", [1053, 1290])
def test_a_connection_to_another_server_is_thrown_away(
    database: Database, work: PacketTransaction, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: PacketConnection, text: str) -> None:
        raise pymysql.err.OperationalError(number, "not here")

    monkeypatch.setattr(PacketConnection, "run_and_commit", refuse)
    with pytest.raises(DBAPIError) as caught:
        work.run_last(PUT_ONE, phones())
    assert caught.value.connection_invalidated


@ON_REAL
def test_an_answer_of_two_columns_is_none_of_a_packet(database: Database) -> None:
    pooled = database.engine.raw_connection()
    connection: Any = pooled.driver_connection
    assert connection.run_packet("DO 1; SELECT 'a' UNION SELECT 'bc'; SELECT 1 FROM DUAL WHERE 1 = 0") == [
        [], [b"a", b"bc"], []
    ]  # fmt: skip
    with pytest.raises(pymysql.err.InternalError):
        connection.run_packet("SELECT 1, 2")
    assert not connection.open
    pooled.invalidate()


def test_a_few_connections_are_kept_for_as_long_as_the_pool_would_not_ask_for_them(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = KeptConnections(database.engine, most=1)
    one, other = kept.take(), kept.take()
    kept.give_back(one)
    kept.give_back(other)
    assert (one.closed, other.closed) == (False, True)
    monkeypatch.setattr(kept_connections, "PING_AFTER_S", 3600)
    assert kept.take() is one
    kept.give_back(one)
    monkeypatch.setattr(kept_connections, "PING_AFTER_S", 0)
    another = kept.take()
    assert another is not one
    assert one.closed
    kept.give_back(another)
    kept.clear()
    assert another.closed


def test_one_on_which_all_was_undone_is_kept(database: Database) -> None:
    kept = KeptConnections(database.engine, most=1)
    work, params = PacketTransaction(kept), phones()
    work.run(PUT_ONE, params)
    work.rollback()
    work.close()
    ((connection, _),) = kept._kept
    assert not connection.closed and not connection.in_transaction()
    kept.clear()
    assert stored(database, params) == set()


@ON_REAL
def test_those_that_are_kept_go_when_one_of_them_is_lost(database: Database) -> None:
    kept = KeptConnections(database.engine, most=2)
    lost, other = kept.take(), kept.take()
    raw: Any = lost.connection.driver_connection
    kept.give_back(other)
    kept.give_back(lost)
    raw._sock.shutdown(socket.SHUT_RDWR)
    work = PacketTransaction(kept)
    with pytest.raises(DBAPIError):
        work.run(READ, phones())
    work.close()
    assert lost.closed
    assert other.closed, "its server is gone as well"


@ON_REAL
def test_one_that_lay_idle_too_long_is_asked_for_before_anybody_uses_it(database: Database) -> None:
    own = Database(database.uri, pool_size=2)
    connection = own.kept.take()
    raw: Any = connection.connection.driver_connection
    own.kept.give_back(connection)
    raw._sock.shutdown(socket.SHUT_RDWR)
    given_back_at = time.monotonic()
    wait_until(
        lambda: time.monotonic() - given_back_at > PING_AFTER_S, "the time after which it is asked for"
    )
    # This takes it out of those that are kept, back into the pool.
    other = own.kept.take()
    assert other.scalar(text("SELECT 1")) == 1
    other.close()
    own.dispose()
