"""Wrong codes have limits of their own: per address, and for everybody together."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import time_machine

from tests.accounts.at_once import at_once
from tests.accounts.conftest import AppWith
from tests.accounts.rows import all_rows
from tests.accounts.test_sendsms import other_than
from tests.accounts.test_sms_limits import HOUR, wait_s
from tests.plugins.api import Answer, Api, new_address, new_phone

Clock = time_machine.Traveller


def log_in(api: Api, phone: str, code: str, address: str | None = None) -> Answer:
    params = api.params("POST", "/api/auth/login", {"phone": phone, "code": code})
    return api.send("POST", "/api/auth/login", params, address=address)


class TestPerAddress:
    @pytest.fixture
    def api(self, app_with: AppWith) -> Api:
        return app_with(LIMITS_FAILED_LOGINS_PER_ADDRESS_PER_HOUR=3)

    def test_even_the_right_code_is_refused_then_and_nothing_is_looked_at(
        self, api: Api, clock: Clock
    ) -> None:
        phone = new_phone()
        code = api.new_code(phone)
        for _ in range(3):
            assert log_in(api, phone, other_than(code)).code == 503
        before = all_rows(api.parts)
        assert HOUR - 10 <= wait_s(log_in(api, phone, code)) <= HOUR
        assert all_rows(api.parts) == before
        assert log_in(api, phone, code, new_address()).code == 0
        clock.shift(HOUR)
        assert log_in(api, phone, "000000").code == 503

    def test_numbers_are_counted_together(self, api: Api) -> None:
        for _ in range(3):
            assert log_in(api, new_phone(), "123456").code == 503
        wait_s(log_in(api, new_phone(), "123456"))

    def test_right_codes_do_not_count(self, api: Api) -> None:
        for _ in range(5):
            phone = new_phone()
            assert log_in(api, phone, api.new_code(phone)).code == 0

    def test_malformed_codes_do_not_count(self, api: Api) -> None:
        for _ in range(5):
            assert log_in(api, new_phone(), "12345x").code == 300
        assert log_in(api, new_phone(), "123456").code == 503

    def test_all_purposes_are_counted_together(self, api: Api) -> None:
        user = api.new_user()
        for _ in range(3):
            assert api.post("/api/user/phone", user, phone=new_phone(), code="123456").code == 503
        wait_s(api.post("/api/user/phone", user, phone=new_phone(), code="123456"))
        wait_s(log_in(api, new_phone(), "123456"))

    def test_many_at_the_same_time_do_not_slip_through(self, api: Api) -> None:
        answers = at_once([lambda: log_in(api, new_phone(), "123456") for _ in range(8)])
        assert sorted(answer.status for answer in answers) == [200] * 3 + [429] * 5
        assert {answer.code for answer in answers if answer.status == 200} == {503}


class TestAllTogether:
    def test_a_guess_from_many_addresses_meets_a_ceiling(
        self, app_of: Callable[..., Api], clock: Clock
    ) -> None:
        api = app_of(LIMITS_FAILED_LOGINS_PER_HOUR=4)
        phone = new_phone()
        code = api.new_code(phone)
        answers = at_once([lambda: log_in(api, new_phone(), "123456", new_address()) for _ in range(8)])
        assert sorted(answer.status for answer in answers) == [200] * 4 + [429] * 4
        assert HOUR - 10 <= wait_s(log_in(api, phone, code, new_address())) <= HOUR
        clock.shift(HOUR)
        phone = new_phone()
        assert log_in(api, phone, api.new_code(phone)).code == 0

    def test_who_is_refused_by_it_has_not_failed(self, app_of: Callable[..., Api], clock: Clock) -> None:
        api = app_of(LIMITS_FAILED_LOGINS_PER_HOUR=2, LIMITS_FAILED_LOGINS_PER_ADDRESS_PER_HOUR=1)
        for _ in range(2):
            assert log_in(api, new_phone(), "123456", new_address()).code == 503
        clock.shift(HOUR / 2)
        wait_s(log_in(api, new_phone(), "123456"))
        clock.shift(HOUR / 2)
        phone = new_phone()
        assert log_in(api, phone, api.new_code(phone)).code == 0
