"""uvicorn's protocols for push: no client may hold memory or a connection that it does not use.

HTTP is only the way to a WebSocket here; refusals have the form of every answer.
"""

from __future__ import annotations

import asyncio
import secrets
import socket
from http import HTTPStatus
from typing import Any, cast

import orjson
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame
from websockets.http11 import Request, Response
from websockets.server import ServerProtocol

from datingtoday.infra.milliseconds import to_ms
from datingtoday.protocol.envelope import CONTENT_TYPE

MAX_PACKET_BYTES = 16 * 1024
HEAD_S = 5.0
"""Time that a client may take to send the head of its request."""
STALLED_S = 20.0
"""Time that a client may take nothing of what is sent to it."""
MAX_BUFFERED_BYTES = 256 * 1024
"""Written but not yet taken by the client."""
FRAMES_BURST = 60
FRAMES_PER_S = 10.0
"""Frames of any kind that a client may send: at once, and lastingly. One that types sends one in two seconds."""
TRANSPORT = "datingtoday.transport"
"""In the ASGI scope of a WebSocket: its transport, to be aborted."""


def limit_silence(transport: asyncio.BaseTransport) -> None:
    """Let the operating system end a connection whose other end acknowledges nothing, or is gone."""
    sock = transport.get_extra_info("socket")
    if sock is None or sock.family == socket.AF_UNIX:
        return
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, True)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, to_ms(STALLED_S))


class PushHttp(HttpToolsProtocol):
    """HTTP/1.1 up to the upgrade."""

    _deadline: asyncio.TimerHandle

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        limit_silence(transport)
        self._deadline = self.loop.call_later(HEAD_S, transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        self._deadline.cancel()
        super().connection_lost(exc)

    def on_headers_complete(self) -> None:
        self._deadline.cancel()
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        body = _refusal(400, msg)
        head = (
            f"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Type: {CONTENT_TYPE}\r\n"
            f"X-Request-Id: {secrets.token_hex(8)}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        self.transport.write(head.encode("ascii") + body)
        self.transport.close()


class PushWebSocket(WebSocketsSansIOProtocol):
    """A WebSocket whose client is cut off when it sends too much or takes too little."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        # Without extensions: nothing is compressed.
        self.conn = _Handshake(max_size=self.config.ws_max_size, logger=self.logger)
        self._stalled: asyncio.TimerHandle | None = None
        self._frames_left = float(FRAMES_BURST)
        self._counted_at = self.loop.time()

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        if hasattr(self, "scope"):
            # The task that reads the scope has not begun yet.
            cast(dict[str, Any], self.scope)[TRANSPORT] = self.transport

    async def send(self, message: Any) -> None:
        await super().send(message)
        if message["type"] == "websocket.accept":
            # The handshake is over.
            del self.request, self.response

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        super().data_received(data)
        # Pongs are written whether or not the client reads.
        if self.transport.get_write_buffer_size() > MAX_BUFFERED_BYTES:
            self.transport.abort()

    def handle_cont(self, event: Frame) -> None:
        if self._may_send():
            super().handle_cont(event)

    def handle_text(self, event: Frame) -> None:
        if self._may_send():
            super().handle_text(event)

    def handle_bytes(self, event: Frame) -> None:
        if self._may_send():
            super().handle_bytes(event)

    def handle_ping(self) -> None:
        if self._may_send():
            super().handle_ping()

    def handle_pong(self, event: Frame) -> None:
        # Counted like any other frame; nobody waits for it: Engine.IO has pings of its own.
        self._may_send()

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._stalled is None:
            self._stalled = self.loop.call_later(STALLED_S, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._end_stall()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end_stall()
        super().connection_lost(exc)

    def _end_stall(self) -> None:
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None

    def _may_send(self) -> bool:
        now = self.loop.time()
        self._frames_left = min(FRAMES_BURST, self._frames_left + (now - self._counted_at) * FRAMES_PER_S) - 1
        self._counted_at = now
        if self._frames_left >= 0:
            return True
        self.transport.abort()
        return False


class _Handshake(ServerProtocol):
    """The WebSocket handshake; what it refuses is refused in JSON."""

    def reject(self, status: HTTPStatus | int, text: str) -> Response:
        response = super().reject(HTTPStatus(status), text)
        response.body = _refusal(int(status), response.reason_phrase)
        for name, value in (
            ("Content-Type", CONTENT_TYPE),
            ("Content-Length", str(len(response.body))),
            ("X-Request-Id", secrets.token_hex(8)),
        ):
            if name in response.headers:
                del response.headers[name]
            response.headers[name] = value
        return response


def _refusal(code: int, msg: str) -> bytes:
    return orjson.dumps({"code": code, "msg": msg})
