"""Parameters and answers of safety."""

from __future__ import annotations

from marshmallow import Schema, fields

from datingtoday.protocol.fields import Choice, Id, Lines, ParamsSchema, SmsCode, Whole, WireTime
from datingtoday.safety.models import DETAIL_CHARS
from datingtoday.safety.reports import REASONS

_MOST_MESSAGE_ID = 2**63 - 1


class ReportParams(ParamsSchema):
    peer_id = Id(data_key="peerId")
    reason = Choice([reason.word for reason in REASONS])
    detail = Lines(most=DETAIL_CHARS, load_default="")
    message_id = Whole(least=1, most=_MOST_MESSAGE_ID, data_key="messageId", load_default=None)


class ReportedSchema(Schema):
    report_id = fields.Integer(required=True, attribute="id")


class CodeParams(ParamsSchema):
    code = SmsCode()


class ExportSchema(Schema):
    """Each feature adds what it stores; see docs/people.md."""

    user_id = fields.Integer(required=True)
    exported_at = WireTime(required=True)
    profile = fields.Dict(required=True)
    media = fields.Dict(required=True)
    logins = fields.Dict(required=True)
    reports = fields.Dict(required=True)
    hot = fields.Dict(required=True)


class NumberOptionSchema(Schema):
    value = fields.Integer(required=True)
    en = fields.String(required=True)
    zh = fields.String(required=True)


class WordOptionSchema(Schema):
    value = fields.String(required=True)
    en = fields.String(required=True)
    zh = fields.String(required=True)


class AppConfigSchema(Schema):
    enumerations = fields.Dict(
        keys=fields.String(), values=fields.List(fields.Nested(NumberOptionSchema)), required=True
    )
    report_reasons = fields.List(fields.Nested(WordOptionSchema), required=True)
    limits = fields.Dict(keys=fields.String(), values=fields.Integer(), required=True)
    min_client_version = fields.String(required=True)
    server_time = fields.String(required=True)
    server_time_ms = fields.Integer(required=True)
