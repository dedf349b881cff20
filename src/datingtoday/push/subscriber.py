"""The subscriber: one process's subscriptions to the channels of its users, over one connection to each Redis node.

redis-py's own reader ends silently when its connection does. This one connects again, subscribes to everything again,
and then tells that messages may have been lost meanwhile.
"""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import structlog
from redis import asyncio as redis_asyncio
from redis.asyncio.cluster import RedisCluster
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisClusterException, RedisError

from datingtoday.infra.realtime import PROCESSES

log = structlog.get_logger(__name__)

PING_S = 5.0
"""A server that is silent for twice as long is given up: it may have gone without ending the connection."""
SUBSCRIBE_S = 2.0
"""Time that a subscription may take."""
SETTLE_S = 1.0
"""Between a reconnection and telling of the gap: longer than publishers leave a server alone that failed them."""
MIN_PAUSE_S = 0.05
MAX_PAUSE_S = 2.0
MESSAGES_AT_ONCE = 32
"""After so many, others get a turn: the messages must be sent, not piled up."""
COMMANDS_AT_ONCE = 1000
"""Commands that are written together."""


class SubscriberDown(Exception):
    """Redis does not take the subscription now."""


class Subscriber:
    """Subscriptions of a process; for one event loop.

    :param uri: of the queue role. :param timeout_s: for connecting.
    :param on_message: called with the channel and the message.
    :param on_gap: called after every reconnection: messages may have been lost.
    """

    def __init__(
        self,
        uri: str,
        *,
        timeout_s: float,
        on_message: Callable[[bytes, bytes], None],
        on_gap: Callable[[], None],
    ) -> None:
        self._uri = uri
        self._timeout_s = timeout_s
        self._on_message = on_message
        self._on_gap = on_gap
        self._wanted: set[bytes] = {PROCESSES.encode()}
        self._confirmed: set[bytes] = set()
        self._waiting: dict[bytes, list[asyncio.Future[None]]] = {}
        self._link: _Link | None = None

    @property
    def is_up(self) -> bool:
        return self._link is not None

    async def subscribe(self, channel: bytes) -> None:
        """Receive what is published on the channel from now on.

        :raises SubscriberDown: not now; once Redis is back it is subscribed to, unless `unsubscribe` was called.
        """
        self._wanted.add(channel)
        if channel in self._confirmed:
            return
        if self._link is None:
            raise SubscriberDown
        future = asyncio.get_running_loop().create_future()
        waiting = self._waiting.setdefault(channel, [])
        waiting.append(future)
        if len(waiting) == 1:
            self._link.subscribe([channel])
        try:
            await asyncio.wait_for(future, SUBSCRIBE_S)
        except TimeoutError:
            raise SubscriberDown from None

    def unsubscribe(self, channel: bytes) -> None:
        """Receive no more of the channel; who waits for its subscription is told `SubscriberDown`."""
        self._wanted.discard(channel)
        self._confirmed.discard(channel)
        # The next one must ask anew: what these wait for is taken back.
        _fail(self._waiting.pop(channel, ()))
        if self._link is not None:
            self._link.unsubscribe(channel)

    async def run(self) -> None:
        """Keep the subscriptions alive, until cancelled."""
        pause_s, is_first = MIN_PAUSE_S, True
        while True:
            try:
                link = await _connect(self._uri, self._timeout_s, self._receive)
                try:
                    await self._restore(link)
                    if not is_first:
                        log.info("push_resubscribed", channels=len(self._wanted))
                        await asyncio.wait([link.failed], timeout=SETTLE_S)
                        self._on_gap()
                    pause_s, is_first = MIN_PAUSE_S, False
                    raise await link.failed
                finally:
                    self._link = None
                    self._confirmed.clear()
                    self._fail_waiting()
                    await link.close()
            except (TimeoutError, RedisError, RedisClusterException, OSError, SubscriberDown) as error:
                log.warning("push_not_subscribed", reason=f"{type(error).__name__}: {error}"[:200])
            except Exception as error:
                # Whatever it was: a process that hears nothing any more is worse than one that begins anew.
                log.error("push_not_subscribed", exc_info=error)
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, MAX_PAUSE_S)

    async def _restore(self, link: _Link) -> None:
        """Subscribe to everything that is wanted, before anybody is told that it works again."""
        self._link = link
        link.subscribe(self._wanted)
        while not self._wanted <= self._confirmed:
            link.raise_if_failed()
            await asyncio.sleep(0.01)

    def _receive(self, kind: bytes, channel: bytes, data: Any) -> None:
        if kind in (b"message", b"smessage"):
            self._on_message(channel, data)
        elif kind in (b"subscribe", b"ssubscribe"):
            self._confirmed.add(channel)
            for future in self._waiting.pop(channel, ()):
                if not future.done():
                    future.set_result(None)

    def _fail_waiting(self) -> None:
        waiting, self._waiting = self._waiting, {}
        for futures in waiting.values():
            _fail(futures)


