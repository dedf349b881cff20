"""Parameters and answers of logging in."""

from __future__ import annotations

from marshmallow import Schema, fields

from datingtoday.accounts.models import DEVICE_CHARS
from datingtoday.accounts.sms_codes import PURPOSES
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


class SendSmsParams(ParamsSchema):
    phone = Phone()
    purpose = Choice(PURPOSES, load_default="login")


class SentSchema(Schema):
    phone = fields.String(required=True, metadata={"description": "as given"})
    code = fields.String(metadata={"description": "only where the server is set to echo codes"})


class LoginParams(ParamsSchema):
    phone = Phone()
    code = SmsCode()
    device = TextLine(most=DEVICE_CHARS, least=0, load_default="")
    latlng = LatLng(load_default=None)


class LoggedInSchema(Schema):
    token = fields.String(required=True)
    expire_time = WireTime(required=True)
    expired_time = WireTime(required=True)
    user_id = fields.Integer(required=True)
    is_new = fields.Boolean(required=True)


class LogoutParams(ParamsSchema):
    all = Flag(load_default=False, attribute="everywhere")
    session_id = Id(data_key="sessionId", load_default=None)


class SessionSchema(Schema):
    id = fields.Integer(required=True)
    device = fields.String(required=True)
    login_time = WireTime(required=True)
    last_seen = WireTime(required=True)
    current = fields.Boolean(required=True)


class ChangePhoneParams(ParamsSchema):
    phone = Phone()
    code = SmsCode()


class PhoneSchema(Schema):
    phone = fields.String(required=True)
