"""Sending: one transaction a message, which a repeated ``clientId`` finds again.

The order of the locks: the upload's own row, then the pair's (see `pairs.py`). Nothing is looked up beforehand: that
the ``clientId`` was used before is told by its unique key, or, before a refusal, by a look-up.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time
from typing import Any

from sqlalchemy import bindparam, case, func, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from datingtoday.chat.errors import NotAccepted, TooManyConversations
from datingtoday.chat.forms import MESSAGE_COLUMNS, TEXT, MessageForms, StoredMessage
from datingtoday.chat.models import (
    MAX_SEQ,
    PREVIEW_CHARS,
    Contact,
    Conversation,
    EventKind,
    Inbox,
    Message,
    MessageMedia,
)
from datingtoday.chat.pairs import (
    LOCK,
    Entry,
    LockedPair,
    both_contacts,
    entries_to_tell,
    event_statements,
    insert_if_missing,
    lock_pair,
    locked_pair,
)
from datingtoday.chat.push_events import ChatPush
from datingtoday.infra.milliseconds import epoch_ms, to_s
from datingtoday.infra.packet_transaction import PacketTransaction
from datingtoday.infra.packets import Packet, Rows, in_one_column, inner
from datingtoday.media.errors import MediaNotFound
from datingtoday.media.models import Media
from datingtoday.media.processing.inspect import Kind
from datingtoday.media.service import MediaService
from datingtoday.profiles.follows import refuse_own_account
from datingtoday.profiles.visibility import RELATION, Action, Rule, Visibility
from datingtoday.protocol.envelope import ReadyJson, to_json
from datingtoday.protocol.errors import ClientIdReused, RateLimited

MEDIA_TYPES = (Kind.AUDIO.value, Kind.IMAGE.value, Kind.VIDEO.value)
_A_MINUTE_MS = 60_000
_MAYBE_AGAIN = (IntegrityError, MediaNotFound, NotAccepted, TooManyConversations, RateLimited)
"""Errors that a message sent a second time may meet."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A message as its sender hands it in.

    :param content: the text, :param media_id: or the upload; one of them is None.
    """

    peer_id: int
    msg_type: str
    client_id: str
    content: str | None
    media_id: str | None

    @property
    def digest(self) -> bytes:
        """Content with which a repeated ``clientId`` must agree."""
        what = self.content if self.msg_type == TEXT else self.media_id
        return hashlib.sha256(f"{self.peer_id}\n{self.msg_type}\n{what}".encode()).digest()


@dataclass(frozen=True, slots=True)
class SendingLimits:
    """Limits of one account; None: switched off.

    :param new_per_day: conversations begun in a day (UTC), :param new_per_day_vip: and by a VIP.
    :param per_minute: messages.
    """

    new_per_day: int | None
    new_per_day_vip: int | None
    per_minute: int | None


_INSERT_MESSAGE = insert(Message)
_INSERT_MEDIA = insert(MessageMedia)
_UPDATE_CONTACTS = (
    update(Contact)
    .where(both_contacts())
    .values(
        last_seq=bindparam("new_seq"),
        last_msg=bindparam("new_msg"),
        last_type=bindparam("new_type"),
        unread=Contact.unread + (Contact.user_id == bindparam("to_uid")),
        known=Contact.known | (Contact.user_id == bindparam("to_uid")),
        update_ms=case(
            (Contact.update_ms < bindparam("new_ms"), bindparam("new_ms")), else_=Contact.update_ms
        ),
    )
)
_LOOK = Packet(LOCK.add_columns(in_one_column(RELATION).scalar_subquery()))
"""The locks and, not locked, the relation to the receiver."""
_RELATION = Packet(RELATION)
"""The relation alone, where there is no conversation to lock."""
_WRITE_TEXT = Packet(_INSERT_MESSAGE, _UPDATE_CONTACTS, *event_statements(2))
_WRITE_MEDIA = Packet(_INSERT_MESSAGE, _INSERT_MEDIA, _UPDATE_CONTACTS, *event_statements(2))
_EARLIER = select(*MESSAGE_COLUMNS, Message.digest).where(
    Message.from_uid == bindparam("from_uid"), Message.client_id == bindparam("client_id")
)


class Sending:
    """The rules of sending."""

    def __init__(
        self,
        visibility: Visibility,
        media: MediaService,
        forms: MessageForms,
        push: ChatPush,
        limits: SendingLimits,
    ) -> None:
        self._visibility = visibility
        self._media = media
        self._forms = forms
        self._push = push
        self._limits = limits

    def send(self, work: PacketTransaction, user_id: int, draft: Draft, now: datetime) -> ReadyJson:
        """Store a message and tell both streams of it; the message as its sender sees it.

        Sent again with the same ``clientId``, also at the same time: the first message, and nothing is changed.

        :raises ParameterError: the receiver is the sender. :raises ClientIdReused: for something else.
        :raises MediaNotFound, NotAccepted, TooManyConversations, RateLimited: it was not sent before either.
        """
        refuse_own_account(user_id, draft.peer_id)
        try:
            return self._send_new(work, user_id, draft, now)
        except _MAYBE_AGAIN:
            # Whatever was begun is undone before the look: the earlier message stands as it is.
            work.rollback()
            earlier = self._earlier(work.session, user_id, draft, now)
            if earlier is None:
                raise
            return earlier

    def _send_new(self, work: PacketTransaction, user_id: int, draft: Draft, now: datetime) -> ReadyJson:
        media: dict[str, Media] = {}
        if draft.media_id is not None:
            kind = Kind(draft.msg_type)
            media[draft.media_id] = self._media.attach(work.session, user_id, draft.media_id, kind)
        pair = self._locked(work, user_id, draft.peer_id, now)
        if pair is None:
            pair = self._begin(work.session, user_id, draft.peer_id, now)
        if pair.last_seq >= MAX_SEQ:
            raise NotAccepted
        pace_ms = self._paced(pair, user_id, now)
        message = _stored(pair, user_id, draft, now)
        told, values = entries_to_tell(
            pair,
            [
                Entry(user_id, EventKind.MESSAGE, draft.peer_id, message.seq, by_me=True),
                Entry(draft.peer_id, EventKind.MESSAGE, user_id, message.seq, by_me=False),
            ],
            pace=(user_id, pace_ms),
        )
        # The answer is made before the last packet, which takes COMMIT along.
        seen = self._as_seen_by((user_id, draft.peer_id), message, media, now)
        packet = _WRITE_TEXT if draft.media_id is None else _WRITE_MEDIA
        work.run_last(packet, {**values, **_values_of(message, draft)})
        self._push.announce(work, pair, told, messages=seen)
        return seen[user_id]

    def _locked(
        self, work: PacketTransaction, user_id: int, peer_id: int, now: datetime
    ) -> LockedPair | None:
        """The conversation, locked; None if there is none yet.

        :raises NotAccepted: the sender may not write to this person.
        """
        low, high = sorted((user_id, peer_id))
        who = {"viewer": user_id, "target": peer_id}
        (locked,) = work.run(_LOOK, {**who, "low": low, "high": high})
        if locked:
            (*lock, related) = locked[0]
            pair, action = locked_pair([lock], low, high), Action.WRITE_ON
            rows: Rows = inner(related)
        else:
            pair, action = None, Action.WRITE_FIRST
            (rows,) = work.run(_RELATION, who)
        # These two rows of the table know yes and no alone, which takes no further look.
        if self._visibility.rule(action, self._visibility.relation_of(rows, now)) is not Rule.YES:
            raise NotAccepted
        return pair

    def _as_seen_by(
        self, pair: tuple[int, int], message: StoredMessage, media: Mapping[str, Media], now: datetime
    ) -> dict[int, ReadyJson]:
        """The message as each of the two sees it; a text is the same for both."""
        one, other = pair
        made = ReadyJson(to_json(self._forms.message(message, one, media, now, read=False)))
        if not media:
            return {one: made, other: made}
        return {
            one: made,
            other: ReadyJson(to_json(self._forms.message(message, other, media, now, read=False))),
        }

    def _earlier(self, session: Session, user_id: int, draft: Draft, now: datetime) -> ReadyJson | None:
        """:raises ClientIdReused:"""
        row = session.execute(
            _EARLIER, {"from_uid": user_id, "client_id": draft.client_id.encode()}
        ).one_or_none()
        if row is None:
            return None
        message = StoredMessage(*row[:-1])
        if bytes(row.digest) != draft.digest:
            raise ClientIdReused
        peer_read_seq = session.scalars(
            select(Contact.peer_read_seq).where(Contact.user_id == user_id, Contact.peer_id == message.to_uid)
        ).one()
        media, read = self._forms.media_of(session, [message]), message.seq <= peer_read_seq
        return ReadyJson(to_json(self._forms.message(message, user_id, media, now, read=read)))

    def _begin(self, session: Session, user_id: int, peer_id: int, now: datetime) -> LockedPair:
        """Make what is missing of a conversation, in the order in which it is locked.

        :raises TooManyConversations: counted under the lock of the sender's inbox row, so exactly.
        """
        most = self._new_allowed(session, user_id, now)
        # Looked at before, too: whoever is at the limit uses up no ids.
        self._refuse_above(session, user_id, None if most is None else most - 1, most, now)
        connection = session.connection()
        low, high = sorted((user_id, peer_id))
        insert_if_missing(
            connection,
            Conversation,
            {"low_uid": low, "high_uid": high, "creator_id": user_id, "create_time": now},
        )
        conversation_id = connection.execute(
            select(Conversation.id).where(Conversation.low_uid == low, Conversation.high_uid == high)
        ).scalar_one()
        for one, other in ((low, high), (high, low)):
            contact = {"user_id": one, "peer_id": other, "conversation_id": conversation_id}
            insert_if_missing(connection, Contact, {**contact, "creator_id": user_id, "create_time": now})
        for one in (low, high):
            insert_if_missing(connection, Inbox, {"user_id": one})
        self._refuse_above(session, user_id, most, most, now)
        pair = lock_pair(connection, user_id, peer_id)
        assert pair is not None  # noqa: S101 -- this transaction has just seen to it
        return pair

    def _new_allowed(self, session: Session, user_id: int, now: datetime) -> int | None:
        limits = self._limits
        if limits.new_per_day is None or not self._visibility.is_vip(session, user_id, now):
            return limits.new_per_day
        return limits.new_per_day_vip

    @staticmethod
    def _refuse_above(
        session: Session, user_id: int, count: int | None, most: int | None, now: datetime
    ) -> None:
        """:param count: of conversations begun today that is still all right; None: any."""
        if count is None:
            return
        today = datetime.combine(now.astimezone(UTC).date(), time(), UTC)
        begun = session.scalars(
            select(func.count())
            .select_from(Contact)
            .where(
                Contact.creator_id == user_id,
                Contact.create_time >= today,
                # The other side's row names its creator as well.
                Contact.user_id == user_id,
            )
        ).one()
        if begun > count:
            raise TooManyConversations(most=most)

    def _paced(self, pair: LockedPair, user_id: int, now: datetime) -> int:
        """The new ``pace_ms`` of the sender.

        :raises RateLimited: more than so many in any minute.
        """
        before = pair.paces_ms[user_id]
        if self._limits.per_minute is None:
            return before
        now_ms = epoch_ms(now)
        after = max(before, now_ms) + -(-_A_MINUTE_MS // self._limits.per_minute)
        if after - now_ms > _A_MINUTE_MS:
            raise RateLimited(to_s(after - now_ms - _A_MINUTE_MS))
        return after


def _stored(pair: LockedPair, user_id: int, draft: Draft, now: datetime) -> StoredMessage:
    return StoredMessage(
        pair.conversation_id,
        pair.last_seq + 1,
        user_id,
        draft.peer_id,
        draft.client_id.encode(),
        draft.msg_type,
        draft.content,
        draft.media_id,
        epoch_ms(now),
        recalled=False,
    )


def _values_of(message: StoredMessage, draft: Draft) -> dict[str, Any]:
    """Parameters of `_WRITE_TEXT` and `_WRITE_MEDIA`, but for those of the entries."""
    return {
        **message._asdict(),
        "digest": draft.digest,
        "new_seq": message.seq,
        "new_msg": (message.content or "")[:PREVIEW_CHARS],
        "new_type": message.msg_type,
        "new_ms": message.send_ms,
    }
