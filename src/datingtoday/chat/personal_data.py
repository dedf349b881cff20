"""Personal data of chat."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import and_, delete, or_, select, update
from sqlalchemy.orm import Session

from datingtoday.chat.conversations import RECALLED
from datingtoday.chat.forms import MESSAGE_COLUMNS, MessageForms, StoredMessage
from datingtoday.chat.models import ChatEvent, Contact, Inbox, Message, MessageMedia
from datingtoday.chat.pairs import lock_pair
from datingtoday.infra.milliseconds import moment_of
from datingtoday.infra.personal_data import PersonColumn, remove_some

_TWO_SIDES = "the other side keeps its conversation, with tombstones in place of what this person wrote"
_PURGED = "purged"
"""``last_type`` of a contact row that is emptied; nobody sees it."""
_DERIVED = "only tells in which order the messages, which are handed out, came"


class ChatData:
    """Conversations. Handed out are contacts and messages as the person can see them; the purge takes away the content
    of what the person wrote, their contacts and their stream, and leaves numbers that the other side's copy needs."""

    name = "chat"
    holds = (
        PersonColumn("conversation", "low_uid", not_removed=_TWO_SIDES),
        PersonColumn("conversation", "high_uid", not_removed=_TWO_SIDES),
        PersonColumn("conversation", "creator_id", not_removed=_TWO_SIDES),
        PersonColumn("contacts", "user_id", not_removed=f"emptied; {_TWO_SIDES}"),
        PersonColumn("contacts", "peer_id", not_exported="the other side's row", not_removed=_TWO_SIDES),
        PersonColumn("contacts", "creator_id", not_removed=_TWO_SIDES),
        PersonColumn(
            "inbox", "user_id", not_exported=_DERIVED, not_removed="marked as closed; a counter only"
        ),
        PersonColumn("message", "from_uid", not_removed=_TWO_SIDES),
        PersonColumn("message", "to_uid", not_removed="what the other side wrote is theirs"),
        PersonColumn("chat_event", "user_id", not_exported=_DERIVED),
        PersonColumn("chat_event", "peer_id", not_exported="the other side's stream", not_removed=_TWO_SIDES),
    )

    def __init__(self, forms: MessageForms) -> None:
        self._forms = forms

    def export(self, session: Session, user_id: int, now: datetime) -> dict[str, Any]:
        contacts = session.scalars(
            select(Contact).where(Contact.user_id == user_id).order_by(Contact.peer_id)
        ).all()
        return {
            "contacts": [
                {
                    "user_id": row.peer_id,
                    "begun_by_me": row.creator_id == user_id,
                    "last_msg": row.last_msg if row.hidden_seq < row.last_seq else "",
                    "unread": row.unread,
                    "read_seq": row.read_seq,
                    "removed": row.hidden_seq >= row.last_seq,
                    "update_time": moment_of(row.update_ms),
                    "create_time": row.create_time,
                }
                for row in contacts
            ],
            "messages": [told for row in contacts for told in self._messages(session, row, now)],
        }

    def remove(self, session: Session, user_id: int, most: int) -> int:
        if removed := remove_some(session, ChatEvent, ChatEvent.user_id == user_id, most):
            return removed
        closing = update(Inbox).where(Inbox.user_id == user_id, Inbox.closed.is_(False)).values(closed=True)
        if removed := session.connection().execute(closing).rowcount:
            return removed
        contact = session.scalars(
            select(Contact).where(Contact.user_id == user_id, Contact.last_type != _PURGED).limit(1)
        ).first()
        return 0 if contact is None else self._empty(session, contact, most)

    def _messages(self, session: Session, contact: Contact, now: datetime) -> list[dict[str, Any]]:
        """Messages that the person wrote, and those of the other side that the person still sees."""
        rows = session.execute(
            select(*MESSAGE_COLUMNS)
            .where(
                Message.conversation_id == contact.conversation_id,
                or_(Message.from_uid == contact.user_id, Message.seq > contact.hidden_seq),
            )
            .order_by(Message.seq)
        ).all()
        return self._forms.messages(
            session,
            [StoredMessage(*row) for row in rows],
            contact.user_id,
            now,
            read_seq=contact.read_seq,
            peer_read_seq=contact.peer_read_seq,
        )

    def _empty(self, session: Session, contact: Contact, most: int) -> int:
        """Take the content out of up to ``most`` messages of a conversation; then out of its contacts."""
        user_id, peer_id = contact.user_id, contact.peer_id
        pair = lock_pair(session.connection(), user_id, peer_id)
        assert pair is not None  # noqa: S101 -- contacts and inboxes are never deleted
        own = and_(
            Message.conversation_id == pair.conversation_id,
            Message.from_uid == user_id,
            Message.recalled.is_(False),
        )
        found = session.execute(select(Message.seq, Message.media_id).where(own).limit(most)).all()
        if found:
            for media_id in {media_id for _, media_id in found if media_id is not None}:
                session.execute(
                    delete(MessageMedia).where(
                        MessageMedia.media_id == media_id,
                        MessageMedia.conversation_id == pair.conversation_id,
                    )
                )
            session.execute(
                update(Message)
                .where(own, Message.seq.in_([seq for seq, _ in found]))
                .values(recalled=True, content=None, media_id=None)
            )
            return len(found)
        last_from = session.scalar(
            select(Message.from_uid).where(
                Message.conversation_id == pair.conversation_id, Message.seq == pair.last_seq
            )
        )
        session.execute(
            update(Contact)
            .where(Contact.user_id == user_id, Contact.peer_id == peer_id)
            .values(hidden_seq=pair.last_seq, known=False, unread=0, last_msg="", last_type=_PURGED)
        )
        theirs = {"last_msg": "", "last_type": RECALLED} if last_from == user_id else {}
        session.execute(
            update(Contact)
            .where(Contact.user_id == peer_id, Contact.peer_id == user_id)
            # All that can be unread there was this person's, and is recalled now.
            .values(unread=0, **theirs)
        )
        return 1
