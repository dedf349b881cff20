"""Parameters and answers of logging in."""

from __future__ import annotations

from typing import ClassVar

from marshmallow import Schema, fields

from datingtoday.accounts.models import DEVICE_CHARS
from datingtoday.accounts.sms_codes import PURPOSES
from datingtoday.infra.text import Text
from datingtoday.protocol.described import about
from datingtoday.protocol.fields import (
    Choice,
    Flag,
    Id,
    LatLng,
    ParamsSchema,
    Phone,
    SmsCode,
    TextLine,
    WireTime,
)

_PURPOSE_NAMES = dict(
    zip(
        PURPOSES,
        (
            Text("log in or register", "登录或注册"),
            Text("delete the account", "注销账号"),
            Text("change the number; sent to the new one", "更换手机号，发往新号码"),
            Text("export my data", "导出数据"),
        ),
        strict=True,
    )
)


class SendSmsParams(ParamsSchema):
    phone = Phone()
    purpose = Choice(_PURPOSE_NAMES, load_default="login")


class SentSchema(Schema):
    summary: ClassVar[Text] = Text("The code was sent.", "验证码已发送。")

    phone = fields.String(required=True, metadata=about("as given", "与请求中相同的手机号"))
    code = fields.String(
        metadata=about("only where the server is set to echo codes", "验证码；仅在服务器设置为返回验证码时")
    )


class LoginParams(ParamsSchema):
    phone = Phone()
    code = SmsCode()
    device = TextLine(most=DEVICE_CHARS, least=0, load_default="")
    latlng = LatLng(load_default=None)


class LoggedInSchema(Schema):
    summary: ClassVar[Text] = Text("The new login.", "新的登录。")

    token = fields.String(required=True, metadata=about("`token` of later requests", "后续请求的 `token`"))
    expire_time = WireTime(required=True, metadata=about("end of the login, UTC", "登录到期时间（UTC）"))
    expired_time = WireTime(
        required=True, metadata=about("the same as `expire_time`", "与 `expire_time` 相同")
    )
    user_id = fields.Integer(
        required=True, metadata=about("`userId` of later requests", "后续请求的 `userId`")
    )
    is_new = fields.Boolean(
        required=True, metadata=about("this login registered the number", "是否新注册用户")
    )


class LogoutParams(ParamsSchema):
    all = Flag(load_default=False, attribute="everywhere")
    session_id = Id(data_key="sessionId", load_default=None)


class SessionSchema(Schema):
    summary: ClassVar[Text] = Text("A logged-in device.", "已登录的设备。")

    id = fields.Integer(
        required=True, metadata=about("`sessionId` of `auth/logout`", "`auth/logout` 的 `sessionId`")
    )
    device = fields.String(
        required=True, metadata=about("name that the client gave at login", "登录时客户端提供的设备名")
    )
    login_time = WireTime(required=True, metadata=about("time of the login, UTC", "登录时间（UTC）"))
    last_seen = WireTime(required=True, metadata=about("last request, UTC", "最近一次请求的时间（UTC）"))
    current = fields.Boolean(required=True, metadata=about("the device that asks", "是否当前设备"))


class ChangePhoneParams(ParamsSchema):
    phone = Phone()
    code = SmsCode()


class PhoneSchema(Schema):
    summary: ClassVar[Text] = Text("The number after the change.", "更换后的手机号。")

    phone = fields.String(required=True, metadata=about("the new number in E.164", "新手机号（E.164 格式）"))
