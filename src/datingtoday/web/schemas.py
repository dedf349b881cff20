"""Answers of the endpoints that describe the app."""

from __future__ import annotations

from marshmallow import Schema, fields


class NumberOptionSchema(Schema):
    value = fields.Integer(required=True)
    en = fields.String(required=True)
    zh = fields.String(required=True)


class WordOptionSchema(Schema):
    value = fields.String(required=True)
    en = fields.String(required=True)
    zh = fields.String(required=True)


class VipRightSchema(Schema):
    name = fields.String(required=True)
    free = fields.Raw(required=True, metadata={"oneOf": [{"type": "boolean"}, {"type": "integer"}]})
    vip = fields.Raw(required=True, metadata={"oneOf": [{"type": "boolean"}, {"type": "integer"}]})


class AppConfigSchema(Schema):
    enumerations = fields.Dict(
        keys=fields.String(), values=fields.List(fields.Nested(NumberOptionSchema)), required=True
    )
    report_reasons = fields.List(fields.Nested(WordOptionSchema), required=True)
    limits = fields.Dict(keys=fields.String(), values=fields.Integer(), required=True)
    vip_rights = fields.List(fields.Nested(VipRightSchema), required=True)
    payment_channels = fields.List(fields.String(), required=True)
    min_client_version = fields.String(required=True)
    server_time = fields.String(required=True)
    server_time_ms = fields.Integer(required=True)
