"""The hand-over: a WSGI server passes WebSockets on to the push process, so that both answer on one port.

The WSGI side sends the head of the request and the accepted connection itself over a Unix socket pair that both sides
have from before their fork. See docs/decisions/push-on-one-port.md.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Iterable
from typing import Any

import structlog

from datingtoday.protocol import envelope
from datingtoday.protocol.errors import Unavailable
from datingtoday.protocol.language import lang_of
from datingtoday.push.admission import PATH

log = structlog.get_logger(__name__)

MAX_HEAD_BYTES = 32 * 1024
SEND_S = 1.0
ADOPTED_AT_ONCE = 64
"""Connections that are taken over before others in the loop get a turn."""

WsgiApp = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


def make_pair() -> tuple[socket.socket, socket.socket]:
    """The WSGI side's end and the push side's; to be made before any fork."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    ours.settimeout(SEND_S)
    theirs.setblocking(False)
    return ours, theirs


class HandOver:
    """WSGI middleware that hands WebSockets at ``/socket.io`` over, and leaves everything else to the application.

    Works with gunicorn's threads, whose connection is in the environ.
    """

    def __init__(self, application: WsgiApp, channel: socket.socket) -> None:
        self._application = application
        self._channel = channel

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if not _is_websocket(environ):
            return self._application(environ, start_response)
        force_close = getattr(getattr(start_response, "__self__", None), "force_close", None)
        if force_close is not None:
            force_close()
        connection = environ["gunicorn.socket"]
        head = _head_of(environ)
        try:
            if len(head) > MAX_HEAD_BYTES:
                raise OSError("the head of the request is too long")
            socket.send_fds(self._channel, [head], [connection.fileno()])
        except OSError as error:
            log.warning("push_not_handed_over", reason=str(error))
            refusal = Unavailable()
            body = envelope.failure(refusal, lang_of(environ))
            start_response(
                "503 Service Unavailable",
                [
                    ("Content-Type", envelope.CONTENT_TYPE),
                    ("Content-Length", str(len(body))),
                    *refusal.headers.items(),
                ],
            )
            return [body]
        _let_go(connection)
        start_response("200 OK", [("Content-Length", "0")])
        return []


def _let_go(connection: Any) -> None:
    """Put another socket in the connection's place: gunicorn shuts down what it closes, which would end it here."""
    placeholder, other_end = socket.socketpair()
    with placeholder, other_end:
        os.dup2(placeholder.fileno(), connection.fileno())


def _is_websocket(environ: dict[str, Any]) -> bool:
    return (
        environ.get("PATH_INFO") in (PATH, f"{PATH}/")
        and environ.get("HTTP_UPGRADE", "").lower() == "websocket"
        and "gunicorn.socket" in environ
    )


def _head_of(environ: dict[str, Any]) -> bytes:
    """The head of the request, as another server has to read it."""
    target = environ.get("RAW_URI") or environ["PATH_INFO"]
    lines = [f"{environ['REQUEST_METHOD']} {target} HTTP/1.1"]
    for name, value in environ.items():
        if name.startswith("HTTP_"):
            lines.append(f"{name[5:].replace('_', '-').title()}: {value}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def adopt_from(channel: socket.socket, new_protocol: Callable[[], Any]) -> None:
    """Serve the connections that come over the channel, in the running loop."""
    loop = asyncio.get_running_loop()
    tasks: set[asyncio.Task[None]] = set()

    def receive() -> None:
        for _ in range(ADOPTED_AT_ONCE):
            try:
                head, fds, _, _ = socket.recv_fds(channel, MAX_HEAD_BYTES, 1)
            except BlockingIOError:
                return
            for fd in fds:
                task = loop.create_task(_adopt(socket.socket(fileno=fd), head, new_protocol))
                tasks.add(task)
                task.add_done_callback(tasks.discard)

    loop.add_reader(channel.fileno(), receive)


async def _adopt(connection: socket.socket, head: bytes, new_protocol: Callable[[], Any]) -> None:
    loop = asyncio.get_running_loop()
    try:
        _, protocol = await loop.connect_accepted_socket(new_protocol, connection)
    except OSError as error:
        log.info("push_not_adopted", reason=str(error))
        connection.close()
        return
    protocol.data_received(head)
