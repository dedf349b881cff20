"""Errors of logging in."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from datingtoday.infra.text import Text
from datingtoday.protocol.envelope import wire_time
from datingtoday.protocol.errors import AccountBanned, AppError, ParameterError


class SmsCodeWrong(AppError):
    """The try was counted: this error commits."""

    code = 503
    en = "sms code error"
    zh = "短信验证码错误"
    cause = Text(
        "The code is wrong, used, expired, superseded by a newer one, for another purpose, or had too "
        "many failed attempts.",
        "验证码错误、已使用、已过期、不是最新的、用途不符，或错误次数过多。",
    )
    cure = Text(
        "Check the number and the purpose; after five failed attempts request a new code.",
        "检查手机号和用途；输错五次后需重新获取验证码。",
    )
    commits = True


class PhoneTaken(ParameterError):
    """The number has an account; told only to a user who proved to hold the number, by a code that is now used up.

    Not a class of its own in the table: code 300 with a sentence of its own.
    """

    en = "phone belongs to another account; allowed: a number without an account"
    zh = "手机号 phone 已属于另一个账号；允许：没有账号的号码"
    commits = True


def phone_not_served() -> ParameterError:
    """The SMS provider does not send to this number; trying again would not help."""
    return ParameterError.plain(
        "phone cannot receive our SMS (country or operator not served, or blocked); allowed: another number",
        "手机号 phone 无法接收本服务的短信（国家、运营商不支持或已被屏蔽）；允许：其他号码",
    )


def region_not_served(regions: Sequence[str]) -> ParameterError:
    """:param regions: ISO 3166 codes of those that are."""
    served = ", ".join(regions)
    return ParameterError.plain(
        f"phone is of a region that is not served; allowed: numbers of {served}",
        f"手机号 phone 所属的国家或地区暂不支持；允许：{served} 的号码",
    )


def not_ones_session() -> ParameterError:
    return ParameterError.plain(
        "sessionId is not one of your sessions; allowed: an id of /api/auth/sessions",
        "sessionId 不是你的登录；允许：/api/auth/sessions 中的 id",
    )


def banned(until: datetime | None, reason: str | None) -> AccountBanned:
    """:param until: None for good."""
    return AccountBanned(data={"until": None if until is None else wire_time(until), "reason": reason or ""})
