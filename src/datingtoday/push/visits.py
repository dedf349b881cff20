"""Visits: WebSockets from their opening on, before and after they have authenticated."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from datingtoday.protocol.errors import ParameterError, RateLimited
from datingtoday.protocol.peer import Peers, limit_key
from datingtoday.push.protocols import TRANSPORT

AUTH_S = 5.0
"""From the opening of a connection until its client must have sent its `auth`."""
_VISIT = "datingtoday.visit"
_PEER_HEADERS = frozenset(
    {
        "accept-language",
        "forwarded",
        "via",
        "x-client-ip",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-proto",
        "x-real-ip",
    }
)


def peer_of(scope: dict[str, Any]) -> dict[str, Any]:
    """Address of the other end, in the words of a WSGI environ."""
    client = scope.get("client")
    peer: dict[str, Any] = {"REMOTE_ADDR": client[0] if client else ""}
    for raw_name, raw_value in scope["headers"]:
        name = raw_name.decode("latin-1")
        if name in _PEER_HEADERS:
            key, value = "HTTP_" + name.upper().replace("-", "_"), raw_value.decode("latin-1")
            peer[key] = f"{peer[key]},{value}" if key in peer else value
    return peer


class Visit:
    """One WebSocket, which is aborted unless it authenticates in time."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._has_tried = False
        self._timer = asyncio.get_running_loop().call_later(AUTH_S, transport.abort)
        self.sid: str | None = None
        """Its id in Socket.IO, once it is authenticated."""

    @staticmethod
    def of(environ: dict[str, Any]) -> Visit:
        """The visit that an environ of Engine.IO belongs to."""
        visit: Visit = environ["asgi.scope"][_VISIT]
        return visit

    def begin(self) -> None:
        """The client sends its `auth`, which it may do once.

        :raises ParameterError: it did before.
        """
        if self._has_tried:
            raise ParameterError.plain(
                "auth was sent before: open a new connection", "auth 已发送过：请重新建立连接"
            )
        self._has_tried = True
        # From here on it waits for this server, not the other way round.
        self._timer.cancel()

    def authenticated(self, sid: str) -> None:
        """The connection may stay."""
        self.sid = sid
        self._timer.cancel()

    def close_after(self, seconds: float) -> None:
        """Close the connection after a moment in which the client can read why."""
        self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(seconds, self._transport.abort)

    def end(self) -> None:
        self._timer.cancel()


class Visits:
    """The WebSockets of a process that have not authenticated yet, limited by address.

    :param limit: for each address.
    """

    def __init__(self, peers: Peers, limit: int) -> None:
        self._peers = peers
        self._limit = limit
        self._waiting: Counter[str] = Counter()

    @contextmanager
    def enter(self, scope: dict[str, Any]) -> Iterator[Visit]:
        """Let a WebSocket in, for as long as it is open.

        :raises RateLimited: too many from its address have not authenticated.
        """
        address = limit_key(self._peers.address(peer_of(scope)))
        if self._waiting[address] >= self._limit:
            raise RateLimited(AUTH_S)
        visit = scope[_VISIT] = _CountedVisit(scope[TRANSPORT], self._waiting, address)
        try:
            yield visit
        finally:
            visit.end()


class _CountedVisit(Visit):
    def __init__(self, transport: asyncio.Transport, waiting: Counter[str], address: str) -> None:
        super().__init__(transport)
        self._waiting = waiting
        self._address: str | None = address
        waiting[address] += 1

    def authenticated(self, sid: str) -> None:
        super().authenticated(sid)
        self._count_out()

    def end(self) -> None:
        super().end()
        self._count_out()

    def _count_out(self) -> None:
        address, self._address = self._address, None
        if address is None:
            return
        self._waiting[address] -= 1
        if not self._waiting[address]:
            del self._waiting[address]
