"""Validity of codes: once, for one number and purpose, for five minutes and five tries."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial

import pytest
import time_machine
from sqlalchemy import select

from datingtoday.accounts.errors import SmsCodeWrong
from datingtoday.accounts.models import SmsCode
from datingtoday.accounts.sms_codes import PURPOSES
from datingtoday.app import Parts
from tests.accounts.at_once import at_once
from tests.accounts.conftest import AppWith
from tests.accounts.rows import all_rows, changes
from tests.accounts.test_sendsms import other_than
from tests.plugins.api import Answer, Api, new_address, new_phone

Clock = time_machine.Traveller


def log_in(api: Api, phone: str, code: str) -> int:
    return api.post("/api/auth/login", phone=phone, code=code).code


def works(parts: Parts, phone: str, purpose: str, code: str) -> bool:
    """Try a code at the service, as delete and export do."""
    with parts.base.database.session(write=True) as session:
        try:
            parts.accounts.service.codes.check(
                session, f"+86{phone}", purpose, code, address=new_address(), now=datetime.now(UTC)
            )
        except SmsCodeWrong:
            return False
        finally:
            session.commit()
    return True


def test_only_the_newest_works(unlimited: Api) -> None:
    phone = new_phone()
    older, newer = unlimited.new_code(phone), unlimited.new_code(phone)
    assert log_in(unlimited, phone, older) == 503
    assert log_in(unlimited, phone, newer) == 0


def test_the_newest_of_each_purpose_works(unlimited: Api) -> None:
    phone = new_phone()
    codes = {purpose: unlimited.new_code(phone, purpose) for purpose in PURPOSES}
    assert all(works(unlimited.parts, phone, purpose, code) for purpose, code in codes.items())


def test_it_works_once(api: Api) -> None:
    phone = new_phone()
    code = api.new_code(phone)
    assert [log_in(api, phone, code) for _ in range(3)] == [0, 503, 503]


def test_of_many_uses_at_the_same_time_one_wins(app_with: AppWith) -> None:
    one, other = app_with(), app_with()
    for _ in range(3):
        phone = new_phone()
        code = one.new_code(phone)
        codes = at_once([partial(log_in, api, phone, code) for api in [one, other] * 3])
        assert sorted(codes) == [0] + [503] * 5


@pytest.mark.parametrize("sent_for", PURPOSES)
def test_it_is_for_one_purpose(unlimited: Api, sent_for: str) -> None:
    phone = new_phone()
    code = unlimited.new_code(phone, sent_for)
    for purpose in PURPOSES:
        if purpose != sent_for:
            assert not works(unlimited.parts, phone, purpose, code)
    assert works(unlimited.parts, phone, sent_for, code)


def test_the_endpoints_take_codes_of_their_purpose_only(unlimited: Api) -> None:
    user, phone = unlimited.new_user(), new_phone()
    for_login, for_phone = unlimited.new_code(phone), unlimited.new_code(phone, "phone")
    assert unlimited.post("/api/user/phone", user, phone=phone, code=for_login).code == 503
    assert log_in(unlimited, phone, for_phone) == 503
    assert unlimited.post("/api/user/phone", user, phone=phone, code=for_phone).code == 0


def test_it_is_for_one_number(unlimited: Api) -> None:
    mine, another = new_phone(), new_phone()
    code = unlimited.new_code(mine)
    unlimited.new_code(another)
    assert code == unlimited.sms.last(f"+86{another}") or log_in(unlimited, another, code) == 503
    assert log_in(unlimited, mine, code) == 0


def test_it_lasts_five_minutes(api: Api, clock: Clock) -> None:
    early, late = new_phone(), new_phone()
    codes = [api.new_code(phone) for phone in (early, late)]
    clock.shift(298)
    assert log_in(api, early, codes[0]) == 0
    clock.shift(2)
    assert log_in(api, late, codes[1]) == 503


def test_life_and_tries_are_settings(app_with: AppWith, clock: Clock) -> None:
    api = app_with(ACCOUNTS_CODE_TTL_S=30, ACCOUNTS_CODE_TRIES=1)
    early, late, tried = new_phone(), new_phone(), new_phone()
    codes = [api.new_code(phone) for phone in (early, late, tried)]
    assert log_in(api, tried, other_than(codes[2])) == 503
    assert log_in(api, tried, codes[2]) == 503
    clock.shift(28)
    assert log_in(api, early, codes[0]) == 0
    clock.shift(2)
    assert log_in(api, late, codes[1]) == 503


class TestWrongTries:
    def test_four_do_no_harm(self, api: Api) -> None:
        phone = new_phone()
        code = api.new_code(phone)
        assert [log_in(api, phone, other_than(code)) for _ in range(4)] == [503] * 4
        assert log_in(api, phone, code) == 0

    def test_five_make_it_void(self, api: Api) -> None:
        phone = new_phone()
        code = api.new_code(phone)
        assert [log_in(api, phone, other_than(code)) for _ in range(5)] == [503] * 5
        assert log_in(api, phone, code) == 503

    def test_at_the_same_time_they_are_no_more(self, app_with: AppWith) -> None:
        one, other = app_with(), app_with()
        phone = new_phone()
        code = one.new_code(phone)
        guesses = [f"{(int(code) + step) % 1_000_000:06}" for step in range(1, 9)]
        codes = at_once([partial(log_in, api, phone, guess) for guess in guesses for api in (one, other)])
        assert set(codes) == {503}
        assert tries_of(one.parts, phone) == 5
        assert log_in(one, phone, code) == 503

    def test_a_new_code_has_all_its_tries(self, unlimited: Api) -> None:
        phone = new_phone()
        code = unlimited.new_code(phone)
        for _ in range(5):
            log_in(unlimited, phone, other_than(code))
        assert log_in(unlimited, phone, unlimited.new_code(phone)) == 0

    def test_are_kept_and_change_nothing_else(self, api: Api) -> None:
        phone = new_phone()
        code = api.new_code(phone)
        before = all_rows(api.parts)
        assert log_in(api, phone, other_than(code)) == 503
        assert changes(before, all_rows(api.parts)) == {"sms_code": {"tries"}}
        assert tries_of(api.parts, phone) == 1

    def test_of_a_number_without_a_code_change_nothing(self, api: Api) -> None:
        before = all_rows(api.parts)
        assert log_in(api, new_phone(), "123456") == 503
        assert all_rows(api.parts) == before

    @pytest.mark.parametrize("guess", ["0000", "12345", "1234567", "00000000"])
    def test_of_another_length_are_judged_as_codes(self, api: Api, guess: str) -> None:
        phone = new_phone()
        api.new_code(phone)
        answer = api.post("/api/auth/login", phone=phone, code=guess)
        assert (answer.status, answer.code, answer.msg) == (200, 503, "sms code error")
        assert tries_of(api.parts, phone) == 1


class TestRedisLosesItsMemory:
    """After a loss the guard refuses requests from before it; the clock goes on beyond that moment."""

    @pytest.fixture
    def forget(self, app_of: Callable[..., Api], clock: Clock) -> tuple[Api, Callable[[], None]]:
        api = app_of(LIMITS_SMS_GAP_S=3600)

        def forget() -> None:
            api.parts.base.guard_redis.client.flushall()
            assert self.ask(api).code == 1001
            clock.shift(6)

        return api, forget

    @staticmethod
    def ask(api: Api, phone: str | None = None) -> Answer:
        return api.post("/api/auth/sendsms", phone=phone or new_phone())

    def test_and_gives_no_tries_codes_or_sendings_back(self, forget: tuple[Api, Callable[[], None]]) -> None:
        api, lose_everything = forget
        guessed, used = new_phone(), new_phone()
        code, code_of_used = api.new_code(guessed), api.new_code(used)
        assert log_in(api, used, code_of_used) == 0
        assert [log_in(api, guessed, other_than(code)) for _ in range(3)] == [503] * 3
        lose_everything()
        assert [log_in(api, guessed, other_than(code)) for _ in range(2)] == [503] * 2
        assert log_in(api, guessed, code) == 503
        assert log_in(api, used, code_of_used) == 503
        assert self.ask(api, guessed).status == 429


class TestWhatIsStored:
    def test_is_a_hash(self, api: Api) -> None:
        phone = new_phone()
        code = api.new_code(phone)
        with api.parts.base.database.transaction(write=False) as session:
            row = session.scalars(select(SmsCode).where(SmsCode.phone == f"+86{phone}")).one()
            texts = {value for value in vars(row).values() if isinstance(value, str)}
        assert re.fullmatch("[0-9a-f]{64}", row.code_hash)
        assert not any(code in text for text in texts if text != row.code_hash)
        for text in (code, phone + code, f"+86{phone}{code}", f"sms-code|+86{phone}|login|{code}"):
            assert hashlib.sha256(text.encode()).hexdigest() != row.code_hash

    def test_is_keyed_by_the_secret_key(self, api: Api, app_with: AppWith) -> None:
        phone = new_phone()
        code = api.new_code(phone)
        with_another_key = app_with(SECURITY_SECRET_KEY="ab" * 32)
        assert log_in(with_another_key, phone, code) == 503
        assert log_in(api, phone, code) == 0

    def test_differs_for_equal_codes(self, unlimited: Api, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("datingtoday.accounts.sms_codes.secrets.randbelow", lambda _most: 123456)
        phones = [new_phone(), new_phone()]
        for phone in phones:
            for purpose in ("login", "phone"):
                assert unlimited.new_code(phone, purpose) == "123456"
        with unlimited.parts.base.database.transaction(write=False) as session:
            hashes = session.scalars(
                select(SmsCode.code_hash).where(SmsCode.phone.in_([f"+86{phone}" for phone in phones]))
            ).all()
        assert len(set(hashes)) == 4

    def test_is_not_in_redis(self, app_of: Callable[..., Api]) -> None:
        api = app_of()
        phone = new_phone()
        code = api.new_code(phone)
        client = api.parts.base.guard_redis.client
        for key in client.scan_iter():
            kept = client.dump(key) or b""
            assert code.encode() not in key + kept and phone.encode() not in key + kept


def tries_of(parts: Parts, phone: str) -> int:
    """Row of the newest code."""
    with parts.base.database.transaction(write=False) as session:
        return (
            session.scalars(
                select(SmsCode.tries).where(SmsCode.phone == f"+86{phone}").order_by(SmsCode.id.desc())
            ).first()
            or 0
        )
