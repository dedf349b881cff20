"""Parameters and answers of profiles."""

from __future__ import annotations

from marshmallow import Schema, fields

from datingtoday.protocol.fields import Id, ParamsSchema, WireTime


class ShowParams(ParamsSchema):
    peer_id = Id(data_key="peerId", load_default=None)


class CardLabelSchema(Schema):
    label_id = fields.Integer(required=True)
    name = fields.String(required=True)


class PhotoSchema(Schema):
    photo_id = fields.Integer(required=True)
    url = fields.String(required=True)
    thumb_url = fields.String(required=True)


class ProfileSchema(Schema):
    """A profile; the fields from ``phone`` on only in one's own."""

    user_id = fields.Integer(required=True)
    nickname = fields.String(required=True)
    age = fields.Integer(required=True, allow_none=True)
    gender = fields.Integer(required=True)
    avatar = fields.String(required=True, allow_none=True)
    height = fields.Integer(required=True, allow_none=True)
    sexual = fields.Integer(required=True)
    education = fields.Integer(required=True)
    salary = fields.Integer(required=True, allow_none=True)
    emotion = fields.Integer(required=True, allow_none=True)
    vip = fields.Boolean(required=True)
    intro = fields.String(required=True)
    labels = fields.List(fields.Nested(CardLabelSchema), required=True)
    album = fields.List(fields.Nested(PhotoSchema), required=True)
    following = fields.Boolean(required=True)
    followed_by = fields.Boolean(required=True)
    last_active = fields.Date(required=True)
    phone = fields.String(allow_none=True)
    email = fields.String(allow_none=True)
    birthday = fields.Date(allow_none=True)
    authority = fields.Integer()
    stealth = fields.Boolean()
    personal = fields.Boolean()
    create_time = WireTime()
    vip_deadline = WireTime(allow_none=True)
