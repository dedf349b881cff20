"""Parameters and answers of chat."""

from __future__ import annotations

import re
from typing import Any, ClassVar

from marshmallow import Schema, ValidationError, fields

from datingtoday.chat.forms import TEXT
from datingtoday.chat.history import LATEST
from datingtoday.chat.models import CLIENT_ID_CHARS, CONTENT_CHARS, MAX_MESSAGE_ID
from datingtoday.chat.sending import MEDIA_TYPES, Draft
from datingtoday.infra.paired import paired
from datingtoday.infra.text import Text
from datingtoday.media.schemas import MediaSchema
from datingtoday.profiles.parameters import MediaId
from datingtoday.profiles.schemas import CardSchema
from datingtoday.protocol.described import about, enumerated
from datingtoday.protocol.fields import (
    Choice,
    Id,
    Integer,
    Parameter,
    ParamsSchema,
    WireTime,
    has_control_characters,
)
from datingtoday.protocol.paging import MAX_PAGE_COUNT, PAGE_COUNT

_MEDIA_NAMES = (Text("voice message", "语音"), Text("image", "图片"), Text("video", "视频"))
TYPE_NAMES = {TEXT: Text("text", "文本")} | dict(paired(MEDIA_TYPES, _MEDIA_NAMES))
LAST_TYPE_NAMES = TYPE_NAMES | {"recalled": Text("a recalled message", "已撤回的消息")}
KIND_NAMES = {
    "message": Text("a message was sent or received", "收到或发出了消息"),
    "read": Text("a conversation was read", "会话已读"),
    "recall": Text("a message was recalled", "消息被撤回"),
    "contact": Text("a contact was removed", "联系人被删除"),
}
_LATEST = {"latest": Text("nothing but the current position", "只返回当前位置")}
MAX_SYNC_COUNT = 200
SYNC_COUNT = 50
_MAX_SEQ = 2**31 - 1
_MAY_STAND = str.maketrans("", "", "\n\r\t")


class ClientId(Parameter):
    """An id that the client draws for a message or an order, the same for every retry of it."""

    allowed = Text(
        f"1 to {CLIENT_ID_CHARS} printable ASCII characters", f"1 到 {CLIENT_ID_CHARS} 个可打印 ASCII 字符"
    )
    openapi: ClassVar[dict[str, Any]] = {"type": "string", "minLength": 1, "maxLength": CLIENT_ID_CHARS}

    _FORM = re.compile(rf"[ -~]{{1,{CLIENT_ID_CHARS}}}\Z", re.ASCII)

    def read(self, text: str) -> str:
        if not self._FORM.match(text):
            raise ValueError(text)
        return text


class MessageText(Parameter):
    """The text of a message, which is kept as it is."""

    allowed = Text(
        f"1 to {CONTENT_CHARS} characters, no control characters but line breaks and tabs; only with type=text",
        f"1 到 {CONTENT_CHARS} 个字符，除换行和制表符外不含控制字符；仅用于 type=text",
    )
    openapi: ClassVar[dict[str, Any]] = {"type": "string", "minLength": 1, "maxLength": CONTENT_CHARS}

    def read(self, text: str) -> str:
        if not 1 <= len(text) <= CONTENT_CHARS:
            raise ValueError(text)
        if has_control_characters(text) and has_control_characters(text.translate(_MAY_STAND)):
            raise ValueError(text)
        return text


class ChatMediaId(MediaId):
    """The upload that a message shows."""

    allowed = Text(
        "the id of an upload of your own, of the kind that `type` names; not with type=text",
        "自己上传的媒体 id，类型须与 `type` 一致；不用于 type=text",
    )


class SendParams(ParamsSchema):
    peer_id = Id(data_key="peerId")
    type = Choice(TYPE_NAMES)
    client_id = ClientId(data_key="clientId")
    content = MessageText(load_default=None)
    media_id = ChatMediaId(data_key="mediaId", load_default=None)

    def gathered(self, values: dict[str, Any]) -> dict[str, Any]:
        is_text = values["type"] == TEXT
        if (values["content"] is not None) != is_text:
            raise ValidationError("does not go with the type", "content")
        if (values["media_id"] is None) != is_text:
            raise ValidationError("does not go with the type", "mediaId")
        return {
            "draft": Draft(
                peer_id=values["peer_id"],
                msg_type=values["type"],
                client_id=values["client_id"],
                content=values["content"],
                media_id=values["media_id"],
            )
        }


