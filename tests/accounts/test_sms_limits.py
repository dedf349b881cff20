"""Limits of codes per number and address; a refusal says for how long."""

from __future__ import annotations

from functools import partial

import time_machine

from datingtoday.infra.sms.provider import SmsFailed, SmsFailureKind, SmsReceipt
from tests.accounts.at_once import at_once
from tests.accounts.conftest import AppWith
from tests.accounts.rows import all_rows
from tests.plugins.api import Answer, Api, new_address, new_phone

Clock = time_machine.Traveller
MINUTE, HOUR, DAY = 60, 3600, 86400


def ask(api: Api, phone: str | None = None, *, address: str | None = None, **headers: str) -> Answer:
    params = api.params("POST", "/api/auth/sendsms", {"phone": phone or new_phone()})
    return api.send("POST", "/api/auth/sendsms", params, address=address, headers=headers)


def assert_sent(answer: Answer) -> None:
    assert (answer.status, answer.code) == (200, 0), answer.json


def wait_s(answer: Answer) -> int:
    """Seconds a refused client has to wait, from the two places that say so."""
    assert (answer.status, answer.code) == (429, 429), answer.json
    seconds = answer.json["data"]["retry_after_s"]
    assert answer.headers["Retry-After"] == str(seconds)
    return int(seconds)


class TestPerNumber:
    def test_a_minute_lies_between_two_codes(self, api: Api, clock: Clock) -> None:
        phone = new_phone()
        assert_sent(ask(api, phone))
        clock.shift(30)
        assert 28 <= wait_s(ask(api, phone)) <= 30
        clock.shift(28)
        assert 1 <= wait_s(ask(api, phone)) <= 2
        clock.shift(2)
        assert_sent(ask(api, phone))
        assert len(api.sms.sent[f"+86{phone}"]) == 2

    def test_the_gap_is_for_all_purposes_and_notations_together(self, api: Api) -> None:
        phone = new_phone()
        assert_sent(ask(api, phone))
        wait_s(api.post("/api/auth/sendsms", phone=phone, purpose="delete"))
        wait_s(api.post("/api/auth/sendsms", phone=f"+86 {phone}"))

    def test_five_in_an_hour(self, api: Api, clock: Clock) -> None:
        phone = new_phone()
        for _ in range(5):
            assert_sent(ask(api, phone, address=new_address()))
            clock.shift(MINUTE)
        left = wait_s(ask(api, phone, address=new_address()))
        assert HOUR - 5 * MINUTE - 5 <= left <= HOUR - 5 * MINUTE
        clock.shift(left - 2)
        wait_s(ask(api, phone))
        clock.shift(2)
        assert_sent(ask(api, phone))
        assert len(api.sms.sent[f"+86{phone}"]) == 6

    def test_ten_in_a_day_and_refused_ones_do_not_count(self, api: Api, clock: Clock) -> None:
        phone = new_phone()
        for _ in range(10):
            assert_sent(ask(api, phone, address=new_address()))
            for _ in range(2):
                wait_s(ask(api, phone, address=new_address()))
            clock.shift(HOUR)
        left = wait_s(ask(api, phone))
        assert DAY - 10 * HOUR - 10 <= left <= DAY - 10 * HOUR
        clock.shift(left)
        assert_sent(ask(api, phone))

    def test_a_code_of_just_before_the_day_may_still_be_tried_in_it_and_counts(
        self, app_with: AppWith, clock: Clock
    ) -> None:
        """Whatever the limits: 90 tries at a number within a day, so 18 codes of five tries that live five minutes."""
        api = app_with(LIMITS_SMS_GAP_S=0, LIMITS_SMS_PER_HOUR=1000, LIMITS_SMS_PER_DAY=1000)
        phone = new_phone()
        for _ in range(18):
            assert_sent(ask(api, phone, address=new_address()))
        clock.shift(DAY + MINUTE)
        left = wait_s(ask(api, phone, address=new_address()))
        assert 4 * MINUTE - 10 <= left <= 4 * MINUTE
        clock.shift(left)
        assert_sent(ask(api, phone, address=new_address()))

    def test_one_of_many_at_the_same_time_sends(self, app_with: AppWith) -> None:
        api, other_process = app_with(), app_with()
        for _ in range(3):
            phone = new_phone()
            sides = [Api(side.app, side.sms) for side in (api, other_process) * 4]
            answers = at_once([partial(ask, side, phone) for side in sides])
            assert sorted(answer.status for answer in answers) == [200] + [429] * 7
            sent = api.sms.sent.get(f"+86{phone}", []) + other_process.sms.sent.get(f"+86{phone}", [])
            assert len(sent) == 1

    def test_many_at_the_same_time_wait_for_each_other(self, unlimited: Api) -> None:
        """Nobody is refused here, so all of them want the number's row for writing."""
        for _ in range(3):
            phone = new_phone()
            sides = [Api(unlimited.app, unlimited.sms) for _ in range(8)]
            for answer in at_once([partial(ask, side, phone) for side in sides]):
                assert_sent(answer)
            assert len(unlimited.sms.sent[f"+86{phone}"]) == 8

    def test_they_can_be_switched_off(self, unlimited: Api) -> None:
        phone = new_phone()
        for _ in range(12):
            assert_sent(ask(unlimited, phone))

    def test_they_are_settings(self, app_with: AppWith) -> None:
        api, phone = app_with(LIMITS_SMS_GAP_S=0, LIMITS_SMS_PER_HOUR=2), new_phone()
        assert_sent(ask(api, phone))
        assert_sent(ask(api, phone))
        wait_s(ask(api, phone))


