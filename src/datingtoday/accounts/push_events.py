"""The event that ends a connection: its session is refused from now on."""

from __future__ import annotations

from collections.abc import Callable

import orjson

from datingtoday.accounts.push_schemas import KICK
from datingtoday.accounts.sessions import SessionsEnded
from datingtoday.infra.realtime import PushEvent, Realtime


def kick_when_ended(realtime: Realtime) -> Callable[[SessionsEnded], None]:
    """The listener that tells the push processes."""

    def kick(ended: SessionsEnded) -> None:
        realtime.publish([kick_event(ended)])

    return kick


def kick_event(ended: SessionsEnded) -> PushEvent:
    """The event as push processes receive it: with ``session_ids``, which clients do not get."""
    payload: dict[str, object] = {"code": ended.code, "session_ids": ended.session_ids}
    if ended.data is not None:
        payload["data"] = dict(ended.data)
    return PushEvent(ended.user_id, KICK.name, orjson.dumps(payload))
