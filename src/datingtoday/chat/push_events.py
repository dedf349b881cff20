"""Push events of conversations: the same payloads as `message/sync`, with the epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial

from sqlalchemy.orm import Session

from datingtoday.chat.forms import MessageForms, StoredMessage, event_form
from datingtoday.chat.models import message_id_of
from datingtoday.chat.pairs import LockedPair, ToldEntry
from datingtoday.infra.db import on_commit
from datingtoday.infra.realtime import PushEvent, Realtime
from datingtoday.media.models import Media
from datingtoday.protocol.envelope import to_json


class ChatPush:
    """Publishes entries of streams after the commit; a failure is counted there and never reaches the sender."""

    def __init__(self, realtime: Realtime, forms: MessageForms) -> None:
        self._realtime = realtime
        self._forms = forms

    def announce(
        self,
        session: Session,
        pair: LockedPair,
        told: Sequence[ToldEntry],
        now: datetime,
        *,
        message: StoredMessage | None = None,
        media: Mapping[str, Media] | None = None,
    ) -> None:
        """Publish these entries once the session is committed, in one round trip.

        :param message: that the entries tell of, if they are of the kind MESSAGE; :param media: what it shows.
        """
        on_commit(session, partial(self._publish, pair, told, message, media or {}, now))

    def _publish(
        self,
        pair: LockedPair,
        told: Sequence[ToldEntry],
        message: StoredMessage | None,
        media: Mapping[str, Media],
        now: datetime,
    ) -> None:
        events = []
        for entry, pos in told:
            # URLs are signed for whoever receives them.
            form = event_form(
                pos,
                entry.kind,
                peer_id=entry.peer_id,
                message_id=message_id_of(pair.conversation_id, entry.seq),
                seq=entry.seq,
                by_me=entry.by_me,
                message=None
                if message is None
                else self._forms.message(message, entry.user_id, media, now, read=False),
            )
            events.append(PushEvent(entry.user_id, form["kind"], to_json({**form, "epoch": pair.epoch})))
        self._realtime.publish(events)