class TestPerAddress:
    def test_thirty_in_an_hour(self, api: Api, clock: Clock) -> None:
        for _ in range(30):
            assert_sent(ask(api))
        assert HOUR - 15 <= wait_s(ask(api)) <= HOUR
        assert_sent(ask(api, address=new_address()))
        clock.shift(HOUR)
        assert_sent(ask(api))

    def test_refused_ones_do_not_count(self, app_with: AppWith) -> None:
        api, phone = app_with(LIMITS_SMS_PER_ADDRESS_PER_HOUR=3), new_phone()
        assert_sent(ask(api, phone))
        for _ in range(5):
            wait_s(ask(api, phone))
            assert ask(api, "110").code == 300
        assert_sent(ask(api))
        assert_sent(ask(api))
        wait_s(ask(api))

    def test_a_number_refused_for_its_address_has_not_used_up_its_own(self, app_with: AppWith) -> None:
        api, phone = app_with(LIMITS_SMS_PER_ADDRESS_PER_HOUR=1), new_phone()
        assert_sent(ask(api))
        wait_s(ask(api, phone))
        assert_sent(ask(api, phone, address=new_address()))

    def test_an_ipv6_customer_is_one_address(self, app_with: AppWith) -> None:
        api = app_with(LIMITS_SMS_PER_ADDRESS_PER_HOUR=2)
        network = f"2001:db8:{new_address().split('.')[3]}:{new_address().split('.')[2]}"
        assert_sent(ask(api, address=f"{network}::1"))
        assert_sent(ask(api, address=f"{network}:ffff::2"))
        wait_s(ask(api, address=f"{network}::3"))

    def test_many_at_the_same_time_do_not_slip_through(self, app_with: AppWith) -> None:
        api = app_with(LIMITS_SMS_PER_ADDRESS_PER_HOUR=3)
        answers = at_once([lambda: ask(api) for _ in range(8)])
        assert sorted(answer.status for answer in answers) == [200] * 3 + [429] * 5

    def test_forwarding_headers_of_strangers_are_not_believed(self, app_with: AppWith) -> None:
        api = app_with(LIMITS_SMS_PER_ADDRESS_PER_HOUR=2)
        for _ in range(2):
            assert_sent(ask(api, **{"X-Forwarded-For": new_address()}))
        wait_s(ask(api, **{"X-Forwarded-For": new_address()}))

    def test_those_of_trusted_proxies_are(self, app_with: AppWith) -> None:
        api = app_with(LIMITS_SMS_PER_ADDRESS_PER_HOUR=1, SERVER_TRUSTED_PROXIES="172.20.0.0/16")
        proxy, client = "172.20.3.4", new_address()
        assert_sent(ask(api, address=proxy, **{"X-Forwarded-For": client}))
        wait_s(ask(api, address=proxy, **{"X-Forwarded-For": client}))
        assert_sent(ask(api, address=proxy, **{"X-Forwarded-For": new_address()}))
        # What the client itself wrote stands before what the proxy added.
        wait_s(ask(api, address=proxy, **{"X-Forwarded-For": f"{new_address()}, {client}"}))
        # A second trusted proxy in between.
        wait_s(ask(api, address=proxy, **{"X-Forwarded-For": f"{client}, 172.20.9.9"}))


class FailingSms:
    """Fails as it is told; where it is unclear whether the message left, it did."""

    name = "failing"

    def __init__(self) -> None:
        self.failure: SmsFailed | None = None
        self.sent: list[str] = []

    def send_code(self, phone: str, code: str, *, purpose: str, ttl_s: int) -> SmsReceipt:
        if self.failure is None or self.failure.maybe_sent:
            self.sent.append(code)
        if self.failure is not None:
            raise self.failure
        return SmsReceipt(self.name, None)


REFUSED = SmsFailed("failing", "connect", SmsFailureKind.UNAVAILABLE)
UNCLEAR = SmsFailed("failing", "timeout", SmsFailureKind.UNAVAILABLE, maybe_sent=True)
NOT_SERVED = SmsFailed("failing", "isv.MOBILE_NUMBER_ILLEGAL", SmsFailureKind.NUMBER)


def log_in(api: Api, phone: str, code: str) -> int:
    return api.post("/api/auth/login", phone=phone, code=code).code


