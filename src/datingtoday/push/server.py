"""The push server: Socket.IO over WebSocket, on uvicorn, in a process of its own."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import resource
import secrets
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import socketio
import structlog
import uvicorn

from datingtoday.app import Parts
from datingtoday.infra.server.garbage_collector import settle_collector
from datingtoday.protocol import envelope
from datingtoday.protocol.errors import AppError, NotFound, RateLimited
from datingtoday.protocol.language import lang_of
from datingtoday.protocol.metrics import count_push_events
from datingtoday.protocol.parts import make_guard
from datingtoday.protocol.peer import Peers
from datingtoday.push.admission import PATH
from datingtoday.push.gateway import Gateway
from datingtoday.push.protocols import MAX_PACKET_BYTES, PushHttp, PushWebSocket
from datingtoday.push.registry import Registry
from datingtoday.push.subscriber import Subscriber
from datingtoday.push.typing_events import TypingEvents
from datingtoday.push.visits import Visits, peer_of

log = structlog.get_logger(__name__)

GRACE_S = 2
"""Time that clients may take to close after SIGTERM; then their connections are aborted."""
END_S = 4.5
"""After SIGTERM the process ends at the latest after so long, whatever still waits."""
_HEALTH = "/healthz"
_QUERY = {b"EIO=4", b"transport=websocket"}

Adopt = Callable[[socket.socket, bytes], None]


class PushApp:
    """The ASGI application: WebSockets at ``/socket.io``, nothing else."""

    def __init__(self, gateway: Gateway, server: socketio.AsyncServer, visits: Visits) -> None:
        self._gateway = gateway
        self._socketio = socketio.ASGIApp(server, socketio_path=None)
        self._visits = visits

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            await self._answer_http(scope, send)
        elif scope["path"] in (PATH, f"{PATH}/") and set(scope["query_string"].split(b"&")) >= _QUERY:
            await self._connect(scope, receive, send)
        else:
            await _refuse(scope, send, NotFound())

    async def _connect(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        visit = None
        try:
            with self._visits.enter(scope) as visit:
                await self._socketio(scope, receive, send)
        except RateLimited as error:
            await _refuse(scope, send, error)
        finally:
            if visit is not None and visit.sid is not None:
                self._gateway.forget(visit.sid)

    async def _answer_http(self, scope: dict[str, Any], send: Any) -> None:
        if scope["path"] == _HEALTH and scope["method"] == "GET" and Peers.is_local(peer_of(scope)):
            await _answer(send, "http", 200, envelope.success(), ())
        else:
            await _refuse(scope, send, NotFound())


async def _refuse(scope: dict[str, Any], send: Any, error: AppError) -> None:
    query = scope["query_string"].decode("latin-1")
    body = envelope.failure(error, lang_of(peer_of(scope) | {"QUERY_STRING": query}))
    kind = "websocket.http" if scope["type"] == "websocket" else "http"
    await _answer(send, kind, error.http_status, body, tuple(error.headers.items()))


async def _answer(send: Any, kind: str, status: int, body: bytes, headers: Sequence[tuple[str, str]]) -> None:
    more = [(name.lower().encode(), value.encode()) for name, value in headers]
    await send(
        {
            "type": f"{kind}.response.start",
            "status": status,
            "headers": [
                (b"content-type", envelope.CONTENT_TYPE.encode()),
                (b"content-length", str(len(body)).encode()),
                (b"x-request-id", secrets.token_hex(8).encode()),
                *more,
            ],
        }
    )
    await send({"type": f"{kind}.response.body", "body": body})


class PushServer(uvicorn.Server):
    """uvicorn with the gateway's life around it.

    :param parts: of the application. :param handover: where another process passes accepted connections on to this
        one; see `handover`.
    :param on_ready: called when connections are accepted.
    """

    def __init__(
        self, parts: Parts, handover: socket.socket | None = None, on_ready: Callable[[], None] = lambda: None
    ) -> None:
        self._parts = parts
        self._handover = handover
        self._on_ready = on_ready
        self.gateway: Gateway | None = None
        super().__init__(
            uvicorn.Config(
                self._application,
                http=PushHttp,
                ws=PushWebSocket,
                ws_max_size=MAX_PACKET_BYTES,
                ws_ping_interval=None,
                lifespan="off",
                interface="asgi3",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_graceful_shutdown=GRACE_S,
            )
        )

    async def _application(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        await self._app(scope, receive, send)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        parts, settings = self._parts, self._parts.base.settings
        server = _socketio_server()
        recheck_s = settings.push.recheck_s
        if settings.metrics.enabled:
            parts.base.realtime.observer = parts.base.realtime.observer or count_push_events
        gateway = self.gateway = Gateway(
            server,
            make_guard(parts.base, parts.protocol, parts.accounts.sessions),
            parts.accounts.sessions,
            parts.base,
            Registry(
                parts.base.queue_redis, limit=settings.push.connections_per_user, life_s=2.5 * recheck_s
            ),
            TypingEvents(parts.chat.typing, parts.base.database, parts.base.realtime),
            recheck_s=recheck_s,
        )
        peers = Peers(settings.server.trusted_proxies, settings.server.forwarded_header)
        visits = Visits(peers, settings.push.waiting_per_address)
        self._app = PushApp(gateway, server, visits)
        gateway.start(
            Subscriber(
                parts.base.queue_redis.uri,
                timeout_s=max(1.0, settings.redis.timeout_s),
                on_message=gateway.receive,
                on_gap=gateway.note_gap,
            )
        )
        await super().startup(sockets)
        if self._handover is not None:
            from datingtoday.push.handover import adopt_from

            adopt_from(self._handover, self._new_protocol)
        self._on_ready()

    def _new_protocol(self) -> PushHttp:
        return PushHttp(self.config, self.server_state, {})

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        loop = asyncio.get_running_loop()
        if self._handover is not None:
            loop.remove_reader(self._handover.fileno())
        loop.call_later(GRACE_S / 2, self._abort_connections)
        await super().shutdown(sockets)
        if self.gateway is not None:
            await self.gateway.stop()

    def _abort_connections(self) -> None:
        for connection in list(self.server_state.connections):
            connection.transport.abort()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """End in order on SIGTERM and SIGINT, with exit code 0; uvicorn itself would raise the signal again."""
        for number in (signal.SIGTERM, signal.SIGINT):
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self.handle_exit)
        yield

    def handle_exit(self, sig: int, frame: Any) -> None:
        if not self.should_exit:
            self.should_exit = True
            timer = threading.Timer(END_S, os._exit, [0])
            timer.daemon = True
            timer.start()


def run_push(
    parts: Parts,
    listeners: Sequence[socket.socket],
    *,
    handover: socket.socket | None = None,
    on_ready: Callable[[], None] = lambda: None,
) -> None:
    """Serve push on these listening sockets, and on connections that are handed over, until SIGTERM.

    Does not return: threads may still wait for a server that does not answer.
    """
    _raise_file_limit()
    for name, level in (
        ("uvicorn.error", logging.ERROR),
        # What clients do wrong; what goes wrong here is logged by the gateway.
        ("engineio.server", logging.CRITICAL),
        ("socketio.server", logging.CRITICAL),
    ):
        logging.getLogger(name).setLevel(level)
    settle_collector()
    PushServer(parts, handover, on_ready).run(list(listeners))
    parts.base.close()
    os._exit(0)


def _socketio_server() -> socketio.AsyncServer:
    return socketio.AsyncServer(
        async_mode="asgi",
        transports=["websocket"],
        async_handlers=False,
        cors_allowed_origins=[],
        max_http_buffer_size=MAX_PACKET_BYTES,
        monitor_clients=False,
        ping_interval=25,
        ping_timeout=20,
        logger=logging.getLogger("socketio.server"),
        engineio_logger=logging.getLogger("engineio.server"),
    )


def _raise_file_limit() -> None:
    """Raise the limit of open files to the maximum of this process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
