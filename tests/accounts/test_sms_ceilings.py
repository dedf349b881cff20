"""Bounds on what a day of SMS can cost: regions, prefixes, all together, and the numbers that raise an alarm."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
import time_machine

from tests.accounts.test_sms_limits import DAY, HOUR, ask, assert_sent, wait_s
from tests.plugins.api import Api, new_address, new_phone

Clock = time_machine.Traveller
SERVED = ["18922986865", "+852 6123 4567", "+853 6612 3456", "+886 912 345 678"]
NOT_SERVED = ["+1 650 253 0000", "+44 7911 123456", "+65 8123 4567", "+263 77 123 4567"]


@pytest.mark.parametrize("phone", NOT_SERVED)
def test_other_regions_are_refused_and_cost_nothing(api: Api, phone: str) -> None:
    answer = ask(api, phone)
    assert (answer.status, answer.code) == (200, 300)
    assert answer.msg == "phone is of a region that is not served; allowed: numbers of CN, HK, MO, TW"
    assert not api.sms.sent.get(phone.replace(" ", ""))


@pytest.mark.parametrize("phone", SERVED)
def test_regions_that_are_served(app_of: Callable[..., Api], phone: str) -> None:
    api = app_of()
    assert_sent(ask(api, phone))
    assert len(api.sms.sent) == 1


def test_the_list_is_a_setting(app_of: Callable[..., Api]) -> None:
    api = app_of(ACCOUNTS_REGIONS="SG, CN")
    assert_sent(ask(api, "+65 8123 4567"))
    assert ask(api, "+852 6123 4567").code == 300


def test_all_regions(app_of: Callable[..., Api]) -> None:
    api = app_of(ACCOUNTS_REGIONS="*")
    for phone in NOT_SERVED:
        assert_sent(ask(api, phone))


def numbers(api: Api) -> dict[str, float]:
    """The series of /metrics about SMS."""
    answer = api.send("GET", "/metrics", address="127.0.0.1")
    lines = [line for line in answer.body.decode().splitlines() if line.startswith("datingtoday_sms")]
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}


def test_a_prefix_has_a_ceiling_of_a_day(
    app_of: Callable[..., Api], clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    api = app_of(LIMITS_SMS_PER_PREFIX_PER_DAY=3)
    for _ in range(3):
        assert_sent(ask(api, address=new_address()))
        clock.shift(HOUR)
    capsys.readouterr()
    assert DAY - 3 * HOUR - 10 <= wait_s(ask(api, address=new_address())) <= DAY - 3 * HOUR
    logs = [json.loads(line) for line in capsys.readouterr().err.splitlines() if "prefix" in line]
    assert [(line["event"], line["prefix"], line["level"]) for line in logs] == [
        ("sms_ceiling_reached", "+86139", "error")
    ]
    assert numbers(api)['datingtoday_sms_ceiling_ratio{prefix="+86139"}'] == 1
    assert_sent(ask(api, f"138{new_phone()[3:]}"))
    clock.shift(DAY - 3 * HOUR)
    assert_sent(ask(api, address=new_address()))
    assert len(api.sms.sent) == 5


def test_all_numbers_have_a_ceiling_of_a_day(
    app_of: Callable[..., Api], clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    api = app_of(LIMITS_SMS_IN_ALL_PER_DAY=3)
    for prefix in ("135", "136", "137"):
        assert_sent(ask(api, f"{prefix}{new_phone()[3:]}", address=new_address()))
    capsys.readouterr()
    assert DAY - 10 <= wait_s(ask(api, f"138{new_phone()[3:]}")) <= DAY
    logs = [json.loads(line) for line in capsys.readouterr().err.splitlines() if "ceiling" in line]
    assert [(line["event"], line["prefix"], line["level"]) for line in logs] == [
        ("sms_ceiling_reached", "all", "error")
    ]
    clock.shift(HOUR)
    assert DAY - HOUR - 10 <= wait_s(ask(api, f"138{new_phone()[3:]}")) <= DAY - HOUR
    assert numbers(api)['datingtoday_sms_ceiling_ratio{prefix="all"}'] == 1
    clock.shift(DAY - HOUR)
    assert_sent(ask(api))


def test_how_many_codes_become_logins(app_of: Callable[..., Api]) -> None:
    api = app_of()
    api.new_user()
    pumped = [f"138{new_phone()[3:]}" for _ in range(3)]
    for phone in pumped:
        assert_sent(ask(api, phone, address=new_address()))
    api.new_user(pumped[0].replace("138", "137", 1))
    found = numbers(api)
    assert found['datingtoday_sms_login_ratio{prefix="+86138"}'] == 0
    assert found['datingtoday_sms_login_ratio{prefix="+86139"}'] == 1
    assert found['datingtoday_sms_login_ratio{prefix="all"}'] == 2 / 5
    assert found['datingtoday_sms_sent_day{prefix="+86138"}'] == 3
