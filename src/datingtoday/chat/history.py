"""Message history: a conversation's messages, and an account's stream of events."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, and_, bindparam, select
from sqlalchemy.orm import Session

from datingtoday.chat.errors import PositionUnknown
from datingtoday.chat.forms import MESSAGE_COLUMNS, MessageForms, StoredMessage, event_form
from datingtoday.chat.models import (
    FIRST_EPOCH,
    MAX_MESSAGE_ID,
    ChatEpoch,
    ChatEvent,
    Contact,
    EventKind,
    Inbox,
    Message,
    message_id_of,
)
from datingtoday.infra.paired import paired
from datingtoday.protocol.envelope import ReadyJson, to_json

LATEST = -1
"""In place of a position: where the stream ends now."""

_CONTACT = select(Contact.conversation_id, Contact.hidden_seq, Contact.read_seq, Contact.peer_read_seq).where(
    Contact.user_id == bindparam("user_id"), Contact.peer_id == bindparam("peer_id")
)
_MESSAGES = select(*MESSAGE_COLUMNS).where(
    Message.conversation_id == bindparam("conversation_id"),
    Message.seq > bindparam("after"),
    Message.seq < bindparam("before"),
)
_OLDEST = _MESSAGES.order_by(Message.seq).limit(bindparam("most"))
_NEWEST = _MESSAGES.order_by(Message.seq.desc()).limit(bindparam("most"))
_HEAD = select(
    select(Inbox.head).where(Inbox.user_id == bindparam("user_id")).scalar_subquery(),
    select(ChatEpoch.epoch).where(ChatEpoch.id == 1).scalar_subquery(),
)
_EVENTS = (
    select(
        ChatEvent.pos,
        ChatEvent.kind,
        ChatEvent.conversation_id,
        ChatEvent.seq,
        ChatEvent.peer_id,
        ChatEvent.by_me,
        *MESSAGE_COLUMNS,
    )
    .outerjoin(
        Message,
        and_(
            ChatEvent.kind == EventKind.MESSAGE.value,
            Message.conversation_id == ChatEvent.conversation_id,
            Message.seq == ChatEvent.seq,
        ),
    )
    .where(ChatEvent.user_id == bindparam("user_id"), ChatEvent.pos > bindparam("since"))
    .order_by(ChatEvent.pos)
    .limit(bindparam("most"))
)
_OF_EVENT = 6
"""Number of columns of `_EVENTS` before those of the message."""


class History:
    """The rules of looking back. Never takes a lock."""

    def __init__(self, forms: MessageForms) -> None:
        self._forms = forms

    def messages(
        self,
        session: Session,
        user_id: int,
        peer_id: int,
        *,
        before: int | None,
        after: int | None,
        count: int,
        now: datetime,
    ) -> ReadyJson:
        """Messages of the conversation with this person in ascending order; the newest without either bound.

        Empty where they never talked. What the viewer has removed is left out.
        """
        contact = session.execute(_CONTACT, {"user_id": user_id, "peer_id": peer_id}).one_or_none()
        if contact is None:
            return ReadyJson(to_json({"list": [], "has_next": False}))
        bounds = {
            "conversation_id": contact.conversation_id,
            "after": max(contact.hidden_seq, after or 0),
            "before": MAX_MESSAGE_ID if before is None else before,
            "most": count + 1,
        }
        rows = session.execute(_NEWEST if after is None else _OLDEST, bounds).all()
        has_next = len(rows) > count
        found = [StoredMessage(*row) for row in rows[:count]]
        if after is None:
            found.reverse()
        told = self._forms.messages(
            session, found, user_id, now, read_seq=contact.read_seq, peer_read_seq=contact.peer_read_seq
        )
        return ReadyJson(to_json({"list": told, "has_next": has_next}))

    def sync(
        self, session: Session, user_id: int, *, since: int, epoch: int | None, count: int, now: datetime
    ) -> ReadyJson:
        """Entries of the account's stream after a position, without gaps, whoever writes at the same time.

        :param since: a position, or `LATEST`. :param epoch: that the client knows; None if it knows none.
        :raises PositionUnknown: ``since`` is ahead of the head, or ``epoch`` is another one.
        """
        head, current = session.execute(_HEAD, {"user_id": user_id}).one()
        head, current = head or 0, FIRST_EPOCH if current is None else current
        if since > head or (epoch is not None and epoch != current):
            raise PositionUnknown
        if since in (LATEST, head):
            return ReadyJson(to_json({"list": [], "next": head, "has_next": False, "epoch": current}))
        rows = session.execute(_EVENTS, {"user_id": user_id, "since": since, "most": count + 1}).all()
        told = self._told(session, user_id, rows[:count], now)
        return ReadyJson(
            to_json(
                {
                    "list": told,
                    "next": told[-1]["pos"] if told else since,
                    "has_next": len(rows) > count,
                    "epoch": current,
                }
            )
        )

    def _told(
        self, session: Session, user_id: int, rows: Sequence[Row[*tuple[Any, ...]]], now: datetime
    ) -> list[dict[str, Any]]:
        messages = [
            StoredMessage(*row[_OF_EVENT:]) if row.kind == EventKind.MESSAGE else None for row in rows
        ]
        media = self._forms.media_of(session, [it for it in messages if it is not None])
        return [
            event_form(
                row.pos,
                EventKind(row.kind),
                peer_id=row.peer_id,
                message_id=message_id_of(*row[2:4]),
                seq=row[3],
                by_me=bool(row.by_me),
                # As it was when it was sent: reads are entries of their own. So the stream reads the same from any
                # position, at any time.
                message=None
                if message is None
                else self._forms.message(message, user_id, media, now, read=False),
            )
            for row, message in paired(rows, messages)
        ]
