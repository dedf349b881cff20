"""A small HTTP server on a port of its own that plays a vendor, and plays it badly when told to."""

from __future__ import annotations

import json
import ssl
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Received:
    """One request as it came in. Header names are lower case."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class Answer:
    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of_json(cls, status: int, data: object) -> Answer:
        body = json.dumps(data, ensure_ascii=False).encode()
        return cls(status, body, {"Content-Type": "application/json;charset=utf-8"})


PATIENCE_S = 10
"""Duration of Drip and Hang: longer than any client should wait, but a test that waits fails in the end."""


class Drip:
    """Headers at once, then one space every tenth of a second."""


class Hang:
    """The request is read and not answered."""


class Hangup:
    """The request is read and the connection closed."""


Misbehaviour = Answer | Drip | Hang | Hangup


class HttpStandIn:
    """Base of the vendors' stand-ins; a context manager.

    `requests` is every request that arrived, understood or not. `misbehave` replaces the vendor's answer until
    it is None again; the request is then not looked at, as if something in front of the vendor had failed.
    """

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.requests: list[Received] = []
        self.misbehave: Misbehaviour | None = None
        self._closing = threading.Event()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.stand_in = self
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        scheme = "http" if tls is None else "https"
        self.port = int(self._server.server_address[1])
        self.url = f"{scheme}://127.0.0.1:{self.port}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )
        self._thread.start()

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Refuse connections from now on; let go of whatever hangs."""
        if self._closing.is_set():
            return
        self._closing.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def answer(self, request: Received) -> Answer:
        """Answer of the vendor."""
        raise NotImplementedError

    def handle(self, handler: _Handler) -> None:
        length = int(handler.headers.get("Content-Length") or 0)
        parts = urlsplit(handler.path)
        request = Received(
            handler.command,
            parts.path,
            parts.query,
            {name.lower(): value for name, value in handler.headers.items()},
            handler.rfile.read(length),
        )
        self.requests.append(request)
        how = self.misbehave
        if isinstance(how, Hang):
            self._closing.wait(PATIENCE_S)
            handler.close_connection = True
        elif isinstance(how, Hangup):
            handler.close_connection = True
        elif isinstance(how, Drip):
            self._drip(handler)
        else:
            _write(handler, how if how is not None else self.answer(request))

    def _drip(self, handler: _Handler) -> None:
        handler.close_connection = True
        handler.send_response(200)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Connection", "close")
        handler.end_headers()
        try:
            for _ in range(PATIENCE_S * 10):
                if self._closing.wait(0.1):
                    return
                handler.wfile.write(b" ")
        except OSError:
            return  # the client has had enough, which is what it should do


def _write(handler: _Handler, answer: Answer) -> None:
    handler.send_response(answer.status)
    for name, value in answer.headers.items():
        handler.send_header(name, value)
    handler.send_header("Content-Length", str(len(answer.body)))
    handler.end_headers()
    handler.wfile.write(answer.body)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    # Threads that hold an idle kept-alive connection end only when the client closes it.
    block_on_close = False
    stand_in: HttpStandIn

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away, or refuses our certificate, is no news."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_POST(self) -> None:
        self.server.stand_in.handle(self)

    do_GET = do_POST

    def log_message(self, format: str, *args: Any) -> None:
        """The request line holds number and code; the tests look for those on stderr."""
