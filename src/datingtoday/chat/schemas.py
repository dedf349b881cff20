"""Parameters and answers of chat."""

from __future__ import annotations

import re
from typing import Any, ClassVar

from marshmallow import Schema, ValidationError, fields, post_load, validates_schema

from datingtoday.chat.forms import TEXT
from datingtoday.chat.history import LATEST
from datingtoday.chat.models import CLIENT_ID_CHARS, CONTENT_CHARS, MAX_MESSAGE_ID
from datingtoday.chat.sending import MEDIA_TYPES, Draft
from datingtoday.infra.text import Text
from datingtoday.media.schemas import MediaSchema
from datingtoday.profiles.parameters import MediaId
from datingtoday.profiles.schemas import CardSchema
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
        if not 1 <= len(text) <= CONTENT_CHARS or has_control_characters(text.translate(_MAY_STAND)):
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
    type = Choice((TEXT, *MEDIA_TYPES))
    client_id = ClientId(data_key="clientId")
    content = MessageText(load_default=None)
    media_id = ChatMediaId(data_key="mediaId", load_default=None)

    @validates_schema
    def _one_of_them(self, data: dict[str, Any], **_: Any) -> None:
        is_text = data["type"] == TEXT
        for name, attribute, wanted in (
            ("content", "content", is_text),
            ("mediaId", "media_id", not is_text),
        ):
            if (data.get(attribute) is not None) != wanted:
                raise ValidationError("does not go with the type", name)

    @post_load
    def _gather(self, data: dict[str, Any], **_: Any) -> dict[str, Any]:
        return {
            "draft": Draft(
                peer_id=data["peer_id"],
                msg_type=data["type"],
                client_id=data["client_id"],
                content=data["content"],
                media_id=data["media_id"],
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

    @validates_schema
    def _not_both(self, data: dict[str, Any], **_: Any) -> None:
        if data.get("before") is not None and data.get("after") is not None:
            raise ValidationError("not together with before", "after")


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
        return {"anyOf": [super().schema(), {"type": "string", "enum": ["latest"]}]}


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

    message_id = fields.Integer(required=True)
    client_id = fields.String(required=True)
    from_uid = fields.Integer(required=True)
    to_uid = fields.Integer(required=True)
    type = fields.String(required=True)
    content = fields.String(required=True, allow_none=True, metadata={"description": "null unless text"})
    media = fields.Nested(
        MediaSchema, required=True, allow_none=True, metadata={"description": "null if text"}
    )
    seq = fields.Integer(
        required=True, metadata={"description": "counts 1, 2, 3 … in the conversation, the same for both"}
    )
    send_time = WireTime(required=True)
    send_ms = fields.Integer(required=True)
    read = fields.Boolean(required=True, metadata={"description": "by its receiver; in sync always false"})
    recalled = fields.Boolean(required=True)


class MessageListSchema(Schema):
    list = fields.List(fields.Nested(MessageSchema), required=True, metadata={"description": "by seq"})
    has_next = fields.Boolean(required=True)


class SyncEntrySchema(Schema):
    """An entry of the account's stream; which fields it has depends on its kind."""

    pos = fields.Integer(required=True, metadata={"description": "counts 1, 2, 3 … in the account"})
    kind = fields.String(required=True, metadata={"description": "message, read, recall or contact"})
    message = fields.Nested(MessageSchema, metadata={"description": "of kind message"})
    peer_id = fields.Integer(metadata={"description": "of the other kinds: whose conversation"})
    seq = fields.Integer(metadata={"description": "read up to here; or of the recalled message"})
    by_me = fields.Boolean(metadata={"description": "of kind read: who read it"})
    message_id = fields.Integer(metadata={"description": "of kind recall"})
    removed = fields.Boolean(metadata={"description": "of kind contact; always true"})


class SyncSchema(Schema):
    list = fields.List(fields.Nested(SyncEntrySchema), required=True)
    next = fields.Integer(required=True, metadata={"description": "`since` of the next request"})
    has_next = fields.Boolean(required=True)
    epoch = fields.Integer(required=True, metadata={"description": "changes when the database was set back"})


class UnreadSchema(Schema):
    unread = fields.Integer(required=True, metadata={"description": "of this conversation"})


class TotalUnreadSchema(Schema):
    total = fields.Integer(required=True)


class ContactSchema(Schema):
    peer = fields.Nested(CardSchema, required=True)
    last_msg = fields.String(required=True, metadata={"description": "empty unless last_type is text"})
    last_type = fields.String(
        required=True, metadata={"description": "text, audio, image, video or recalled"}
    )
    unread = fields.Integer(required=True)
    update_time = WireTime(required=True)
    update_ms = fields.Integer(required=True)
