"""Parameters and answers of media."""

from __future__ import annotations

from marshmallow import Schema, fields

from datingtoday.infra.text import Text
from datingtoday.media.processing.inspect import Kind
from datingtoday.media.signed_urls import SIZES
from datingtoday.protocol.fields import Choice, Integer, ParamsSchema, TextLine


class UploadParams(ParamsSchema):
    kind = Choice(
        [kind.value for kind in Kind],
        metadata={
            "description": Text(
                "`photo` is for the profile, `image` `audio` `video` are for chat",
                "`photo` 用于个人资料，`image` `audio` `video` 用于聊天",
            )
        },
    )


class DeliveryParams(ParamsSchema):
    """For the documentation: clients take the URL as it is."""

    size = Choice(SIZES, load_default=None)
    expires = Integer(least=10**9, most=10**11 - 1)
    signature = TextLine(least=54, most=54)


class MediaSchema(Schema):
    """An upload as it is stored, which is never what was uploaded."""

    media_id = fields.String(required=True)
    kind = fields.String(required=True)
    mime = fields.String(required=True)
    bytes = fields.Integer(required=True)
    url = fields.String(
        required=True, metadata={"description": "path and query, to be resolved against the API's address"}
    )
    thumb_url = fields.String(metadata={"description": "a thumbnail of at most 240 pixels; not for audio"})
    width = fields.Integer(metadata={"description": "in pixels, after rotation"})
    height = fields.Integer()
    duration_ms = fields.Integer(metadata={"description": "of audio and video"})
