"""`typing`: that a user is writing to another at this moment, only within a conversation and while they may write."""

from __future__ import annotations

from datetime import datetime

import orjson
from sqlalchemy.orm import Session

from datingtoday.chat.push_schemas import TYPING
from datingtoday.infra.realtime import PushEvent
from datingtoday.profiles.visibility import Action, Visibility


class Typing:
    """The rule of `typing`."""

    def __init__(self, visibility: Visibility) -> None:
        self._visibility = visibility

    def may_type(self, session: Session, user_id: int, peer_id: int, now: datetime) -> bool:
        """True if the peer may be told; reads SQL, so that a block counts at once."""
        if not self._visibility.may(session, user_id, peer_id, Action.WRITE_ON, now):
            return False
        return peer_id in self._visibility.known(session, user_id, [peer_id]) or user_id in (
            self._visibility.known(session, peer_id, [user_id])
        )

    @staticmethod
    def event(user_id: int, peer_id: int) -> PushEvent:
        """The event for the peer."""
        return PushEvent(peer_id, TYPING.name, orjson.dumps(TYPING.schema.dump({"peer_id": user_id})))
