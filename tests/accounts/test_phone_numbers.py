"""Numbers that may log in; every notation of a number is the same account."""

from __future__ import annotations

import pytest

from tests.accounts.conftest import AppWith
from tests.accounts.rows import all_rows
from tests.plugins.api import Api, new_phone

NOTATIONS = [
    "+86{0}",
    "+86 {1} {2} {3}",
    "0086{0}",
    "86{0}",
    "{1}-{2}-{3}",
    "{1} {2} {3}",
    " {0} ",
    "(+86) {0}",
    "+86\u2013{1}\u2011{2}\u2010{3}",
    "+86\u00a0{0}",
    "\uff0b\uff18\uff16{0}",
    "fullwidth",
    # As address books, messengers and web pages hand numbers over.
    "\u202d{0}\u202c",
    "\u202a+86 {1} {2} {3}\u202c",
    "\u2068{0}\u2069",
    "\u202e{0}",
    "\u200e{0}\u200f",
    "\ufeff{0}",
    "{1}\u200b{2}\u200b{3}",
    "{1}\u200d{2}\u200c{3}",
    "{1}\u2060{2}\u00ad{3}",
    "\u061c{0}",
    "{0}\ufe0f",
    "\t{0}\r\n",
    # Every dash that a keyboard or a word processor has.
    "{1}\u2014{2}\u2014{3}",
    "{1}\u2015{2}\uff0d{3}",
    "{1}\u2212{2}\ufe63{3}",
    "{1}\u30fc{2}\uff70{3}",
    "{1}\u2043{2}\u2500{3}",
    "{1}\u3000{2}\u2009{3}",
]

REFUSED = {
    "landline": "010-62345678",
    "landline with +": "+86 10 6234 5678",
    "landline of Hong Kong": "+852 2123 4567",
    "toll free": "4008123123",
    "toll free in the US": "+1 800 253 0000",
    "premium": "+44 9012 345678",
    "service": "10086",
    "emergency": "110",
    "too short": "1391234567",
    "too long": "139123456789",
    "much too long": "139" + "1" * 400,
    "no such prefix": "14100000000",
    "no such country": "+999 1234567",
    "only a plus": "+",
    "letters": "1391234abcd",
    "letters of a keypad": "+1 202 555 CALL",
    "word": "phone",
    "extension": "13912345678 ext. 5",
    "semicolon": "13912345678;ext=5",
    "uri": "tel:+8613912345678",
    "two numbers": "13912345678,13912345679",
    "arabic digits": "\u0661\u0663\u0669\u0661\u0662\u0663\u0664\u0665\u0666\u0667\u0668",
    "chinese digits": "一三九一二三四五六七八",
    "mixed scripts": "139\u0661\u0662\u0663\u0664\u0665\u0666\u0667\u0668",
    "nothing but invisible": "\u200b\ufeff",
    "too long with marks": "\u200e" * 60 + "13912345678",
    "control character": "139\x001234567",
    "line end": "13912345678\n+8613912345679",
    "blank": "   ",
    "empty": "",
    "emoji": "📱13912345678",
    "sql": "13912345678' OR '1'='1",
}


def notation(form: str, phone: str) -> str:
    if form == "fullwidth":
        return "".join(chr(ord(digit) - ord("0") + ord("\uff10")) for digit in phone)
    return form.format(phone, phone[:3], phone[3:7], phone[7:])


@pytest.mark.parametrize("form", NOTATIONS)
def test_every_notation_is_the_same_account(unlimited: Api, form: str) -> None:
    phone = new_phone()
    first = unlimited.new_user(phone)
    written = notation(form, phone)

    sent = unlimited.post("/api/auth/sendsms", phone=written).data
    code = unlimited.sms.last(f"+86{phone}")
    again = unlimited.post("/api/auth/login", phone=written, code=code).data

    assert sent == {"phone": written}
    assert (again["user_id"], again["is_new"]) == (first.user_id, False)


def test_a_code_asked_for_in_one_notation_works_in_another(api: Api) -> None:
    phone = new_phone()
    code = api.new_code(phone)
    assert api.post("/api/auth/login", phone=notation("fullwidth", phone), code=code).data["is_new"]


@pytest.mark.parametrize(
    ("written", "e164"),
    [("+852 6123 {}", "+8526123{}"), ("+853 66-12-{}", "+8536612{}"), ("00852 9123 {}", "+8529123{}")],
)
def test_numbers_of_other_regions_need_their_country(unlimited: Api, written: str, e164: str) -> None:
    digits = new_phone()[-4:]
    written, e164 = written.format(digits), e164.format(digits)
    unlimited.post("/api/auth/sendsms", phone=written).data  # noqa: B018 - asserts success

    login = unlimited.post("/api/auth/login", phone=written, code=unlimited.sms.last(e164)).data

    row = all_rows(unlimited.parts)["user_info", login["user_id"]]
    assert row["phone"] == e164


def test_the_default_region_is_a_setting(app_with: AppWith) -> None:
    hong_kong = app_with(ACCOUNTS_DEFAULT_REGION="HK", LIMITS_ENABLED=0)
    local = f"6123{new_phone()[-4:]}"
    hong_kong.post("/api/auth/sendsms", phone=local).data  # noqa: B018 - asserts success
    assert hong_kong.sms.last(f"+852{local}")


@pytest.mark.parametrize("path", ["/api/auth/sendsms", "/api/auth/login"])
def test_what_cannot_receive_a_code_is_refused(api: Api, path: str) -> None:
    before, sent_before = all_rows(api.parts), {**api.sms.sent}
    for kind, number in REFUSED.items():
        answer = api.post(path, phone=number, code="123456")
        assert (answer.status, answer.code, answer.msg) == (200, 300, "phone number format error."), kind
        assert "data" not in answer.json
    assert all_rows(api.parts) == before
    assert api.sms.sent == sent_before


def test_the_refusal_is_told_in_chinese(api: Api) -> None:
    answer = api.post("/api/auth/sendsms", phone="110", lang="zh")
    assert (answer.code, answer.msg) == (300, "手机号 (phone) 格式错误。")
