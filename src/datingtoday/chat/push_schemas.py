"""The events of chat that clients receive: entries of the stream, as `message/sync` has them, and `typing`."""

from __future__ import annotations

from marshmallow import Schema, fields

from datingtoday.chat.schemas import MessageSchema
from datingtoday.infra.realtime import PushKind
from datingtoday.infra.text import Text


class _EntrySchema(Schema):
    pos = fields.Integer(required=True, metadata={"description": "counts 1, 2, 3 … in the account"})
    kind = fields.String(required=True, metadata={"description": "the name of the event"})
    epoch = fields.Integer(required=True, metadata={"description": "as in the answer of `message/sync`"})


class MessageEventSchema(_EntrySchema):
    """A message that was sent to the user, or by them."""

    message = fields.Nested(MessageSchema, required=True)


class ReadEventSchema(_EntrySchema):
    """A conversation was read up to a message."""

    peer_id = fields.Integer(required=True, metadata={"description": "whose conversation"})
    seq = fields.Integer(required=True, metadata={"description": "read up to here"})
    by_me = fields.Boolean(required=True, metadata={"description": "by another device of the user"})


class RecallEventSchema(_EntrySchema):
    """A message was recalled."""

    message_id = fields.Integer(required=True)
    peer_id = fields.Integer(required=True, metadata={"description": "whose conversation"})
    seq = fields.Integer(required=True)


class ContactEventSchema(_EntrySchema):
    """A contact was removed."""

    peer_id = fields.Integer(required=True, metadata={"description": "whose conversation"})
    removed = fields.Boolean(required=True, metadata={"description": "always true"})


class TypingSchema(Schema):
    """The payload of `typing`."""

    peer_id = fields.Integer(required=True, metadata={"description": "the user who is writing"})


TYPING = PushKind(
    "typing",
    TypingSchema(),
    Text("The other side of a conversation is writing.", "会话的另一方正在输入。"),
)
KINDS = (
    PushKind(
        "message",
        MessageEventSchema(),
        Text("A message of one of my conversations.", "我的会话中有一条消息。"),
    ),
    PushKind("read", ReadEventSchema(), Text("A conversation was read.", "会话已读。")),
    PushKind("recall", RecallEventSchema(), Text("A message was recalled.", "消息被撤回。")),
    PushKind("contact", ContactEventSchema(), Text("I removed a contact.", "我删除了一个联系人。")),
    TYPING,
)
"""Every event of chat."""
