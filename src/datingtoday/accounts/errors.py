"""Errors of logging in."""

from __future__ import annotations

from datingtoday.protocol.errors import AppError, Text


class SmsCodeWrong(AppError):
    """The try was counted: this error commits."""

    code = 503
    en = "sms code error"
    zh = "短信验证码错误"
    cause = Text(
        "The code is wrong, used, expired, not the newest, for another purpose, or was tried wrongly too often.",
        "验证码错误、已使用、已过期、不是最新的、用途不符，或错误次数过多。",
    )
    cure = Text(
        "Check the number and the purpose; after five wrong tries ask for a new code.",
        "检查手机号和用途；输错五次后需重新获取验证码。",
    )
    commits = True
