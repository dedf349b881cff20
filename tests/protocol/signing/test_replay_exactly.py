"""Rare moments of the replay guard: lost races, a memory that goes on getting lost, and late readings."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from threading import Barrier, Event
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.exc import OperationalError
from structlog.testing import capture_logs

from datingtoday.infra.db import Database, DatabaseDown
from datingtoday.infra.milliseconds import epoch_ms
from datingtoday.infra.redis import RedisDown
from datingtoday.protocol.signing.md5_readings import Readings, only_reading
from datingtoday.protocol.signing.models import KeptSignature, ReplayBucket
from datingtoday.protocol.signing.replay import RECUT_HORIZON_S, Verdict
from datingtoday.protocol.signing.sql_memory import KeptSignatures
from tests.plugins.api import md5_sign
from tests.protocol.lab import Lab

ECHO = "/api/probe/echo"
NOW_S = 1_795_305_600
LOST_RACES = [("OperationalError", (1213, "deadlock")), ("IntegrityError", ("UNIQUE constraint failed",))]


@contextmanager
def losing(database: Database, times: int, kind: str, arguments: tuple[object, ...]) -> Iterator[list[str]]:
    """Let the next registrations of a bucket fail."""
    lost: list[str] = []

    def lose(_cursor: Any, text: str, _values: Any, context: Any) -> None:
        if "INSERT INTO replay_bucket" in text and len(lost) < times:
            lost.append(text)
            raise getattr(context.dialect.loaded_dbapi, kind)(*arguments)

    event.listen(database.engine, "do_execute", lose)
    try:
        yield lost
    finally:
        event.remove(database.engine, "do_execute", lose)


@pytest.mark.parametrize(("kind", "arguments"), LOST_RACES)
def test_two_processes_that_begin_at_once(lab: Lab, kind: str, arguments: tuple[object, ...]) -> None:
    with losing(lab.database, 3, kind, arguments) as lost:
        assert lab.client().get(ECHO).code == 0
    assert len(lost) == 3


@pytest.mark.parametrize(("kind", "arguments"), LOST_RACES)
def test_a_race_that_is_lost_every_time(lab: Lab, kind: str, arguments: tuple[object, ...]) -> None:
    client = lab.client()
    with losing(lab.database, 1_000, kind, arguments) as lost:
        assert client.get(ECHO).status == 503
    assert 2 <= len(lost) <= 10
    assert client.get(ECHO).code == 0


def test_another_error_is_not_tried_again(lab: Lab) -> None:
    with (
        losing(lab.database, 1_000, "OperationalError", (1146, "no such table")) as lost,
        pytest.raises(OperationalError),
    ):
        lab.replay.prepare()
    assert len(lost) == 1


def test_a_memory_that_is_lost_again_while_it_is_put_right(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    client = lab.client()
    assert client.get(ECHO).code == 0
    ask = lab.redis.round_trip_with_scripts

    def lose_and_ask(*arguments: Any, **options: Any) -> Any:
        lab.redis.execute("FLUSHALL")
        return ask(*arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(lab.redis, "round_trip_with_scripts", lose_and_ask)
        assert client.get(ECHO).status == 503
    assert client.get(ECHO).code == 1001, "the last loss is noticed like any other"
    lab.clock.stop()
    lab.clock.advance(6)
    assert client.get(ECHO).code == 0


@pytest.mark.parametrize("behind_s", [0, 55])
def test_a_later_reading_is_remembered_until_it_is_stale(lab: Lab, behind_s: int) -> None:
    """z=1795306 + 1795305600 can be read as z= + 1795306179 + 5305600, which is fresh for a minute from then on."""
    lab.clock.stop(NOW_S)
    client = lab.client()
    params = {"appkey": client.appkey, "z": "1795306", "timestamp": str(NOW_S), "nonce": "aaaa"}
    captured = {**params, "sign": md5_sign(params, client.appsecret)}
    recut = {**captured, "z": "", "timestamp": "1795306179", "nonce": f"{NOW_S}"[3:] + "aaaa"}
    assert client.send("POST", ECHO, captured).code == 0
    lab.let_time_pass(1_795_306_179 + behind_s - NOW_S)
    # A purge whose clock is five seconds ahead of ours.
    kept = KeptSignatures(lab.database)
    assert kept.forget_old(datetime.fromtimestamp(lab.clock.ms / 1000 + 5, UTC)) == 0
    assert client.send("POST", ECHO, recut).code == 1002
    assert kept.forget_old(datetime.fromtimestamp(1_795_306_179 + 75, UTC)) == 1


def test_one_wait_for_a_server_that_is_down_is_enough_for_all_in_line(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    in_line = Barrier(8)

    def wait_in_vain(*_: object, **__: object) -> None:
        asked.append(1)
        Event().wait(0.5)
        raise DatabaseDown("no answer")

    def prepare() -> str:
        in_line.wait(60)
        with pytest.raises((DatabaseDown, RedisDown)) as refused:
            lab.replay.prepare()
        return str(refused.value)

    with monkeypatch.context() as patch, ThreadPoolExecutor(8) as pool:
        patch.setattr(lab.database, "retried", wait_in_vain)
        said = [each.result() for each in [pool.submit(prepare) for _ in range(8)]]
    assert len(asked) < 8 and said.count("no answer") == len(asked)
    assert lab.client().get(ECHO).code == 0


class TestRememberedInSql:
    """Signatures that may be read as of a time for which Redis does not remember them."""

    NOW_MS = NOW_S * 1000

    @pytest.fixture
    def lab(self, lab: Lab) -> Lab:
        lab.clock.stop(NOW_S)
        lab.replay.prepare()
        return lab

    def until_ms(self, lab: Lab, sent: Readings, *, now_ms: int = NOW_MS) -> int | None:
        """End of its time, if a new signature with these readings is remembered."""
        sign = secrets.token_hex(16)
        verdict, _ = lab.replay.admit(sign, sign, sent, now_ms=now_ms)
        assert verdict == Verdict(accepted=True)
        with lab.database.reading() as session:
            found = session.get(KeptSignature, sign)
            return None if found is None else epoch_ms(found.until)

    def test_those_of_later_times(self, lab: Lab) -> None:
        now_ms = self.NOW_MS
        assert self.until_ms(lab, only_reading(now_ms)) is None
        assert self.until_ms(lab, Readings(now_ms, now_ms, now_ms + 5_000)) is None
        assert self.until_ms(lab, Readings(now_ms, now_ms, now_ms + 5_001)) == now_ms + 75_001
        later_s = NOW_S + RECUT_HORIZON_S
        for second, until_ms in ((later_s, later_s * 1000 + 70_999), (later_s + 1, None), (NOW_S + 4, None)):
            assert self.until_ms(lab, Readings(now_ms, now_ms, now_ms, (second,))) == until_ms
        assert self.until_ms(lab, Readings(now_ms, now_ms, now_ms, (NOW_S + 5,))) == now_ms + 75_999

    def test_those_of_times_that_redis_has_forgotten(self, lab: Lab) -> None:
        """The guard began at NOW_S: nothing from more than a minute before can have been accepted."""
        kept, now_ms = KeptSignatures(lab.database), self.NOW_MS
        for sign in "abcd":
            assert kept.keep(sign, until=datetime.fromtimestamp(NOW_S + 999, UTC))

        def accepted(sign: str, second: int, *, after_ms: int) -> bool:
            sent = Readings(now_ms, now_ms, now_ms, (second,))
            return lab.replay.admit(sign, sign, sent, now_ms=now_ms + after_ms)[0].accepted

        assert accepted("a", NOW_S - 60, after_ms=0), "Redis knows that minute"
        assert not accepted("b", NOW_S - 60, after_ms=1)
        assert accepted("c", NOW_S - 61, after_ms=1), "before there was a guard"
        assert not accepted("d", NOW_S - 59, after_ms=1_001)

    def test_those_of_times_before_a_loss(self, lab: Lab) -> None:
        """SQL still knows which of them were accepted."""
        assert KeptSignatures(lab.database).keep("known", until=datetime.fromtimestamp(NOW_S + 999, UTC))
        lab.redis.execute("FLUSHALL")
        lab.replay.prepare()
        now_ms = self.NOW_MS + 6_000
        sent = Readings(now_ms, now_ms - 1_000, now_ms)
        verdicts = [lab.replay.admit(sign, sign, sent, now_ms=now_ms)[0] for sign in ("known", "new", "new")]
        assert verdicts == [Verdict(accepted=False), Verdict(accepted=True), Verdict(accepted=False)]
        late = Readings(now_ms - 1_000, now_ms - 1_000, now_ms)
        refused, _ = lab.replay.admit("other", "other", late, now_ms=now_ms)
        assert refused == Verdict(accepted=False, lost_at_ms=self.NOW_MS)


def test_a_bucket_in_sql_says_since_when_and_where_it_is(lab: Lab) -> None:
    def row() -> tuple[str, datetime, datetime | None, str | None]:
        with lab.database.reading() as session:
            (found,) = session.query(ReplayBucket).all()
            return found.name, found.first_used_at, found.lost_at, found.holder

    begin = datetime.fromtimestamp(NOW_S, UTC)
    run_id = lab.redis.client.info("server")["run_id"]
    lab.clock.stop(NOW_S)
    lab.replay.prepare()
    assert row() == ("1:0", begin, None, run_id)
    lab.clock.advance(7)
    lab.replay.prepare()
    assert row() == ("1:0", begin, None, run_id)
    lab.redis.execute("FLUSHALL")
    with capture_logs() as logs:
        lab.replay.prepare()
    assert row() == ("1:0", begin, begin + timedelta(seconds=7), run_id)
    assert [(log["event"], log["bucket"], log["refused_for_ms"]) for log in logs] == [
        ("replay_memory_lost", "1:0", 5_000)
    ]