class AfterSeq(Integer):
    """A lower bound of ``seq``."""

    def __init__(self, **options: Any) -> None:
        super().__init__(least=0, most=_MAX_SEQ, **options)
        self.allowed = Text(
            f"a whole number from 0 to {_MAX_SEQ}; not together with before",
            f"0 到 {_MAX_SEQ} 的整数；不能与 before 同时使用",
        )


class ListParams(ParamsSchema):
    peer_id = Id(data_key="peerId")
    before = Integer(least=1, most=_MAX_SEQ, load_default=None)
    after = AfterSeq(load_default=None)
    count = Integer(least=1, most=MAX_PAGE_COUNT, data_key="pageCount", load_default=PAGE_COUNT)

    def gathered(self, values: dict[str, Any]) -> dict[str, Any]:
        if values["before"] is not None and values["after"] is not None:
            raise ValidationError("not together with before", "after")
        return values


class Since(Integer):
    """A position of a stream; ``latest`` is read as `LATEST`."""

    def __init__(self, **options: Any) -> None:
        super().__init__(least=0, most=MAX_MESSAGE_ID, **options)
        self.allowed = Text(
            "a position that sync gave you, 0 at first, or latest", "sync 返回的位置，首次为 0，或 latest"
        )

    def read(self, text: str) -> int:
        return LATEST if text == "latest" else super().read(text)

    def schema(self) -> dict[str, Any]:
        return {"anyOf": [super().schema(), {"type": "string", **enumerated(_LATEST)}]}


class SyncParams(ParamsSchema):
    since = Since()
    epoch = Integer(
        least=0,
        most=MAX_MESSAGE_ID,
        load_default=None,
        metadata={
            "description": Text(
                "`epoch` of the answer before; another one than the server's is 1406",
                "上一次返回的 `epoch`；与服务器不同则返回 1406",
            )
        },
    )
    count = Integer(least=1, most=MAX_SYNC_COUNT, data_key="pageCount", load_default=SYNC_COUNT)


class ReadParams(ParamsSchema):
    peer_id = Id(data_key="peerId")
    seq = Integer(least=1, most=_MAX_SEQ)


class RecallParams(ParamsSchema):
    message_id = Integer(least=1, most=MAX_MESSAGE_ID, data_key="messageId")


class MessageSchema(Schema):
    """A message. Recalled ones and those of purged accounts have neither content nor media."""

    summary: ClassVar[Text] = Text(
        "A message. Recalled ones and those of purged accounts have neither content nor media.",
        "消息。已撤回或账号已清除的消息没有内容和媒体。",
    )

    message_id = fields.Integer(required=True, metadata=about("id of the message", "消息 id"))
    client_id = fields.String(
        required=True, metadata=about("`clientId` of its sender", "发送方的 `clientId`")
    )
    from_uid = fields.Integer(required=True, metadata=about("sender", "发送方的用户 id"))
    to_uid = fields.Integer(required=True, metadata=about("receiver", "接收方的用户 id"))
    type = fields.String(required=True, metadata=about("form of the message", "消息类型", names=TYPE_NAMES))
    content = fields.String(
        required=True, allow_none=True, metadata=about("null unless text", "文本内容；非文本消息为 null")
    )
    media = fields.Nested(
        MediaSchema, required=True, allow_none=True, metadata=about("null if text", "媒体；文本消息为 null")
    )
    seq = fields.Integer(
        required=True,
        metadata=about(
            "counts 1, 2, 3 … in the conversation, the same for both",
            "在会话中的序号，从 1 起连续递增，双方相同",
        ),
    )
    send_time = WireTime(required=True, metadata=about("time of sending, UTC", "发送时间（UTC）"))
    send_ms = fields.Integer(
        required=True, metadata=about("time of sending, ms since 1970", "发送时间，1970 年以来的毫秒数")
    )
    read = fields.Boolean(
        required=True,
        metadata=about("by its receiver; in sync always false", "接收方是否已读；在 sync 中始终为 false"),
    )
    recalled = fields.Boolean(required=True, metadata=about("recalled by its sender", "是否已撤回"))


