"""A closed-loop load generator: some keep-alive connections, each with one request under way.

Requests are bytes made beforehand, so that the generator itself costs little; it runs as a process of its own.
"""

from __future__ import annotations

import selectors
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Load:
    """Measurements of one run; latencies in seconds, sorted."""

    requests: int
    seconds: float
    latencies_s: list[float]

    @property
    def per_second(self) -> float:
        return self.requests / self.seconds

    def percentile_ms(self, share: float) -> float:
        index = min(len(self.latencies_s) - 1, int(len(self.latencies_s) * share))
        return self.latencies_s[index] * 1000


class UnexpectedAnswer(Exception):
    """The server answered something else than the benchmark is about."""


def run(
    port: int, requests: Sequence[bytes], *, connections: int, seconds: float, expect: bytes = b'"code":0'
) -> Load:
    """Send requests for some time, each at most once.

    :raises UnexpectedAnswer: an answer without ``expect``, or the requests ran out: both would measure nothing.
    """
    selector = selectors.DefaultSelector()
    pending = iter(requests)
    latencies: list[float] = []
    sockets: list[socket.socket] = []
    started_at: dict[int, float] = {}
    buffers: dict[int, bytearray] = {}
    try:
        for _ in range(connections):
            connection = socket.create_connection(("127.0.0.1", port))
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sockets.append(connection)
            selector.register(connection, selectors.EVENT_READ)
        begin = time.perf_counter()
        for connection in sockets:
            _send(connection, pending, started_at, buffers)
        end = begin + seconds
        while time.perf_counter() < end:
            for key, _ in selector.select(timeout=5):
                connection = key.fileobj  # type: ignore[assignment]
                buffer = buffers[connection.fileno()]
                data = connection.recv(65536)
                if not data:
                    raise UnexpectedAnswer("the server closed a connection")
                buffer += data
                if not _complete(buffer):
                    continue
                now = time.perf_counter()
                if expect not in buffer:
                    raise UnexpectedAnswer(bytes(buffer[-300:]).decode(errors="replace"))
                latencies.append(now - started_at[connection.fileno()])
                _send(connection, pending, started_at, buffers)
        elapsed = time.perf_counter() - begin
    finally:
        selector.close()
        for connection in sockets:
            connection.close()
    return Load(len(latencies), elapsed, sorted(latencies))


def http_get(path_and_query: str) -> bytes:
    """A request on a keep-alive connection, as small as a mobile client's."""
    return f"GET {path_and_query} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: */*\r\n\r\n".encode()


def _send(
    connection: socket.socket, pending: object, started_at: dict[int, float], buffers: dict[int, bytearray]
) -> None:
    request = next(pending, None)  # type: ignore[call-overload]
    if request is None:
        raise UnexpectedAnswer("more requests than were made beforehand; make more or run shorter")
    buffers[connection.fileno()] = bytearray()
    started_at[connection.fileno()] = time.perf_counter()
    connection.sendall(request)


def _complete(buffer: bytearray) -> bool:
    head_end = buffer.find(b"\r\n\r\n")
    if head_end < 0:
        return False
    head = bytes(buffer[:head_end]).lower()
    at = head.find(b"content-length:")
    if at < 0:
        raise UnexpectedAnswer(head.decode(errors="replace"))
    length = int(head[at + 15 :].split(b"\r\n", 1)[0])
    return len(buffer) >= head_end + 4 + length
