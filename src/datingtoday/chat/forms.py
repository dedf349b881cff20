"""Messages and entries of a stream as clients see them: the same in answers and in pushes."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement
from sqlalchemy.orm import InstrumentedAttribute, Session

from datingtoday.chat.models import EventKind, Message, message_id_of
from datingtoday.infra.milliseconds import moment_of
from datingtoday.media.models import Media
from datingtoday.media.service import MediaService
from datingtoday.protocol.envelope import ReadyJson

TEXT = "text"
MESSAGE_COLUMNS: tuple[InstrumentedAttribute[Any] | ColumnElement[Any], ...] = (
    Message.conversation_id,
    Message.seq,
    Message.from_uid,
    Message.to_uid,
    Message.client_id,
    Message.msg_type,
    Message.content,
    Message.media_id,
    Message.send_ms,
    Message.recalled,
)
"""In the order of `StoredMessage`."""


class StoredMessage(NamedTuple):
    """Values of a message as a client sees it."""

    conversation_id: int
    seq: int
    from_uid: int
    to_uid: int
    client_id: bytes
    msg_type: str
    content: str | None
    media_id: str | None
    send_ms: int
    recalled: bool

    @property
    def message_id(self) -> int:
        return message_id_of(self.conversation_id, self.seq)


class MessageForms:
    """Makes the shape ``message`` of the wire contract, with URLs that work for one viewer."""

    def __init__(self, media: MediaService) -> None:
        self._media = media

    def media_of(self, session: Session, messages: Collection[StoredMessage]) -> Mapping[str, Media]:
        """The uploads that these messages show; no statement if there are none."""
        return self._media.read(session, [it.media_id for it in messages if it.media_id is not None])

    def message(
        self, it: StoredMessage, viewer_id: int, media: Mapping[str, Media], now: datetime, *, read: bool
    ) -> dict[str, Any]:
        """:param media: `media_of` this message, among others."""
        upload = media.get(it.media_id) if it.media_id is not None else None
        # An upload that is gone was purged with its owner, a moment before the message itself is.
        recalled = bool(it.recalled) or (it.msg_type != TEXT and upload is None)
        return {
            "message_id": it.message_id,
            "client_id": it.client_id.decode("ascii"),
            "from_uid": it.from_uid,
            "to_uid": it.to_uid,
            "type": it.msg_type,
            "content": None if recalled else it.content,
            "media": None if recalled or upload is None else self._media.describe(upload, viewer_id, now),
            "seq": it.seq,
            "send_time": moment_of(it.send_ms),
            "send_ms": it.send_ms,
            "read": read,
            "recalled": recalled,
        }

    def messages(
        self,
        session: Session,
        found: Sequence[StoredMessage],
        viewer_id: int,
        now: datetime,
        *,
        read_seq: int,
        peer_read_seq: int,
    ) -> list[dict[str, Any]]:
        """Messages of one conversation.

        :param read_seq: up to where the viewer has read, :param peer_read_seq: and the other one.
        """
        media = self.media_of(session, found)
        return [
            self.message(
                it,
                viewer_id,
                media,
                now,
                read=it.seq <= (peer_read_seq if it.from_uid == viewer_id else read_seq),
            )
            for it in found
        ]


def event_form(
    pos: int,
    kind: EventKind,
    *,
    peer_id: int,
    message_id: int,
    seq: int,
    by_me: bool,
    message: Mapping[str, Any] | ReadyJson | None,
) -> dict[str, Any]:
    """An entry of a stream.

    :param message: of an entry of the kind MESSAGE; there it is unread: reads are entries of their own.
    """
    form: dict[str, Any] = {"pos": pos, "kind": kind.name.lower()}
    if kind is EventKind.MESSAGE:
        return form | {"message": message}
    if kind is EventKind.READ:
        return form | {"peer_id": peer_id, "seq": seq, "by_me": by_me}
    if kind is EventKind.RECALL:
        return form | {"message_id": message_id, "peer_id": peer_id, "seq": seq}
    return form | {"peer_id": peer_id, "removed": True}
