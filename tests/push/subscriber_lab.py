"""Redis as a subscriber sees it: nodes that confirm subscriptions, and fail or are silent when they are told to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from datingtoday.push import subscriber as module
from datingtoday.push.subscriber import Subscriber
from tests.push.skipping_time import since_begin, turn, wait

PROCESSES = b"push:processes"


class Node:
    """A connection to one server: it confirms what is subscribed to, and answers PING."""

    def __init__(self, *, sharded: bool = False) -> None:
        self.prefix = b"s" if sharded else b""
        self.replies: asyncio.Queue[Any] = asyncio.Queue()
        self.commands: list[tuple[str, bytes | None]] = []
        self.packets: list[int] = []
        """Numbers of commands that were sent together."""
        self.is_silent = False
        self.disconnected = self.readers = 0

    def pack_commands(self, commands: list[tuple[Any, ...]]) -> Any:
        return commands

    async def send_packed_command(self, packed: Any, *, check_health: bool) -> None:
        assert check_health is False
        await turn()
        self.packets.append(len(packed))
        for name, *channel in packed:
            self.commands.append((name, *channel))
            if self.is_silent:
                continue
            if name == "PING":
                self.replies.put_nowait([b"pong", b""])
            else:
                self.replies.put_nowait([name.lower().encode(), channel[0], 1])

    async def read_response(self, **options: Any) -> Any:
        assert options["disable_decoding"] is True and options["disconnect_on_error"] is False
        self.readers += 1
        try:
            reply = await self.replies.get()
        finally:
            self.readers -= 1
        if isinstance(reply, Exception):
            raise reply
        return reply

    async def disconnect(self, *, nowait: bool) -> None:
        assert self.readers == 0, "nobody reads any more"
        await turn()
        self.disconnected += nowait

    def told(self, channel: bytes, data: bytes) -> None:
        self.replies.put_nowait([self.prefix + b"message", channel, data])

    def of(self, command: str) -> list[bytes | None]:
        return [rest[0] for name, *rest in self.commands if name == command]


class Redis:
    """Servers of a subscriber; each connection is made of new `Node`s, the latest are ``nodes``."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, sharded: bool = False) -> None:
        self.sharded = sharded
        self.nodes: list[Node] = []
        self.links: list[Any] = []
        self.is_silent = False
        """Nodes of connections from now on confirm nothing."""
        self.connected_at: list[float] = []
        self.fails: Exception | None = None
        self.closed = 0
        self.received: list[tuple[bytes, bytes]] = []
        self.gaps: list[float] = []
        self.on_message: Callable[[bytes, bytes], None] = lambda channel, data: self.received.append(
            (channel, data)
        )
        monkeypatch.setattr(module, "_connect", self._connect)
        self.subscriber = Subscriber(
            "redis://x",
            timeout_s=2,
            on_message=lambda channel, data: self.on_message(channel, data),
            on_gap=lambda: self.gaps.append(round(since_begin(), 2)),
        )

    async def _connect(self, uri: str, timeout_s: float, receive: Any) -> Any:
        assert (uri, timeout_s) == ("redis://x", 2)
        self.connected_at.append(round(since_begin(), 2))
        await turn()
        if self.fails is not None:
            raise self.fails
        self.nodes = [Node(sharded=self.sharded) for _ in range(2 if self.sharded else 1)]
        names = {str(number): node for number, node in enumerate(self.nodes)}
        link = module._Link(names, lambda channel: str(channel[-1] % len(names)), self.sharded)
        link.start(receive, self)
        for node in self.nodes:
            node.is_silent = self.is_silent
        self.links.append(link)
        return link

    async def aclose(self) -> None:
        await turn()
        self.closed += 1

    @property
    def node(self) -> Node:
        (node,) = self.nodes
        return node

    async def start(self) -> asyncio.Task[None]:
        task = asyncio.create_task(self.subscriber.run())
        await wait(0.1)
        assert any(PROCESSES in node.of("SSUBSCRIBE" if self.sharded else "SUBSCRIBE") for node in self.nodes)
        return task
