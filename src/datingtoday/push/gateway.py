"""The gateway: Socket.IO connections of one process, from their admission to their end.

A connection is admitted by the guard, subscribed to its user's channel and entered in the registry, in this order: what
is published afterwards reaches it, and a session that ended meanwhile is found by the last look at SQL.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import orjson
import socketio
import structlog

from datingtoday.accounts.sessions import Sessions
from datingtoday.infra.db import DatabaseDown
from datingtoday.infra.milliseconds import epoch_ms
from datingtoday.infra.parts import Foundation
from datingtoday.infra.pool_metrics import PoolGauge
from datingtoday.infra.realtime import PROCESSES, RESYNC, PushEvent
from datingtoday.infra.redis import RedisDown
from datingtoday.protocol.errors import AppError, Unavailable
from datingtoday.protocol.guard import Guard, as_app_error
from datingtoday.protocol.language import lang_of
from datingtoday.push.admission import Busy, Workers, admit, auth_params, refusal
from datingtoday.push.connections import Connection, Connections, EventPacket, read_event, read_kick
from datingtoday.push.lag import LagProbe
from datingtoday.push.metrics import PushMetrics
from datingtoday.push.protocols import TRANSPORT
from datingtoday.push.registry import Entry, Registry
from datingtoday.push.subscriber import Subscriber, SubscriberDown
from datingtoday.push.typing_events import TypingEvents
from datingtoday.push.visits import Visit, peer_of

log = structlog.get_logger(__name__)

KICK = "kick"
_PROCESSES = PROCESSES.encode()
CONNECTED_ELSEWHERE = 1103
CLOSE_S = 1.0
"""Time for which a connection that was refused or kicked may stay open: the client closes it first."""
LEAVE_S = 0.05
COUNT_S = 1.0
SESSIONS_AT_ONCE = 500
"""Sessions that are looked at in one piece of work."""


class Gateway:
    """The connections of this process.

    :param server: Socket.IO's; its handlers are registered here.
    :param base: database, events, and traces.
    :param recheck_s: between two looks at the sessions of all open connections.
    """

    def __init__(
        self,
        server: socketio.AsyncServer,
        guard: Guard,
        sessions: Sessions,
        base: Foundation,
        registry: Registry,
        typing: TypingEvents,
        *,
        recheck_s: float,
    ) -> None:
        self._server = server
        self._guard = guard
        self._sessions = sessions
        self._database = base.database
        self._realtime = base.realtime
        self._registry = registry
        self._typing = typing
        self._recheck_s = recheck_s
        self._recheck_now = asyncio.Event()
        self._probe = LagProbe()
        self._left: list[Entry] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self.counts: Counter[str] = Counter()
        """connected, refused, kicked, cut, delivered, typed, malformed: of this process so far."""
        self.workers = Workers(base.tracing)
        self.connections = Connections(self._unsubscribe)
        self.subscriber: Subscriber | None = None
        server.on("connect", self._connect)
        server.on("disconnect", self._disconnect)
        server.on("typing", self._type)

    def start(self, subscriber: Subscriber) -> None:
        """Begin to receive events, and to look at sessions from time to time."""
        self.subscriber = subscriber
        self._spawn(subscriber.run())
        self._spawn(self._recheck_for_ever())
        self._spawn(self._count_for_ever())

    async def stop(self) -> None:
        """Leave the registry, so that nobody counts these connections any more."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        entries = self._left + [connection.entry for connection in self.connections]
        try:
            await asyncio.wait_for(self.workers.run("leave", lambda: self._registry.leave(entries)), 1)
        except (TimeoutError, Busy, RedisDown) as error:
            log.info("push_registry_not_left", reason=type(error).__name__)
        self.workers.close()

    # --- what Redis tells

    def receive(self, channel: bytes, message: bytes) -> None:
        """Pass an event on to the connections of its user."""
        if channel == _PROCESSES:
            # Empty: only to count the processes.
            self._probe.receive(message)
            return
        try:
            name, payload = read_event(message)
            kick = read_kick(payload) if name == KICK else None
            packet = EventPacket(name, payload)
        except ValueError as error:
            # Of another program, or another version of this one: it must not end what is received after it.
            self.counts["malformed"] += 1
            log.error("push_message_malformed", channel=channel.decode(errors="replace"), reason=str(error))
            return
        if kick is not None:
            self._kick(channel, kick)
            return
        for connection in self.connections.of_channel(channel):
            self._send(connection, packet)

    def note_gap(self) -> None:
        """Events may have been lost: clients sync, and ended sessions are looked for."""
        packet = EventPacket(RESYNC.name, b"{}")
        for connection in self.connections:
            self._send(connection, packet)
        self._recheck_now.set()

    def _send(self, connection: Connection, packet: EventPacket) -> None:
        if connection.kicked:
            return
        self.counts["delivered" if connection.send(packet) else "cut"] += 1

    def _unsubscribe(self, channel: bytes) -> None:
        if self.subscriber is not None:
            self.subscriber.unsubscribe(channel)

    # --- connecting

    async def _connect(self, sid: str, environ: dict[str, Any], auth: Any = None) -> None:
        visit = Visit.of(environ)
        peer = peer_of(environ["asgi.scope"])
        lang = lang_of(peer, auth if isinstance(auth, dict) and isinstance(auth.get("lang"), str) else {})
        try:
            visit.begin()
            params = auth_params(auth)
            call = await self.workers.run("connect", lambda: admit(self._guard, params, peer, lang))
            entry = Entry(call.user_id, secrets.token_hex(8), epoch_ms(datetime.now(UTC)))
            engine = self._server.eio.sockets[self._server.manager.eio_sid_from_sid(sid, "/")]
            connection = Connection(entry, call.session_id, sid, engine, environ["asgi.scope"][TRANSPORT])
            await self._enter(connection)
        except Exception as error:
            refused = as_app_error(error, {})
            self.counts["refused"] += 1
            visit.close_after(CLOSE_S)
            raise socketio.exceptions.ConnectionRefusedError(
                refused.message(lang), refusal(refused, lang)
            ) from None
        visit.authenticated(sid)
        self.counts["connected"] += 1
        # Nobody looks at the request any more, and these are a tenth of what an idle connection holds.
        environ["asgi.scope"]["headers"].clear()
        environ.clear()
        # After the packet that tells the client that it is connected, which is queued when this function returns.
        asyncio.get_running_loop().call_soon(self._open, connection)

    async def _enter(self, connection: Connection) -> None:
        """Subscribe and register a connection; nothing is left behind if it is refused."""
        entry = connection.entry
        channel = self.connections.add(connection)
        try:
            if self.subscriber is None:
                raise Unavailable
            await self.subscriber.subscribe(channel)
            # First out, then in: a device that connects again must not count twice.
            left, self._left = self._left, []
            ended = await self.workers.run("register", lambda: self._register([connection], left))
            if connection.session_id in ended:
                raise ended[connection.session_id]
        except SubscriberDown:
            self.connections.remove(connection.sid)
            raise Unavailable from None
        except BaseException:
            if self.connections.remove(connection.sid) is not None:
                self._leave(entry)
            raise

    def _open(self, connection: Connection) -> None:
        connection.open()
        if connection.kicked:
            self._spawn(self._close(connection))

    def _register(self, connections: Sequence[Connection], left: Sequence[Entry] = ()) -> dict[int, AppError]:
        """Enter or renew connections and look at their sessions; those that are refused. Blocks.

        :param left: connections that are closed.
        """
        now = datetime.now(UTC)
        self._registry.leave(left)
        entries = [connection.entry for connection in connections]
        for user_id, ids in self._registry.enter(entries, epoch_ms(now)).items():
            payload = orjson.dumps({"code": CONNECTED_ELSEWHERE, "connection_ids": ids})
            self._realtime.publish([PushEvent(user_id, KICK, payload)])
        with self._database.reading() as session:
            return self._sessions.refusals(
                session, [connection.session_id for connection in connections], now
            )

    # --- the end of connections

    def forget(self, sid: str) -> None:
        """Forget a connection whose WebSocket is gone, if Socket.IO has not told of it."""
        connection = self.connections.remove(sid)
        if connection is not None:
            self._leave(connection.entry)

    async def _disconnect(self, sid: str, _reason: str = "") -> None:
        connection = self.connections.remove(sid)
        if connection is not None:
            self._leave(connection.entry)
            asyncio.get_running_loop().call_later(CLOSE_S, connection.transport.abort)

    def _leave(self, entry: Entry) -> None:
        """Take a connection out of the registry, soon and together with others."""
        self._left.append(entry)
        if len(self._left) == 1:
            self._spawn(self._leave_together())

    async def _leave_together(self) -> None:
        await asyncio.sleep(LEAVE_S)
        entries, self._left = self._left, []
        try:
            await self.workers.run("leave", lambda: self._registry.leave(entries))
        except (Busy, RedisDown) as error:
            # They vanish by themselves.
            log.info("push_registry_not_left", reason=type(error).__name__, connections=len(entries))

    def _kick(self, channel: bytes, payload: dict[str, Any]) -> None:
        sessions, ids = payload.pop("session_ids", ()), payload.pop("connection_ids", ())
        for connection in self.connections.of_channel(channel):
            if connection.session_id in sessions or connection.entry.connection_id in ids:
                self._end(connection, payload)

    def _end(self, connection: Connection, payload: dict[str, Any]) -> None:
        """Tell a client why its connection ends, and end it."""
        if connection.kicked:
            return
        connection.send(EventPacket(KICK, orjson.dumps(payload)))
        connection.kicked = True
        self.counts["kicked"] += 1
        if connection.is_open:
            self._spawn(self._close(connection))

    async def _close(self, connection: Connection) -> None:
        await self._server.disconnect(connection.sid)

    # --- looking again

    async def _count_for_ever(self) -> None:
        metrics = PushMetrics()
        pool = PoolGauge(self._database, "push")
        while metrics.is_on:
            await self._send_probe()
            metrics.update(self.counts, len(self.connections), self._probe.lag_s)
            pool.update()
            await asyncio.sleep(COUNT_S)

    async def _send_probe(self) -> None:
        message = self._probe.next_message()
        if message is None:
            return
        try:
            await self.workers.run("probe", lambda: self._realtime.probe(message))
        except (Busy, RedisDown) as error:
            log.debug("push_lag_not_measured", reason=type(error).__name__)
            self._probe.not_published()

    async def _recheck_for_ever(self) -> None:
        while True:
            try:
                await asyncio.wait_for(self._recheck_now.wait(), self._recheck_s)
            except TimeoutError:
                log.debug("push_recheck", connections=len(self.connections))
            self._recheck_now.clear()
            try:
                await self._recheck()
            except (Busy, RedisDown, DatabaseDown) as error:
                log.warning("push_recheck_failed", reason=f"{type(error).__name__}: {error}"[:200])
            except Exception as error:
                # Whatever it was, sessions are looked at again: a kick that was lost depends on it.
                log.error("push_recheck_failed", exc_info=error)

    async def _recheck(self) -> None:
        """End the connections whose sessions are refused by now, and renew the others' entries."""
        connections = list(self.connections)
        for start in range(0, len(connections), SESSIONS_AT_ONCE):
            part = connections[start : start + SESSIONS_AT_ONCE]
            ended = await self.workers.run("recheck", lambda part=part: self._register(part))  # type: ignore[misc]
            for connection in part:
                if self.connections.find(connection.sid) is None:
                    self._leave(connection.entry)
                elif connection.session_id in ended:
                    error = ended[connection.session_id]
                    self._end(connection, {"code": error.code} | ({"data": error.data} if error.data else {}))

    # --- what clients send

    async def _type(self, sid: str, *arguments: Any) -> dict[str, Any] | None:
        connection = self.connections.find(sid)
        if connection is None or connection.kicked:
            return None
        answer = await self._typing.receive(connection, arguments, self.workers)
        self.counts["typed"] += answer["code"] == 0
        return answer

    def _spawn(self, work: Any) -> None:
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._note_end)

    def _note_end(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("push_task_failed", exc_info=error)
