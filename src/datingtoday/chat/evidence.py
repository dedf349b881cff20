"""Messages for other features: permission to see an upload, and evidence of reports."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from datingtoday.chat.errors import MessageNotFound
from datingtoday.chat.forms import MESSAGE_COLUMNS, StoredMessage
from datingtoday.chat.models import Contact, Message, MessageMedia, place_of
from datingtoday.infra.milliseconds import moment_of
from datingtoday.media.models import Media


def may_see(session: Session, viewer_id: int, media: Media, now: datetime) -> bool:
    """Authorises the delivery of what was sent in a chat: to both sides, while a message shows it.

    By the table of visibility an old conversation stays readable, its media too: whether the two have blocked each
    other since, or one of them was banned or has left, makes no difference.
    """
    shown = (
        select(MessageMedia.seq)
        .join(Contact, Contact.conversation_id == MessageMedia.conversation_id)
        .where(
            Contact.user_id == viewer_id,
            Contact.peer_id == media.user_id,
            MessageMedia.media_id == media.id,
        )
        .exists()
    )
    return bool(session.scalar(select(shown)))


class MessageEvidence:
    """Messages as reports keep them."""

    def evidence(self, session: Session, user_id: int, peer_id: int, message_id: int) -> dict[str, Any]:
        """A message that ``peer_id`` wrote to ``user_id``, as it is stored.

        :raises MessageNotFound: there is no such message.
        """
        conversation_id, seq = place_of(message_id)
        row = session.execute(
            select(*MESSAGE_COLUMNS).where(Message.conversation_id == conversation_id, Message.seq == seq)
        ).one_or_none()
        if row is None or (row.from_uid, row.to_uid) != (peer_id, user_id):
            raise MessageNotFound
        message = StoredMessage(*row)
        return {
            "message_id": message_id,
            "from_uid": message.from_uid,
            "to_uid": message.to_uid,
            "type": message.msg_type,
            "content": message.content,
            "media_id": message.media_id,
            "send_time": moment_of(message.send_ms),
            "recalled": bool(message.recalled),
        }
