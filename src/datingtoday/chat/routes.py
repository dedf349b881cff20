"""Endpoints of contacts and messages."""

from __future__ import annotations

from typing import Any

from flask import Blueprint

from datingtoday.chat import schemas
from datingtoday.chat.contacts import Contacts
from datingtoday.chat.conversations import Conversations
from datingtoday.chat.errors import (
    MessageNotFound,
    NotAccepted,
    PositionUnknown,
    TooLateToRecall,
    TooManyConversations,
)
from datingtoday.chat.history import History
from datingtoday.chat.sending import Draft, Sending
from datingtoday.infra.text import Text
from datingtoday.media.errors import MediaNotFound
from datingtoday.profiles.schemas import PeerParams
from datingtoday.protocol.call import Call
from datingtoday.protocol.endpoint import endpoint
from datingtoday.protocol.errors import ClientIdReused, RateLimited
from datingtoday.protocol.paging import PageParams, PageRequest, page_schema


def contact_routes(contacts: Contacts, conversations: Conversations) -> Blueprint:
    """``/api/contacts``."""
    bp = Blueprint("contacts", __name__, url_prefix="/api/contacts")

    @bp.get("/list")
    @endpoint(
        "List my contacts, the latest message first",
        "联系人列表（按最新消息排序）",
        params=PageParams,
        returns=page_schema(schemas.ContactSchema),
    )
    def contact_list(call: Call, page: PageRequest) -> Any:
        return contacts.page(call.session, call.user_id, page, call.now)

    @bp.post("/remove")
    @endpoint(
        "Remove a contact until the next message, and its history so far",
        "删除联系人（收到新消息前不再显示）及已有聊天记录",
        params=PeerParams,
        repeatable=True,
    )
    def contact_remove(call: Call, peer_id: int) -> None:
        conversations.remove(call.session, call.user_id, peer_id, call.now)

    return bp


def message_routes(sending: Sending, history: History, conversations: Conversations) -> Blueprint:
    """``/api/message``."""
    bp = Blueprint("message", __name__, url_prefix="/api/message")

    @bp.post("/send")
    @endpoint(
        "Send a message",
        "发送消息",
        params=schemas.SendParams,
        returns=schemas.MessageSchema,
        repeatable=True,
        raises=(MediaNotFound, NotAccepted, ClientIdReused, TooManyConversations, RateLimited),
        description=Text(
            "Draw a `clientId` for every message and keep it for every retry: a repeated one answers with the first "
            "message and changes nothing.",
            "每条消息生成一个 `clientId`，重试时沿用：重复提交会返回第一次的消息，不做任何修改。",
        ),
    )
    def send(call: Call, draft: Draft) -> Any:
        return sending.send(call.packets, call.user_id, draft, call.now)

    @bp.get("/list")
    @endpoint(
        "Messages of a conversation",
        "聊天记录",
        params=schemas.ListParams,
        returns=schemas.MessageListSchema,
    )
    def message_list(call: Call, peer_id: int, **bounds: Any) -> Any:
        return history.messages(call.session, call.user_id, peer_id, now=call.now, **bounds)

    @bp.get("/sync")
    @endpoint(
        "Everything that happened since a position, in all conversations",
        "从某个位置起，所有会话中发生的一切",
        params=schemas.SyncParams,
        returns=schemas.SyncSchema,
        raises=(PositionUnknown,),
    )
    def sync(call: Call, since: int, epoch: int | None, count: int) -> Any:
        return history.sync(call.session, call.user_id, since=since, epoch=epoch, count=count, now=call.now)

    @bp.post("/read")
    @endpoint(
        "Mark a conversation as read up to a message",
        "标记已读",
        params=schemas.ReadParams,
        returns=schemas.UnreadSchema,
        repeatable=True,
    )
    def read(call: Call, peer_id: int, seq: int) -> Any:
        return conversations.read(call.session, call.user_id, peer_id, seq, call.now)

    @bp.post("/recall")
    @endpoint(
        "Recall a message of my own",
        "撤回自己的消息",
        params=schemas.RecallParams,
        repeatable=True,
        raises=(MessageNotFound, TooLateToRecall),
    )
    def recall(call: Call, message_id: int) -> None:
        conversations.recall(call.session, call.user_id, message_id, call.now)

    @bp.get("/unread")
    @endpoint("Count my unread messages", "未读消息总数", returns=schemas.TotalUnreadSchema)
    def unread(call: Call) -> Any:
        return conversations.unread(call.session, call.user_id)

    return bp
