"""Reading, removing and recalling: what changes in a conversation that exists. All take the locks of `pairs.py`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import and_, bindparam, case, delete, func, select, update
from sqlalchemy.orm import Session

from datingtoday.chat.errors import MessageNotFound, TooLateToRecall
from datingtoday.chat.models import Contact, EventKind, Message, MessageMedia, place_of
from datingtoday.chat.pairs import Entry, both_contacts, lock_pair, tell
from datingtoday.chat.push_events import ChatPush
from datingtoday.infra.milliseconds import epoch_ms, to_ms
from datingtoday.media.service import MediaService

RECALL_S = 120
RECALLED = "recalled"


@dataclass(frozen=True, slots=True)
class Unread:
    """Answer after reading."""

    unread: int


@dataclass(frozen=True, slots=True)
class TotalUnread:
    """Unread messages of all conversations together."""

    total: int


_RECALL_CONTACTS = (
    update(Contact)
    .where(both_contacts())
    .values(
        unread=Contact.unread
        - case(
            (
                and_(
                    Contact.user_id == bindparam("to_uid"),
                    Contact.read_seq < bindparam("gone_seq"),
                    Contact.hidden_seq < bindparam("gone_seq"),
                ),
                1,
            ),
            else_=0,
        ),
        last_msg=case((Contact.last_seq == bindparam("gone_seq"), ""), else_=Contact.last_msg),
        last_type=case((Contact.last_seq == bindparam("gone_seq"), RECALLED), else_=Contact.last_type),
    )
)


class Conversations:
    """The rules of conversations that exist."""

    def __init__(self, media: MediaService, push: ChatPush) -> None:
        self._media = media
        self._push = push

    def read(self, session: Session, user_id: int, peer_id: int, seq: int, now: datetime) -> Unread:
        """The person has read up to ``seq`` (beyond the last: to the last); tells both streams if it is news.

        :return: what is unread of this conversation after it; 0 where there is none.
        """
        connection = session.connection()
        own = _own_row(session, user_id, peer_id)
        if own is None:
            return Unread(0)
        if min(seq, own.last_seq) <= own.read_seq:
            return Unread(own.unread)
        pair = lock_pair(connection, user_id, peer_id)
        assert pair is not None  # noqa: S101 -- contacts and inboxes are never deleted
        own = _own_row(session, user_id, peer_id)
        upto = min(seq, own.last_seq)
        if upto <= own.read_seq:
            return Unread(own.unread)
        unread = 0 if upto == own.last_seq else own.unread - _count_unread(session, own, upto)
        session.execute(
            update(Contact)
            .where(Contact.user_id == user_id, Contact.peer_id == peer_id)
            .values(read_seq=upto, unread=unread)
        )
        session.execute(
            update(Contact)
            .where(Contact.user_id == peer_id, Contact.peer_id == user_id)
            .values(peer_read_seq=upto)
        )
        told = tell(
            connection,
            pair,
            [
                Entry(user_id, EventKind.READ, peer_id, upto, by_me=True),
                Entry(peer_id, EventKind.READ, user_id, upto, by_me=False),
            ],
        )
        self._push.announce(session, pair, told)
        return Unread(unread)

    def remove(self, session: Session, user_id: int, peer_id: int, now: datetime) -> None:
        """Hide the conversation from its owner until the next message, and its history so far for good.

        No such contact, or removed already: nothing happens.
        """
        connection = session.connection()
        pair = lock_pair(connection, user_id, peer_id)
        if pair is None:
            return
        own = _own_row(session, user_id, peer_id)
        if own.hidden_seq >= own.last_seq:
            return
        session.execute(
            update(Contact)
            .where(Contact.user_id == user_id, Contact.peer_id == peer_id)
            .values(hidden_seq=own.last_seq, unread=0)
        )
        told = tell(connection, pair, [Entry(user_id, EventKind.CONTACT, peer_id, own.last_seq, by_me=True)])
        self._push.announce(session, pair, told)

    def recall(self, session: Session, user_id: int, message_id: int, now: datetime) -> None:
        """Recall a user's own message: its content is gone everywhere. Repeating it changes nothing.

        :raises MessageNotFound: also another user's. :raises TooLateToRecall: after `RECALL_S`.
        """
        conversation_id, seq = place_of(message_id)
        row = session.execute(
            select(
                Message.from_uid, Message.to_uid, Message.media_id, Message.send_ms, Message.recalled
            ).where(Message.conversation_id == conversation_id, Message.seq == seq)
        ).one_or_none()
        if row is None or row.from_uid != user_id:
            raise MessageNotFound
        if row.recalled:
            return
        if epoch_ms(now) - row.send_ms > to_ms(RECALL_S):
            raise TooLateToRecall(most_s=RECALL_S)
        with session.begin_nested() as savepoint:
            if row.media_id is not None:
                # Before the locks of the pair, as when it was sent.
                self._media.detach(session, [row.media_id], now)
            if not self._recall_locked(session, message_id, row, now):
                savepoint.rollback()

    def _recall_locked(self, session: Session, message_id: int, row: Any, now: datetime) -> bool:
        """False if another request has recalled it meanwhile."""
        conversation_id, seq = place_of(message_id)
        user_id, peer_id = row.from_uid, row.to_uid
        connection = session.connection()
        pair = lock_pair(connection, user_id, peer_id)
        assert pair is not None  # noqa: S101 -- contacts and inboxes are never deleted
        of_message = and_(Message.conversation_id == conversation_id, Message.seq == seq)
        if session.scalars(select(Message.recalled).where(of_message)).one():
            return False
        session.execute(update(Message).where(of_message).values(recalled=True, content=None, media_id=None))
        if row.media_id is not None:
            session.execute(
                delete(MessageMedia).where(
                    MessageMedia.media_id == row.media_id,
                    MessageMedia.conversation_id == conversation_id,
                    MessageMedia.seq == seq,
                )
            )
        low, high = sorted((user_id, peer_id))
        connection.execute(_RECALL_CONTACTS, {"low": low, "high": high, "to_uid": peer_id, "gone_seq": seq})
        told = tell(
            connection,
            pair,
            [
                Entry(user_id, EventKind.RECALL, peer_id, seq, by_me=True),
                Entry(peer_id, EventKind.RECALL, user_id, seq, by_me=False),
            ],
        )
        self._push.announce(session, pair, told)
        return True

    def unread(self, session: Session, user_id: int) -> TotalUnread:
        """Count the unread messages of all conversations; recalled, hidden and read ones do not count."""
        total = session.scalar(select(func.sum(Contact.unread)).where(Contact.user_id == user_id))
        return TotalUnread(int(total or 0))


def _own_row(session: Session, user_id: int, peer_id: int) -> Any:
    return session.execute(
        select(
            Contact.conversation_id,
            Contact.peer_id,
            Contact.last_seq,
            Contact.read_seq,
            Contact.hidden_seq,
            Contact.unread,
        ).where(Contact.user_id == user_id, Contact.peer_id == peer_id)
    ).one_or_none()


def _count_unread(session: Session, own: Any, upto: int) -> int:
    """Count the peer's messages up to ``upto`` that were unread until now."""
    return session.scalars(
        select(func.count())
        .select_from(Message)
        .where(
            Message.conversation_id == own.conversation_id,
            Message.seq > max(own.read_seq, own.hidden_seq),
            Message.seq <= upto,
            Message.from_uid == own.peer_id,
            Message.recalled.is_(False),
        )
    ).one()
