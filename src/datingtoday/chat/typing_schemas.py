"""The event `typing`."""

from __future__ import annotations

from marshmallow import Schema, fields

from datingtoday.infra.realtime import PushKind
from datingtoday.infra.text import Text


class TypingSchema(Schema):
    """The payload of `typing`."""

    peer_id = fields.Integer(required=True, metadata={"description": "the user who is writing"})


TYPING = PushKind(
    "typing",
    TypingSchema(),
    Text("The other side of a conversation is writing.", "会话的另一方正在输入。"),
)