class MessageListSchema(Schema):
    summary: ClassVar[Text] = Text("Messages of a conversation.", "一个会话的消息。")

    list = fields.List(
        fields.Nested(MessageSchema), required=True, metadata=about("by seq", "按 seq 升序排列")
    )
    has_next = fields.Boolean(
        required=True,
        metadata=about("more lie beyond, in the direction asked for", "该方向上是否还有更多消息"),
    )


class SyncEntrySchema(Schema):
    """An entry of the account's stream; which fields it has depends on its kind."""

    summary: ClassVar[Text] = Text(
        "An entry of the account's stream; which fields it has depends on its kind.",
        "账号事件流中的一条；有哪些字段取决于 kind。",
    )

    pos = fields.Integer(
        required=True, metadata=about("counts 1, 2, 3 … in the account", "在账号中的位置，从 1 起连续递增")
    )
    kind = fields.String(required=True, metadata=about("what happened", "发生了什么", names=KIND_NAMES))
    message = fields.Nested(MessageSchema, metadata=about("of kind message", "kind 为 message 时的消息"))
    peer_id = fields.Integer(
        metadata=about("of the other kinds: whose conversation", "其他 kind：与谁的会话")
    )
    seq = fields.Integer(
        metadata=about("read up to here; or of the recalled message", "已读到此处；或被撤回的消息的序号")
    )
    by_me = fields.Boolean(
        metadata=about("of kind read: who read it", "kind 为 read：true 表示由我读，false 表示由对方读")
    )
    message_id = fields.Integer(metadata=about("of kind recall", "kind 为 recall：被撤回的消息"))
    removed = fields.Boolean(metadata=about("of kind contact; always true", "kind 为 contact：始终为 true"))


class SyncSchema(Schema):
    summary: ClassVar[Text] = Text(
        "What happened in all conversations after a position.", "某个位置之后所有会话中发生的一切。"
    )

    list = fields.List(
        fields.Nested(SyncEntrySchema),
        required=True,
        metadata=about("entries in the order of `pos`", "按 `pos` 排列的条目"),
    )
    next = fields.Integer(
        required=True, metadata=about("`since` of the next request", "下一次请求的 `since`")
    )
    has_next = fields.Boolean(required=True, metadata=about("more follow", "是否还有下一页"))
    epoch = fields.Integer(
        required=True, metadata=about("changes when the database was set back", "数据库被恢复到旧状态时改变")
    )


class UnreadSchema(Schema):
    summary: ClassVar[Text] = Text("Unread messages of a conversation.", "一个会话的未读数。")

    unread = fields.Integer(required=True, metadata=about("of this conversation", "该会话的未读数"))


class TotalUnreadSchema(Schema):
    summary: ClassVar[Text] = Text("Unread messages of all conversations.", "全部未读消息数。")

    total = fields.Integer(
        required=True, metadata=about("unread messages of all conversations", "所有会话的未读消息总数")
    )


class ContactSchema(Schema):
    summary: ClassVar[Text] = Text("A conversation in the list of contacts.", "联系人列表中的会话。")

    peer = fields.Nested(CardSchema, required=True, metadata=about("the other person", "对方"))
    last_msg = fields.String(
        required=True,
        metadata=about("empty unless last_type is text", "最后一条消息的文本；last_type 不是 text 时为空"),
    )
    last_type = fields.String(
        required=True, metadata=about("form of the last message", "最后一条消息的类型", names=LAST_TYPE_NAMES)
    )
    unread = fields.Integer(
        required=True, metadata=about("unread messages of this conversation", "该会话的未读数")
    )
    update_time = WireTime(
        required=True, metadata=about("time of the last message, UTC", "最后一条消息的时间（UTC）")
    )
    update_ms = fields.Integer(
        required=True,
        metadata=about("time of the last message, ms since 1970", "最后一条消息的时间，1970 年以来的毫秒数"),
    )
