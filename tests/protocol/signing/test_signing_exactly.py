"""Signing at its edges: times, readings, explanations and client programs at moments that the test chooses."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Barrier, Event
from types import SimpleNamespace
from typing import Any

import pytest
from marshmallow import Schema
from sqlalchemy import event

from datingtoday.infra.db import Base, Database, DatabaseDown
from datingtoday.infra.text import Text
from datingtoday.protocol.fields import Choice, Flag, Integer, ParamsSchema, TextLine
from datingtoday.protocol.signing import client_apps
from datingtoday.protocol.signing.attempts import Attempt, SignedRequest, find_mistake
from datingtoday.protocol.signing.client_apps import ClientApps, KnownApp
from datingtoday.protocol.signing.explain import (
    compare_strings,
    declared_params,
    explain,
    of_another_method,
    right_string,
)
from datingtoday.protocol.signing.md5_readings import Readings, only_reading, readings
from datingtoday.protocol.signing.sql_memory import KeptSignatures
from datingtoday.protocol.signing.timestamps import timestamp_ms

NOW = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)
HOUR, SECOND = timedelta(hours=1), timedelta(seconds=1)
EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("1699999999123", 1_699_999_999_123),
        ("1699999999", 1_699_999_999_000),
        ("1699999999.1", 1_699_999_999_100),
        ("1699999999.12", 1_699_999_999_120),
        ("1699999999.123", 1_699_999_999_123),
        ("1699999999.1239", 1_699_999_999_123),
        ("1699999999.000999999", 1_699_999_999_000),
        ("1699999999.", None),
        ("1699999999.1234567890", None),
        ("16999999991", None),
    ],
)
def test_times_in_milliseconds(text: str, ms: int | None) -> None:
    assert timestamp_ms(text) == ms


@pytest.mark.parametrize(
    ("head", "timestamp", "nonce", "found"),
    [
        # Thirteen digits leave no room for digits of the nonce; every other form does.
        ("a=1", "1699999999123", "aaaa", (1_699_999_999_000, 1_699_999_999_123, ())),
        ("a=1", "1699999999", "aaaa", (1_699_999_999_000, 1_699_999_999_999, ())),
        ("a=1", "1699999999.12", "aaaa", (1_699_999_999_000, 1_699_999_999_999, ())),
        ("a=1", "1699999999.1", "aaaa", (1_699_999_999_000, 1_699_999_999_999, ())),
        # 18 + 16999999 begins a time, and so does what the nonce ends with.
        ("a=18", "1699999999", "aaaa", (1_699_999_999_000, 1_699_999_999_999, (1_816_999_999,))),
        ("a=1", "1699999999", "-1712345678aaaa", (1_699_999_999_000, 1_699_999_999_999, (1_712_345_678,))),
        ("a=1", "1699999999", "-1712345678aaa", (1_699_999_999_000, 1_699_999_999_999, ())),
        # The second itself is no other one.
        ("a=1", "1699999999", "-1699999999aaaa", (1_699_999_999_000, 1_699_999_999_999, ())),
    ],
)
def test_readings_of_a_signature(
    head: str, timestamp: str, nonce: str, found: tuple[int, int, tuple[int, ...]]
) -> None:
    sent_ms = timestamp_ms(timestamp)
    assert sent_ms is not None
    assert readings(head, timestamp, nonce, sent_ms=sent_ms) == Readings(sent_ms, *found)
    assert only_reading(sent_ms) == Readings(sent_ms, sent_ms, sent_ms, ())


def test_a_reading_ends_with_a_nonce_of_at_most_64_characters() -> None:
    sent = {"timestamp": "1699999999", "sent_ms": 1_699_999_999_000}
    for length, others in ((64, (1_712_345_678,)), (65, ())):
        head = f"a=1712345678{'x' * (length - 10 - 4)}"
        assert readings(head, nonce="aaaa", **sent).other_seconds == others, length  # type: ignore[arg-type]


def request_of(sign: str = "0" * 32, **params: str) -> SignedRequest:
    common = {"appkey": "K", "timestamp": "1699999999", "nonce": "N0nce"}
    return SignedRequest({**common, **params, "sign": sign}, "GET", "/api/x", EMPTY)


class TestExplanations:
    def test_a_search_ends(self) -> None:
        meaning, other = Text("found", "找到"), Attempt(b"", Text("other", "其他"))
        sought = Attempt(b"x", meaning)
        sign = sought.digest("md5")
        for before, is_found in ((3_999, True), (4_000, False)):
            assert (find_mistake([*[other] * before, sought], sign, "md5") is meaning) is is_found
        for size, is_found in ((2 * 1024 * 1024 - 1, True), (2 * 1024 * 1024, False)):
            attempts = [Attempt(bytes(size), Text("other", "其他")), sought]
            assert (find_mistake(attempts, sign, "md5") is meaning) is is_found

    def test_the_right_string(self) -> None:
        request = request_of(b="2", a="1/")
        md5 = "a=1/&b=21699999999N0nce<appsecret>"
        hmac = f"GET\n/api/x\na=1%2F&appkey=K&b=2&nonce=N0nce&timestamp=1699999999\n{EMPTY}"
        assert right_string(request, "md5") == md5
        assert right_string(request, "hmac-sha256") == hmac
        for lang, hint in (("en", "none of the usual mistakes fits"), ("zh", "不属于常见错误")):
            told = explain(request, ["dd11"], sign_method="md5", lang=lang)
            assert told["string_to_sign"] == md5 and told["hint"].startswith(hint)
            assert explain(request, ["dd11"], sign_method="hmac-sha256", lang=lang)["string_to_sign"] == hmac

    @pytest.mark.parametrize("sign_method", ["md5", "hmac-sha256"])
    def test_the_first_difference_of_an_own_string(self, sign_method: str) -> None:
        request = request_of(b="2" * 40, a="dd11")
        right = right_string(request, sign_method).replace("<appsecret>", "")
        for end in ("", "<appsecret>", "dd11"):
            same = compare_strings(request, ["dd11"], sign_method, right + end)
            assert same.en.startswith("your string is right")
        at = right.index("b=2") + 5
        told = compare_strings(request, ["dd11"], sign_method, right[:at] + "x" * 30)
        assert f"it has {'x' * 20!r}" in told.en
        assert f"character {at + 1} on" in told.en and f"第 {at + 1} 个字符" in told.zh
        assert f"right is {'2' * 20!r}" in told.en and f"应为 {'2' * 20!r}" in told.zh
        shorter = compare_strings(request, ["another"], sign_method, right[:-3])
        assert f"character {len(right) - 2} on: it has '', right is {right[-3:]!r}" in shorter.en
        longer = compare_strings(request, ["another"], sign_method, f"{right}xyz")
        assert f"character {len(right) + 1} on: it has 'xyz', right is ''" in longer.en

    def test_a_signature_of_the_other_method(self) -> None:
        for sign, said in (
            ("a" * 64, "32 hex digits for md5"), ("A" * 32, "64 hex digits for hmac-sha256"), ("g" * 64, None),
            ("g" * 32, None), ("a" * 63, None), ("a" * 33, None), ("", None),
        ):  # fmt: skip
            found = of_another_method(sign)
            assert found is None if said is None else found is not None and found.en.startswith(said)

    def test_values_that_stand_for_absent_parameters(self) -> None:
        class Params(ParamsSchema):
            needed = TextLine(most=3)
            page = Integer(least=1, most=9, load_default=1)
            is_on = Flag(data_key="isOn", load_default=True)
            is_off = Flag(load_default=False)
            word = Choice({"a": Text("a", "a")}, load_default="a")
            none = TextLine(most=3, load_default=None)

        assert declared_params(Params()) == {
            "needed": "", "page": "1", "isOn": "1", "is_off": "0", "word": "a", "none": "",
        }  # fmt: skip
        assert declared_params(None) == declared_params(Schema()) == {}


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(f"sqlite:///{tmp_path}/apps.db")
    names = ("client_app", "client_secret", "kept_signature")
    tables = [table for name, table in Base.metadata.tables.items() if name in names]
    Base.metadata.create_all(database.engine, tables=tables)
    yield database
    database.dispose()


@pytest.fixture
def reads(database: Database) -> list[str]:
    """Each time that the client programs were read."""
    found: list[str] = []

    def note(_connection: Any, _cursor: Any, text: str, *_: Any) -> None:
        if "FROM client_app" in text:
            found.append(text)

    event.listen(database.engine, "before_cursor_execute", note)
    return found


class TestReadingClientApps:
    def test_again_after_half_a_second(
        self, database: Database, reads: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        clock = SimpleNamespace(now=1000.0)
        monkeypatch.setattr(client_apps, "time", SimpleNamespace(monotonic=lambda: clock.now))
        configured = KnownApp("K", (("secret", None),), False)
        apps = ClientApps(database, configured)
        for now, number in ((1000.0, 1), (1000.5, 1), (1000.75, 2), (1001.25, 2), (1001.5, 3)):
            clock.now = now
            assert apps.find("K") == configured and apps.find("L") is None
            assert len(reads) == number, now

    def test_a_database_that_is_down_is_asked_no_more_often(
        self, database: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        clock, tried = SimpleNamespace(now=1000.0), list[float]()
        monkeypatch.setattr(client_apps, "time", SimpleNamespace(monotonic=lambda: clock.now))
        apps = ClientApps(database, KnownApp("K", (), False))
        assert apps.find("K") is not None

        def down() -> Any:
            tried.append(clock.now)
            raise DatabaseDown("gone")

        monkeypatch.setattr(database, "reading", down)
        for now in (1000.5, 1001.0, 1001.25, 1001.5, 1001.75):
            clock.now = now
            assert apps.find("K") is not None
        assert tried == [1001.0, 1001.75]

    def test_whoever_waits_for_the_first_reading_reads_nothing(
        self, database: Database, reads: list[str]
    ) -> None:
        apps, at_once = ClientApps(database, None), Barrier(8)

        def wait(*_: object) -> None:
            Event().wait(0.2)

        event.listen(database.engine, "before_cursor_execute", wait)

        def find() -> object:
            at_once.wait(60)
            return apps.find("K")

        with ThreadPoolExecutor(8) as pool:
            assert [each.result() for each in [pool.submit(find) for _ in range(8)]] == [None] * 8
        assert len(reads) == 1


class TestChangingClientApps:
    def test_secrets_end_at_their_moments(self, database: Database) -> None:
        with database.transaction() as session:
            app, first = client_apps.create(session, "one", hmac_only=True, now=NOW)
            assert (app.disabled, app.hmac_only, app.create_time) == (False, True, NOW)
            second = client_apps.rotate(session, app.appkey, overlap=HOUR, now=NOW)
            assert [(it.secret, it.expires_at) for it in app.secrets] == [(first, NOW + HOUR), (second, None)]
            for at in (NOW, NOW + HOUR - SECOND):
                with pytest.raises(client_apps.ClientAppError, match="one until 2026-05-01 13:00:00 UTC"):
                    client_apps.rotate(session, app.appkey, overlap=HOUR, now=at)
            third = client_apps.rotate(session, app.appkey, overlap=HOUR, now=NOW + HOUR)
            ends = [it.expires_at for it in app.secrets]
            assert ends == [NOW + HOUR, NOW + 2 * HOUR, None]
            assert client_apps.finish_rotation(session, app.appkey, now=NOW + HOUR) == 1
            assert [it.expires_at for it in app.secrets] == [NOW + HOUR, NOW + HOUR, None]
            assert [it.secret for it in app.live_secrets(NOW + HOUR)] == [third]
            client_apps.rotate(session, app.appkey, overlap=timedelta(0), now=NOW + 2 * HOUR)
            assert app.secrets[2].expires_at == NOW + 2 * HOUR

    def test_the_older_of_two_secrets_does_not_live_longer_for_a_rotation(self, database: Database) -> None:
        with database.transaction() as session:
            app, _ = client_apps.create(session, "one", hmac_only=False, now=NOW)
            client_apps.rotate(session, app.appkey, overlap=HOUR, now=NOW)
            app.secrets[1].expires_at = NOW + 3 * HOUR
            client_apps.rotate(session, app.appkey, overlap=timedelta(0), now=NOW + SECOND)
            assert [it.expires_at for it in app.secrets] == [NOW + SECOND, NOW + SECOND, None]

    def test_the_first_change_of_the_one_in_the_settings_makes_its_row(self, database: Database) -> None:
        configured = KnownApp("K", (("old secret", None),), True)
        with database.transaction() as session:
            client_apps.set_disabled(session, "K", disabled=True, now=NOW, configured=configured)
            (app,) = client_apps.all_apps(session)
            assert (app.appkey, app.name, app.hmac_only, app.disabled) == (
                "K",
                "from the settings",
                True,
                True,
            )
            assert app.create_time == NOW and [it.secret for it in app.secrets] == ["old secret"]
        assert ClientApps(database, configured).find("K") is None
        with database.transaction() as session:
            client_apps.set_disabled(session, "K", disabled=False, now=NOW, configured=configured)
            client_apps.set_hmac_only(session, "K", hmac_only=False, now=NOW, configured=configured)
            assert not client_apps.is_only_in_settings(session, "K", configured)
            app = client_apps.all_apps(session)[0]
            assert not app.disabled and not app.hmac_only
        assert ClientApps(database, configured).find("K") == KnownApp("K", (("old secret", None),), False)
        with database.transaction() as session:
            other = KnownApp("L", (("its secret", None),), False)
            assert client_apps.is_only_in_settings(session, "L", other)
            assert not client_apps.is_only_in_settings(session, "M", other)
            client_apps.set_hmac_only(session, "L", hmac_only=True, now=NOW, configured=other)
            assert [(it.appkey, it.hmac_only, it.disabled) for it in client_apps.all_apps(session)] == [
                ("K", False, False), ("L", True, False),
            ]  # fmt: skip
            for known in (None, other):
                with pytest.raises(client_apps.ClientAppError, match="no client program with the appkey N;"):
                    client_apps.rotate(session, "N", overlap=HOUR, now=NOW, configured=known)


def test_signatures_are_forgotten_when_their_time_is_over(database: Database) -> None:
    kept, told = KeptSignatures(database), list[int]()
    for name, until in (("a", NOW - SECOND), ("b", NOW), ("c", NOW - HOUR), ("d", NOW + HOUR)):
        assert kept.keep(name, until=until)
    assert not kept.keep("a", until=NOW + HOUR), "it was there already"
    assert kept.forget_old(NOW, report_progress=told.append) == 2 and told == [2]
    assert [kept.has(name) for name in "abcd"] == [False, True, False, True]
    assert kept.forget_old(NOW, report_progress=told.append) == 0 and told == [2]