Receiver = Callable[[bytes, bytes, Any], None]


class _Link:
    """Connections to the nodes of one layout of the servers; all are given up as soon as one fails."""

    def __init__(self, nodes: dict[str, Any], node_of: Callable[[bytes], str], sharded: bool) -> None:
        self._nodes = nodes
        self._node_of = node_of
        self._prefix = "S" if sharded else ""
        self._leaving: Counter[bytes] = Counter()
        self._outgoing: dict[str, asyncio.Queue[list[tuple[Any, ...]]]] = {
            name: asyncio.Queue() for name in nodes
        }
        self._tasks: list[asyncio.Task[None]] = []
        self._closers: list[Any] = []
        self.failed: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        """The first error: reading and writing go on until there is one."""

    def start(self, receive: Receiver, closer: Any) -> None:
        self._closers.append(closer)
        for name, connection in self._nodes.items():
            for work in (self._read(connection, receive), self._write(connection, self._outgoing[name])):
                task = asyncio.create_task(work)
                task.add_done_callback(self._note_end)
                self._tasks.append(task)

    def subscribe(self, channels: Iterable[bytes]) -> None:
        by_node: dict[str, list[tuple[Any, ...]]] = {}
        for channel in channels:
            by_node.setdefault(self._node_of(channel), []).append((f"{self._prefix}SUBSCRIBE", channel))
        for name, commands in by_node.items():
            self._outgoing[name].put_nowait(commands)

    def unsubscribe(self, channel: bytes) -> None:
        self._leaving[channel] += 1
        self._outgoing[self._node_of(channel)].put_nowait([(f"{self._prefix}UNSUBSCRIBE", channel)])

    def raise_if_failed(self) -> None:
        if self.failed.done():
            raise self.failed.result()

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for connection in self._nodes.values():
            await connection.disconnect(nowait=True)
        for closer in self._closers:
            await closer.aclose()

    def _note_end(self, task: asyncio.Task[None]) -> None:
        if self.failed.done() or task.cancelled():
            return
        self.failed.set_result(task.exception())

    async def _write(self, connection: Any, outgoing: asyncio.Queue[list[tuple[Any, ...]]]) -> None:
        """Send commands in the order in which they were asked for, and PING while there are none."""
        while True:
            try:
                commands = await asyncio.wait_for(outgoing.get(), PING_S)
            except TimeoutError:
                commands = [("PING",)]
            for start in range(0, len(commands), COMMANDS_AT_ONCE):
                packed = connection.pack_commands(commands[start : start + COMMANDS_AT_ONCE])
                await connection.send_packed_command(packed, check_health=False)

    async def _read(self, connection: Any, receive: Receiver) -> None:
        count = 0
        while True:
            reply = await asyncio.wait_for(
                connection.read_response(disable_decoding=True, timeout=math.inf, disconnect_on_error=False),
                2 * PING_S,
            )
            if not isinstance(reply, list) or reply[0] == b"pong":
                continue
            kind, channel, data = reply
            if kind in (b"unsubscribe", b"sunsubscribe"):
                self._leaving[channel] -= 1
                if self._leaving[channel] < 0:
                    raise SubscriberDown("a slot has moved to another node")
                if not self._leaving[channel]:
                    del self._leaving[channel]
                continue
            if kind in (b"subscribe", b"ssubscribe") and channel in self._leaving:
                # Of a subscription that an UNSUBSCRIBE on its way takes back; a later one is confirmed after that.
                continue
            receive(kind, channel, data)
            count += 1
            if count % MESSAGES_AT_ONCE == 0:
                await asyncio.sleep(0)


def _fail(waiting: Iterable[asyncio.Future[None]]) -> None:
    for future in waiting:
        if not future.done():
            future.set_exception(SubscriberDown())


async def _connect(uri: str, timeout_s: float, receive: Receiver) -> _Link:
    options: dict[str, Any] = {
        "protocol": 2,
        "socket_timeout": timeout_s,
        "socket_connect_timeout": timeout_s,
    }
    client: Any
    if "+cluster://" in uri:
        cluster: Any = RedisCluster.from_url(uri.replace("+cluster://", "://", 1), **options)
        client = cluster
        await cluster.initialize()
        nodes = {
            node.name: node.connection_class(**node.connection_kwargs) for node in cluster.get_primaries()
        }
        link = _Link(nodes, lambda channel: str(cluster.get_node_from_key(channel).name), sharded=True)
    else:
        client = redis_asyncio.Redis.from_url(uri, retry=Retry(NoBackoff(), 0), **options)
        link = _Link({"": client.connection_pool.make_connection()}, lambda _channel: "", sharded=False)
    try:
        for connection in link._nodes.values():
            await connection.connect()
    except BaseException:
        await client.aclose()
        raise
    link.start(receive, client)
    return link
