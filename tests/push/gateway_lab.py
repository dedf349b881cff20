"""A gateway whose neighbours are the test: it admits, ends sessions, and sees what is done."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import socketio

from datingtoday.infra.realtime import PushEvent
from datingtoday.protocol.errors import AppError
from datingtoday.push.connections import Connection
from datingtoday.push.gateway import Gateway
from datingtoday.push.protocols import TRANSPORT
from datingtoday.push.registry import Entry
from datingtoday.push.visits import Visit
from tests.push.skipping_time import Wire, turn, wait

RECHECK_S = 30.0


class InPlace:
    """Workers without threads; ``busy`` names work that is refused."""

    def __init__(self) -> None:
        self.busy: dict[str, Exception] = {}
        self.slow_s: dict[str, float] = {}
        self.is_closed = False

    async def run(self, name: str, work: Callable[[], Any]) -> Any:
        await wait(self.slow_s.get(name, 0))
        if name in self.busy:
            raise self.busy[name]
        return work()

    def close(self) -> None:
        self.is_closed = True


class Lab:
    """The gateway, and a log of what it did to its neighbours.

    ``did`` holds ``("subscribe", channel)``, ``("enter", [entry ids])``, ``("leave", [entry ids])``, … in their order.
    """

    def __init__(self) -> None:
        self.did: list[tuple[str, Any]] = []
        self.admits: Callable[[], Any] = lambda: SimpleNamespace(user_id=7, session_id=70)
        self.ended: dict[int, AppError] = {}
        """By session id."""
        self.too_many: dict[int, list[str]] = {}
        """The next answer of the registry: user id → connections that must go."""
        self.moments_ms: list[int] = []
        """The time, as the registry was told it with each entry."""
        self.subscriber_ended = False
        self.subscriber_ends_s = 0.0
        """Time that it takes when it is cancelled."""
        self.subscribing: Exception | None = None
        self.events: list[PushEvent] = []
        self.queues: dict[str, asyncio.Queue[Any]] = {}
        self._sids = 0
        base: Any = SimpleNamespace(
            database=SimpleNamespace(reading=self._reading),
            realtime=SimpleNamespace(
                publish=self._publish, probe=lambda message: self.note("probe", message)
            ),
            tracing=None,
        )
        server: Any = SimpleNamespace(
            on=lambda _name, _handler: None,
            disconnect=self._end,
            eio=SimpleNamespace(sockets=self),
            manager=SimpleNamespace(eio_sid_from_sid=lambda sid, _namespace: sid),
        )
        guard: Any = SimpleNamespace(admit_params=self._admit)
        sessions: Any = SimpleNamespace(refusals=self._refusals)
        registry: Any = SimpleNamespace(enter=self._enter, leave=self._leave)
        typing: Any = SimpleNamespace(receive=self._type)
        self.gateway = Gateway(server, guard, sessions, base, registry, typing, recheck_s=RECHECK_S)
        self.gateway.workers.close()
        self.workers = self.gateway.workers = InPlace()  # type: ignore[assignment]
        subscriber: Any = SimpleNamespace(
            run=self._run, subscribe=self._subscribe, unsubscribe=self._unsubscribe
        )
        self.gateway.start(subscriber)

    # --- what the test does

    async def connect(self, auth: Any = None, *, user_id: int = 7, session_id: int = 70) -> Connection:
        """:raises ConnectionRefusedError:"""
        self.admits = lambda: SimpleNamespace(user_id=user_id, session_id=session_id)
        sid, environ = self.visit()
        await self.gateway._connect(sid, environ, {} if auth is None else auth)
        connection = self.gateway.connections.find(sid)
        assert connection is not None
        await turn()
        return connection

    def visit(self, *headers: tuple[str, str]) -> tuple[str, dict[str, Any]]:
        """A WebSocket that has opened: its id, and its environ."""
        self._sids += 1
        sid, wire = f"sid{self._sids}", Wire()
        self.queues[sid] = asyncio.Queue()
        scope: dict[str, Any] = {
            "client": ("10.0.0.9", 1),
            "headers": [(name.encode(), value.encode()) for name, value in headers],
            TRANSPORT: wire,
            "datingtoday.visit": Visit(wire),
        }
        return sid, {"asgi.scope": scope}

    def sent_to(self, connection: Connection) -> list[str]:
        """Packets that were sent to a client since the last look."""
        queue, found = self.queues[connection.sid], []
        while not queue.empty():
            found.append(queue.get_nowait().encode()[2:])
        return found

    def of(self, name: str) -> list[Any]:
        return [what for did, what in self.did if did == name]

    def note(self, name: str, what: Any) -> None:
        self.did.append((name, what))

    # --- the neighbours

    def __getitem__(self, sid: str) -> Any:
        return SimpleNamespace(queue=self.queues[sid])

    def _admit(self, *_: Any) -> Any:
        return self.admits()

    @contextmanager
    def _reading(self) -> Iterator[None]:
        yield

    def _refusals(self, _session: Any, ids: Sequence[int], _now: Any) -> dict[int, AppError]:
        self.note("look", list(ids))
        return {it: self.ended[it] for it in ids if it in self.ended}

    def _enter(self, entries: Sequence[Entry], now_ms: int) -> dict[int, list[str]]:
        self.moments_ms.append(now_ms)
        self.note("enter", [it.connection_id for it in entries])
        gone, self.too_many = self.too_many, {}
        return gone

    def _leave(self, entries: Sequence[Entry]) -> None:
        if entries:
            self.note("leave", [it.connection_id for it in entries])

    def _publish(self, events: Sequence[PushEvent]) -> None:
        self.events += events

    async def _type(self, _connection: Any, arguments: Sequence[Any], _workers: Any) -> dict[str, Any]:
        await turn()
        return {"code": arguments[0]}

    async def _end(self, sid: str) -> None:
        await turn()
        self.note("end", sid)

    async def _run(self) -> None:
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            await wait(self.subscriber_ends_s)
            self.subscriber_ended = True

    async def _subscribe(self, channel: bytes) -> None:
        await turn()
        self.note("subscribe", channel)
        if self.subscribing is not None:
            raise self.subscribing

    def _unsubscribe(self, channel: bytes) -> None:
        self.note("unsubscribe", channel)


Refused = socketio.exceptions.ConnectionRefusedError
