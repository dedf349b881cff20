"""Push events of conversations: the same payloads as `message/sync`, with the epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from datingtoday.chat.forms import event_form
from datingtoday.chat.models import message_id_of
from datingtoday.chat.pairs import LockedPair, ToldEntry
from datingtoday.infra.db import WithHooks, on_commit
from datingtoday.infra.realtime import PushEvent, Realtime
from datingtoday.protocol.envelope import ReadyJson, to_json


class ChatPush:
    """Publishes entries of streams after the commit; a failure is counted there and never reaches the sender."""

    def __init__(self, realtime: Realtime) -> None:
        self._realtime = realtime

    def announce(
        self,
        work: WithHooks,
        pair: LockedPair,
        told: Sequence[ToldEntry],
        *,
        messages: Mapping[int, ReadyJson] | None = None,
    ) -> None:
        """Publish these entries soon after the work is committed.

        :param messages: the message that entries of the kind MESSAGE tell of, as each of the two sees it: URLs are
            signed for whoever receives them.
        """
        on_commit(work, partial(self._publish, pair, told, messages or {}))

    def _publish(
        self, pair: LockedPair, told: Sequence[ToldEntry], messages: Mapping[int, ReadyJson]
    ) -> None:
        events = []
        for entry, pos in told:
            form = event_form(
                pos,
                entry.kind,
                peer_id=entry.peer_id,
                message_id=message_id_of(pair.conversation_id, entry.seq),
                seq=entry.seq,
                by_me=entry.by_me,
                message=messages.get(entry.user_id),
            )
            events.append(PushEvent(entry.user_id, form["kind"], to_json({**form, "epoch": pair.epoch})))
        self._realtime.publish_soon(events)
