"""Endpoints of logging in."""

from __future__ import annotations

from typing import Any

from flask import Blueprint

from datingtoday.accounts import schemas
from datingtoday.accounts.demo_login import DemoLogin
from datingtoday.accounts.errors import SmsCodeWrong
from datingtoday.accounts.service import Accounts
from datingtoday.infra.text import Text
from datingtoday.protocol.call import Call
from datingtoday.protocol.endpoint import endpoint
from datingtoday.protocol.errors import AccountBanned, RateLimited, Unavailable
from datingtoday.protocol.fields import LatLngRefused, use_region

_TWO_CODES = Text(
    "Two codes to one number are at least 60 s apart (`sms_gap_s` of `app/config`), all purposes together: whoever has "
    "just logged in waits that long before a code for another purpose. Earlier: 429 with `data.retry_after_s`. A code "
    "works for its purpose only, and the newest one only.",
    "同一号码的两次验证码至少间隔 60 秒（`app/config` 的 `sms_gap_s`），不论用途：刚登录的用户要等这么久才能获取"
    "其他用途的验证码。过早请求返回 429 和 `data.retry_after_s`。验证码只对其用途有效，且只有最新的一个有效。",
)


def auth_routes(accounts: Accounts, demo: DemoLogin, *, region: str, echo: bool) -> Blueprint:
    """``/api/auth``.

    :param echo: answer the code, to peers on this machine only.
    """
    bp = Blueprint("auth", __name__, url_prefix="/api/auth")

    @bp.post("/sendsms")
    @endpoint(
        "Send a login code by SMS",
        "发送短信验证码",
        description=_TWO_CODES,
        require_token=False,
        params=use_region(schemas.SendSmsParams(), region),
        returns=schemas.SentSchema,
        transaction="manual",
        raises=(RateLimited, Unavailable),
    )
    def sendsms(call: Call, phone: str, purpose: str) -> Any:
        code = accounts.codes.send(phone, purpose, address=call.address, now=call.now)
        sent = {"phone": call.params["phone"]}
        return {**sent, "code": code} if echo and call.is_local else sent

    @bp.post("/login")
    @endpoint(
        "Log in with a code; registers a new number",
        "用验证码登录；新号码自动注册",
        require_token=False,
        params=use_region(schemas.LoginParams(), region),
        returns=schemas.LoggedInSchema,
        raises=(SmsCodeWrong, AccountBanned, RateLimited, LatLngRefused),
    )
    def login(call: Call, phone: str, code: str, **others: Any) -> Any:
        is_demo = demo.admits(phone, code, is_local=call.is_local)
        return accounts.log_in(
            call.session, phone, code, address=call.address, now=call.now, needs_code=not is_demo, **others
        )

    @bp.post("/logout")
    @endpoint(
        "Log out: this device, another, or all",
        "退出登录：本设备、指定设备或全部",
        params=schemas.LogoutParams,
    )
    def logout(call: Call, **which: Any) -> None:
        accounts.log_out(call.session, call.user_id, current_id=call.session_id, now=call.now, **which)

    @bp.get("/sessions")
    @endpoint("List my logged-in devices", "已登录的设备", returns=schemas.SessionSchema(many=True))
    def sessions(call: Call) -> Any:
        return accounts.devices(call.session, call.user_id, current_id=call.session_id, now=call.now)

    return bp


def phone_routes(accounts: Accounts, *, region: str) -> Blueprint:
    """``/api/user/phone``: the number belongs to the login, the path to the person."""
    bp = Blueprint("user_phone", __name__, url_prefix="/api/user")

    @bp.post("/phone")
    @endpoint(
        "Move the account to another number",
        "更换手机号",
        params=use_region(schemas.ChangePhoneParams(), region),
        returns=schemas.PhoneSchema,
        raises=(SmsCodeWrong, RateLimited),
    )
    def phone(call: Call, phone: str, code: str) -> Any:
        accounts.change_phone(
            call.session, call.user_id, phone, code,
            current_id=call.session_id, address=call.address, now=call.now,
        )  # fmt: skip
        return {"phone": phone}

    return bp
