"""Open connections of this process, by user and by session, and what is sent to them."""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import orjson

from datingtoday.infra.realtime import channel_of
from datingtoday.push.registry import Entry

MAX_QUEUED = 100
"""Packets that wait for a client; one more, and it is cut off: it will sync when it comes back."""


_NAME = re.compile(rb"[a-z_]{1,32}\Z")


class EventPacket:
    """An event as Engine.IO's writer takes it, encoded once for all who receive it.

    :param payload: JSON, sent as it is.
    """

    __slots__ = ("_encoded",)

    def __init__(self, name: str, payload: bytes) -> None:
        # Message (4) of Engine.IO, event (2) of Socket.IO.
        self._encoded = f'42["{name}",{payload.decode()}]'

    def encode(self) -> str:
        """The text of the WebSocket message."""
        return self._encoded


def read_event(message: bytes) -> tuple[str, bytes]:
    """Name and payload of a message on a user's channel. :raises ValueError: it is no event."""
    name, _, payload = message.partition(b" ")
    if not _NAME.match(name) or not payload:
        raise ValueError("no event")
    return name.decode("ascii"), payload


def read_kick(payload: bytes) -> dict[str, Any]:
    """Content of a `kick`. :raises ValueError: it is no JSON object."""
    kick = orjson.loads(payload)
    if not isinstance(kick, dict):
        raise ValueError("no object")
    return kick


class Connection:
    """An authenticated connection.

    :param sid: its id in Socket.IO. :param engine: its Engine.IO socket. :param transport: its TCP connection.
    """

    __slots__ = ("_engine", "_pending", "entry", "kicked", "session_id", "sid", "transport", "typed_at")

    def __init__(
        self, entry: Entry, session_id: int, sid: str, engine: Any, transport: asyncio.Transport
    ) -> None:
        self.entry = entry
        self.session_id = session_id
        self.sid = sid
        self.transport = transport
        self.kicked = False
        self.typed_at: dict[int, float] = {}
        """Peer id → when a `typing` to them was last let through, by the loop's clock."""
        self._engine = engine
        self._pending: deque[EventPacket] | None = deque()

    @property
    def is_open(self) -> bool:
        """True if the client was told that it is connected."""
        return self._pending is None

    def open(self) -> None:
        """The client was told that it is connected: what came meanwhile is sent, and from now on all at once."""
        pending, self._pending = self._pending, None
        for packet in pending or ():
            self.send(packet)

    def send(self, packet: EventPacket) -> bool:
        """Queue a packet; False if the client was cut off because it takes too little."""
        if self._pending is not None:
            self._pending.append(packet)
            waiting = len(self._pending)
        else:
            self._engine.queue.put_nowait(packet)
            waiting = self._engine.queue.qsize()
        if waiting <= MAX_QUEUED:
            return True
        self.transport.abort()
        return False


class Connections:
    """The connections of a process.

    :param unwanted: called with the channel of a user whose last connection here has closed.
    """

    def __init__(self, unwanted: Callable[[bytes], None]) -> None:
        self._unwanted = unwanted
        self._by_channel: dict[bytes, dict[str, Connection]] = {}
        self._by_sid: dict[str, Connection] = {}

    def __len__(self) -> int:
        return len(self._by_sid)

    def __iter__(self) -> Iterator[Connection]:
        return iter(list(self._by_sid.values()))

    def add(self, connection: Connection) -> bytes:
        """Enter a connection; returns the channel of its user."""
        channel = channel_of(connection.entry.user_id).encode()
        self._by_channel.setdefault(channel, {})[connection.sid] = connection
        self._by_sid[connection.sid] = connection
        return channel

    def remove(self, sid: str) -> Connection | None:
        """Remove a connection; None if it is not here."""
        connection = self._by_sid.pop(sid, None)
        if connection is None:
            return None
        channel = channel_of(connection.entry.user_id).encode()
        others = self._by_channel.pop(channel)
        del others[sid]
        if others:
            self._by_channel[channel] = others
        else:
            self._unwanted(channel)
        return connection

    def find(self, sid: str) -> Connection | None:
        return self._by_sid.get(sid)

    def of_channel(self, channel: bytes) -> list[Connection]:
        """The connections of a user."""
        return list(self._by_channel.get(channel, {}).values())