class TestProviderThatFails:
    def test_counts_for_nothing(self, app_with: AppWith, clock: Clock) -> None:
        sms, phone = FailingSms(), new_phone()
        api = app_with(sms=sms, LIMITS_SMS_PER_ADDRESS_PER_HOUR=5)
        sms.failure = REFUSED
        for _ in range(12):
            answer = ask(api, phone)
            assert (answer.status, answer.code) == (503, 503)
            assert answer.headers["Retry-After"] == "1"
        sms.failure = None
        for _ in range(5):
            assert_sent(ask(api, phone))
            clock.shift(MINUTE)
        wait_s(ask(api, phone))

    def test_leaves_the_code_before_in_force(self, app_with: AppWith, clock: Clock) -> None:
        sms, phone = FailingSms(), new_phone()
        api = app_with(sms=sms)
        assert_sent(ask(api, phone))
        clock.shift(MINUTE)
        before = all_rows(api.parts)
        sms.failure = REFUSED
        assert ask(api, phone).status == 503
        assert all_rows(api.parts) == before
        assert log_in(api, phone, sms.sent[0]) == 0

    def test_does_not_lengthen_the_gap_of_the_code_before(self, app_with: AppWith, clock: Clock) -> None:
        sms, phone = FailingSms(), new_phone()
        api = app_with(sms=sms)
        assert_sent(ask(api, phone))
        sms.failure = REFUSED
        clock.shift(40)
        assert 18 <= wait_s(ask(api, phone)) <= 20

    def test_may_be_faulty_code(self, app_with: AppWith) -> None:
        api, phone = app_with(), new_phone()
        api.sms.fail_with = RuntimeError("a fault")
        assert ask(api, phone).status == 500
        api.sms.fail_with = None
        assert_sent(ask(api, phone))

    def test_a_number_that_it_does_not_serve_is_a_wrong_parameter(self, app_with: AppWith) -> None:
        sms, phone = FailingSms(), new_phone()
        api = app_with(sms=sms, LIMITS_SMS_PER_ADDRESS_PER_HOUR=2)
        sms.failure = NOT_SERVED
        before = all_rows(api.parts).keys()
        answer = ask(api, phone)
        assert (answer.status, answer.code) == (200, 300)
        assert answer.msg.startswith("phone ") and phone not in answer.msg
        assert {table for table, _ in all_rows(api.parts).keys() - before} <= {"sms_number"}
        # The provider was asked in earnest: that cannot be done without end.
        assert ask(api).code == 300
        wait_s(ask(api))


class TestUnclearWhetherSent:
    """A timeout after the request had left: the message may arrive."""

    def test_both_codes_are_in_force_until_one_is_used(self, app_with: AppWith, clock: Clock) -> None:
        for used in (0, 1):
            sms, phone = FailingSms(), new_phone()
            api = app_with(sms=sms)
            assert_sent(ask(api, phone))
            clock.shift(MINUTE)
            sms.failure = UNCLEAR
            assert ask(api, phone).status == 503
            assert log_in(api, phone, sms.sent[used]) == 0
            assert [log_in(api, phone, code) for code in sms.sent] == [503, 503]

    def test_a_clear_one_after_it_is_the_only_one(self, app_with: AppWith) -> None:
        sms, phone = FailingSms(), new_phone()
        api = app_with(sms=sms)
        sms.failure = UNCLEAR
        assert ask(api, phone).status == 503
        sms.failure = None
        assert_sent(ask(api, phone))
        assert [log_in(api, phone, code) for code in sms.sent] == [503, 0]

    def test_wrong_tries_count_for_both(self, app_with: AppWith) -> None:
        sms, phone = FailingSms(), new_phone()
        api = app_with(sms=sms, LIMITS_SMS_GAP_S=0)
        assert_sent(ask(api, phone))
        sms.failure = UNCLEAR
        assert ask(api, phone).status == 503
        wrong = next(code for code in ("000000", "000001", "000002") if code not in sms.sent)
        assert [log_in(api, phone, wrong) for _ in range(5)] == [503] * 5
        assert [log_in(api, phone, code) for code in sms.sent] == [503, 503]

    def test_does_not_count_against_the_user_but_has_a_ceiling(self, app_with: AppWith) -> None:
        sms, phone = FailingSms(), new_phone()
        api = app_with(sms=sms)
        sms.failure = UNCLEAR
        for _ in range(5):
            assert ask(api, phone).status == 503
        assert HOUR - 10 <= wait_s(ask(api, phone)) <= HOUR
        assert len(sms.sent) == 5
        # Another number of the same address has all its places.
        sms.failure = None
        assert_sent(ask(api))

    def test_takes_no_place_of_those_that_were_sent(self, app_with: AppWith, clock: Clock) -> None:
        sms, phone = FailingSms(), new_phone()
        api = app_with(sms=sms)
        sms.failure = UNCLEAR
        assert [ask(api, phone).status for _ in range(4)] == [503] * 4
        sms.failure = None
        for _ in range(5):
            assert_sent(ask(api, phone))
            clock.shift(MINUTE)
        wait_s(ask(api, phone))

    def test_has_a_ceiling_per_address_too(self, app_with: AppWith) -> None:
        sms = FailingSms()
        api = app_with(sms=sms, LIMITS_SMS_PER_ADDRESS_PER_HOUR=3)
        sms.failure = UNCLEAR
        assert [ask(api).status for _ in range(5)] == [503] * 3 + [429] * 2
        assert len(sms.sent) == 3
