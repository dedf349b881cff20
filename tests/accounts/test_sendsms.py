"""`sendsms`: what it answers, to whom it tells the code, and that it tells nothing about accounts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import event

from datingtoday.accounts.errors import SmsCodeWrong
from datingtoday.accounts.sms_codes import PURPOSES
from tests.accounts.conftest import AppWith
from tests.plugins.api import Answer, Api, new_address, new_phone

FORWARDED = {
    "X-Forwarded-For": "127.0.0.1",
    "Forwarded": "for=127.0.0.1",
    "X-Real-IP": "127.0.0.1",
    "Via": "1.1 proxy",
}


def sendsms(api: Api, phone: str, *, address: str | None = None, **headers: str) -> Answer:
    params = api.params("POST", "/api/auth/sendsms", {"phone": phone})
    return api.send("POST", "/api/auth/sendsms", params, address=address, headers=headers)


def test_the_answer_is_the_number_as_it_was_given(api: Api) -> None:
    phone = new_phone()
    answer = api.post("/api/auth/sendsms", phone=f"+86 {phone}")
    assert answer.json == {"code": 0, "msg": "success", "data": {"phone": f"+86 {phone}"}}
    assert re.fullmatch("[0-9]{6}", api.sms.last(f"+86{phone}"))


def test_codes_are_drawn_from_all_six_digits(unlimited: Api) -> None:
    phone = new_phone()
    codes = [unlimited.new_code(phone) for _ in range(40)]
    # 40 of a million: two equal ones are rare (0.08 %), three are not chance; nor is a place with few digits.
    assert len(set(codes)) >= 39
    assert all(len({code[place] for code in codes}) >= 6 for place in range(6))


@pytest.mark.parametrize("purpose", PURPOSES)
def test_every_purpose_sends_a_code(api: Api, purpose: str) -> None:
    phone = new_phone()
    api.post("/api/auth/sendsms", phone=phone, purpose=purpose).data  # noqa: B018 - asserts success
    assert len(api.sms.sent[f"+86{phone}"]) == 1


def test_the_purpose_is_login_if_left_out(api: Api) -> None:
    phone = new_phone()
    api.post("/api/auth/sendsms", phone=phone).data  # noqa: B018 - asserts success
    code = api.sms.last(f"+86{phone}")
    assert api.post("/api/auth/login", phone=phone, code=code).code == 0


class TestEcho:
    @pytest.fixture(params=["127.0.0.1", "127.8.9.1", "::1", "::ffff:127.0.0.1"])
    def loopback(self, request: pytest.FixtureRequest) -> str:
        return str(request.param)

    def test_tells_the_code_to_loopback(self, app_with: AppWith, loopback: str) -> None:
        api, phone = app_with(SMS_ECHO=1), new_phone()
        data = sendsms(api, phone, address=loopback).data
        assert data == {"phone": phone, "code": api.sms.last(f"+86{phone}")}

    def test_is_silent_to_others(self, app_with: AppWith) -> None:
        api = app_with(SMS_ECHO=1)
        for address in ("10.1.2.3", "192.168.0.1", "8.8.8.8", "fe80::1", "", "localhost"):
            phone = new_phone()
            assert sendsms(api, phone, address=address or None).data == {"phone": phone}, address

    @pytest.mark.parametrize("trusted", ["127.0.0.0/8, ::1", "10.0.0.0/8"])
    def test_is_silent_behind_a_proxy_on_this_machine(
        self, app_with: AppWith, loopback: str, trusted: str
    ) -> None:
        api = app_with(SMS_ECHO=1, LIMITS_ENABLED=0, SERVER_TRUSTED_PROXIES=trusted)
        for header, value in FORWARDED.items():
            phone = new_phone()
            assert sendsms(api, phone, address=loopback, **{header: value}).data == {"phone": phone}, header

    def test_is_off_unless_it_is_set(self, api: Api, app_with: AppWith, loopback: str) -> None:
        for silent in (api, app_with(SMS_ECHO=0)):
            phone = new_phone()
            assert sendsms(silent, phone, address=loopback).data == {"phone": phone}


@contextmanager
def work_of(api: Api) -> Iterator[list[str]]:
    """Every statement to the database and every command to Redis, as they are sent, without their values.

    For work below the guard: what the guard does from time to time has nothing to do with who asks.
    """
    done: list[str] = []
    engine, redis = api.parts.base.database.engine, api.parts.base.guard_redis
    round_trip = redis.round_trip

    def on_sql(_connection: Any, _cursor: Any, statement: str, *_others: Any) -> None:
        done.append(statement)

    def on_redis(commands: Any) -> Any:
        done.extend(f"redis {command[0]} {len(command)}" for command in commands)
        return round_trip(commands)

    event.listen(engine, "before_cursor_execute", on_sql)
    redis.round_trip = on_redis  # type: ignore[method-assign]
    try:
        yield done
    finally:
        event.remove(engine, "before_cursor_execute", on_sql)
        del redis.round_trip


class TestKnownAndUnknownNumbers:
    """Nobody learns from `sendsms` who has an account."""

    @pytest.mark.parametrize("purpose", PURPOSES)
    def test_cost_the_same_work(self, app_with: AppWith, purpose: str) -> None:
        api, known, unknown = app_with(LIMITS_SMS_GAP_S=0), new_phone(), new_phone()
        api.new_user(known)
        works = []
        for phone in (known, unknown):
            with work_of(api) as work:
                api.parts.accounts.service.codes.send(
                    f"+86{phone}", purpose, address=new_address(), now=datetime.now(UTC)
                )
            works.append(work)
        assert len(works[0]) >= 8, "nothing was observed"
        assert works[0] == works[1]

    def test_are_answered_alike(self, unlimited: Api) -> None:
        known, unknown = new_phone(), new_phone()
        unlimited.new_user(known)
        answers = [unlimited.post("/api/auth/sendsms", phone=phone) for phone in (known, unknown)]
        assert [answer.data for answer in answers] == [{"phone": known}, {"phone": unknown}]
        assert answers[0].body.replace(known.encode(), unknown.encode()) == answers[1].body
        assert sorted(answers[0].headers.keys()) == sorted(answers[1].headers.keys())

    def test_are_refused_alike(self, api: Api) -> None:
        known, unknown = new_phone(), new_phone()
        api.new_user(known)
        api.post("/api/auth/sendsms", phone=unknown).data  # noqa: B018 - asserts success
        refused = [api.post("/api/auth/sendsms", phone=phone) for phone in (known, unknown)]
        assert [(answer.status, answer.code) for answer in refused] == [(429, 429)] * 2
        assert {answer.json["data"]["retry_after_s"] for answer in refused} <= {58, 59, 60}

    def test_a_wrong_code_is_refused_alike(self, unlimited: Api) -> None:
        known, unknown = new_phone(), new_phone()
        unlimited.new_user(known)
        parts = unlimited.parts
        works, bodies = [], []
        for phone in (known, unknown):
            wrong = other_than(unlimited.new_code(phone))
            bodies.append(unlimited.post("/api/auth/login", phone=phone, code=wrong).body)
            session = parts.base.database.session(write=True)
            with work_of(unlimited) as work, closing(session), pytest.raises(SmsCodeWrong):
                parts.accounts.service.log_in(
                    session,
                    f"+86{phone}",
                    wrong,
                    device="",
                    latlng=None,
                    address=new_address(),
                    now=datetime.now(UTC),
                    needs_code=True,
                )
            works.append(work)
        assert bodies[0] == bodies[1]
        assert len(works[0]) >= 2, "nothing was observed"
        assert works[0] == works[1]


def other_than(code: str) -> str:
    """A wrong code."""
    return f"{(int(code) + 1) % 1_000_000:06}"
