"""`typing` from a client: limited, checked, and passed on to the other side."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from datingtoday.chat.typing import Typing
from datingtoday.infra.db import Database
from datingtoday.infra.realtime import Realtime
from datingtoday.infra.text import Text
from datingtoday.protocol.errors import ParameterError, RateLimited
from datingtoday.protocol.guard import as_app_error
from datingtoday.push.admission import Workers, refusal
from datingtoday.push.connections import Connection

GAP_S = 2.0
"""Between two `typing` of one connection to the same person."""
MAX_PEERS = 50
"""Number of people a connection may have typed to within `GAP_S`."""
_USER_ID = re.compile(r"[1-9][0-9]{0,9}\Z", re.ASCII)
_ALLOWED = Text("an object with `peerId`, a user id", "带有用户 id `peerId` 的对象")
_DONE: dict[str, Any] = {"code": 0, "msg": "success"}


class TypingEvents:
    """Receives `typing`; its answers reach the clients that ask for an acknowledgement."""

    def __init__(self, rule: Typing, database: Database, realtime: Realtime) -> None:
        self._rule = rule
        self._database = database
        self._realtime = realtime

    async def receive(
        self, connection: Connection, arguments: Sequence[Any], workers: Workers
    ) -> dict[str, Any]:
        """Pass on a `typing`, or drop it; the answer says which."""
        try:
            peer_id = _peer_of(arguments)
            self._limit(connection, peer_id)
            is_told = await workers.run("typing", lambda: self._pass_on(connection.entry.user_id, peer_id))
        except Exception as error:
            return refusal(as_app_error(error, {}), "en")
        return _DONE if is_told else {"code": 1401, "msg": "not accepted by the other side"}

    @staticmethod
    def _limit(connection: Connection, peer_id: int) -> None:
        now = asyncio.get_running_loop().time()
        typed_at = connection.typed_at
        for other in [other for other, at in typed_at.items() if now - at >= GAP_S]:
            del typed_at[other]
        if peer_id in typed_at or len(typed_at) >= MAX_PEERS:
            raise RateLimited(GAP_S)
        typed_at[peer_id] = now

    def _pass_on(self, user_id: int, peer_id: int) -> bool:
        with self._database.reading() as session:
            if not self._rule.may_type(session, user_id, peer_id, datetime.now(UTC)):
                return False
        self._realtime.publish([self._rule.event(user_id, peer_id)])
        return True


def _peer_of(arguments: Sequence[Any]) -> int:
    value = arguments[0].get("peerId") if len(arguments) == 1 and isinstance(arguments[0], dict) else None
    # As text, nothing but a whole number looks like one.
    text = str(value)
    if not _USER_ID.match(text):
        raise ParameterError.malformed("typing", _ALLOWED)
    return int(text)
