"""The events of chat that clients receive: entries of the stream, as `message/sync` has them, and `typing`."""

from __future__ import annotations

from typing import ClassVar

from marshmallow import Schema, fields

from datingtoday.chat.schemas import MessageSchema
from datingtoday.infra.realtime import PushKind
from datingtoday.infra.text import Text
from datingtoday.protocol.described import about


class _EntrySchema(Schema):
    pos = fields.Integer(
        required=True, metadata=about("counts 1, 2, 3 … in the account", "在账号中的位置，从 1 起连续递增")
    )
    kind = fields.String(required=True, metadata=about("the name of the event", "事件名称"))
    epoch = fields.Integer(
        required=True, metadata=about("as in the answer of `message/sync`", "与 `message/sync` 应答中的相同")
    )


class MessageEventSchema(_EntrySchema):
    """A message that was sent to the user, or by them."""

    summary: ClassVar[Text] = Text(
        "A message that was sent to the user, or by them.", "发给该用户或由其发出的消息。"
    )

    message = fields.Nested(MessageSchema, required=True, metadata=about("the message", "消息"))


class ReadEventSchema(_EntrySchema):
    """A conversation was read up to a message."""

    summary: ClassVar[Text] = Text("A conversation was read up to a message.", "会话已读到某条消息。")

    peer_id = fields.Integer(required=True, metadata=about("whose conversation", "与谁的会话"))
    seq = fields.Integer(required=True, metadata=about("read up to here", "已读到此处"))
    by_me = fields.Boolean(
        required=True, metadata=about("by another device of the user", "是否由该用户的其他设备读")
    )


class RecallEventSchema(_EntrySchema):
    """A message was recalled."""

    summary: ClassVar[Text] = Text("A message was recalled.", "消息被撤回。")

    message_id = fields.Integer(required=True, metadata=about("id of the message", "消息 id"))
    peer_id = fields.Integer(required=True, metadata=about("whose conversation", "与谁的会话"))
    seq = fields.Integer(required=True, metadata=about("of the recalled message", "被撤回的消息的序号"))


class ContactEventSchema(_EntrySchema):
    """A contact was removed."""

    summary: ClassVar[Text] = Text("A contact was removed.", "联系人被删除。")

    peer_id = fields.Integer(required=True, metadata=about("whose conversation", "与谁的会话"))
    removed = fields.Boolean(required=True, metadata=about("always true", "始终为 true"))


class TypingSchema(Schema):
    """The payload of `typing`."""

    summary: ClassVar[Text] = Text("The payload of `typing`.", "`typing` 事件的内容。")

    peer_id = fields.Integer(required=True, metadata=about("the user who is writing", "正在输入的用户"))


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
