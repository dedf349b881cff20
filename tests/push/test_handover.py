"""The hand-over of a WebSocket from a WSGI server to the push process, over a real pair of sockets."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any, ClassVar

import orjson
import pytest

from datingtoday.push.handover import MAX_HEAD_BYTES, HandOver, adopt_from, make_pair


class Connection:
    """A client and the server's end of it, as gunicorn has it."""

    def __init__(self) -> None:
        self.client, self.server = socket.socketpair()
        self.client.settimeout(10)

    def close(self) -> None:
        self.client.close()
        self.server.close()


class Server:
    """The WSGI side, with what it answered; ``forced`` counts how often its connection was to be closed."""

    def __init__(self, channel: socket.socket) -> None:
        self.answers: list[tuple[str, dict[str, str]]] = []
        self.forced = 0
        self.application = HandOver(lambda _environ, _start: [b"the application"], channel)

    def force_close(self) -> None:
        self.forced += 1

    def start_response(self, status: str, headers: list[tuple[str, str]]) -> None:
        self.answers.append((status, dict(headers)))

    def ask(self, environ: dict[str, Any]) -> bytes:
        return b"".join(self.application(environ, self.start_response))


def environ_of(connection: Connection, **changes: Any) -> dict[str, Any]:
    return {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": "/socket.io/",
        "RAW_URI": "/socket.io/?EIO=4&transport=websocket",
        "HTTP_UPGRADE": "WebSocket",
        "HTTP_SEC_WEBSOCKET_KEY": "abc",
        "HTTP_HOST": "a",
        "CONTENT_LENGTH": "0",
        "gunicorn.socket": connection.server,
        **changes,
    }


@pytest.fixture
def connection() -> Iterator[Connection]:
    made = Connection()
    yield made
    made.close()


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = make_pair()
    with closing(ours), closing(theirs):
        yield ours, theirs


Pair = tuple[socket.socket, socket.socket]


def test_the_head_and_the_connection_itself_are_passed_on(pair: Pair, connection: Connection) -> None:
    server = Server(pair[0])
    assert server.ask(environ_of(connection)) == b""
    assert server.answers == [("200 OK", {"Content-Length": "0"})]
    assert server.forced == 1, "gunicorn keeps nothing of it"
    head, fds, _, _ = socket.recv_fds(pair[1], MAX_HEAD_BYTES, 4)
    assert head == (
        b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\n"
        b"Upgrade: WebSocket\r\nSec-Websocket-Key: abc\r\nHost: a\r\n\r\n"
    )
    (fd,) = fds
    with closing(socket.socket(fileno=fd)) as passed_on:
        # What gunicorn shuts down and closes now is another socket.
        connection.server.shutdown(socket.SHUT_RDWR)
        connection.server.close()
        passed_on.sendall(b"hello")
        assert connection.client.recv(10) == b"hello"
        connection.client.sendall(b"you")
        assert passed_on.recv(10) == b"you"
    assert connection.client.recv(10) == b"", "nobody else holds it"
    with pytest.raises(BlockingIOError):
        pair[1].recv(1)


def test_the_wsgi_side_waits_a_second_at_most_and_the_loop_never(pair: Pair) -> None:
    assert (pair[0].gettimeout(), pair[1].getblocking()) == (1.0, False)
    assert {it.family for it in pair} == {socket.AF_UNIX} and {it.type for it in pair} == {socket.SOCK_DGRAM}


@pytest.mark.parametrize(
    "changes",
    [
        {"PATH_INFO": "/socket.io/x"},
        {"PATH_INFO": "/"},
        {"HTTP_UPGRADE": "h2c"},
        {"HTTP_UPGRADE": ""},
        {"gunicorn.socket": None},
    ],
)
def test_everything_else_is_the_applications(
    pair: Pair, connection: Connection, changes: dict[str, Any]
) -> None:
    environ = environ_of(connection, **changes)
    if changes.get("gunicorn.socket", connection) is None:
        del environ["gunicorn.socket"]
    server = Server(pair[0])
    assert server.ask(environ) == b"the application"
    assert (server.answers, server.forced) == ([], 0)


def test_without_a_raw_target_it_is_the_path(pair: Pair, connection: Connection) -> None:
    environ = environ_of(connection, PATH_INFO="/socket.io")
    del environ["RAW_URI"]
    Server(pair[0]).ask(environ)
    head, fds, _, _ = socket.recv_fds(pair[1], MAX_HEAD_BYTES, 4)
    socket.socket(fileno=fds[0]).close()
    assert head.startswith(b"GET /socket.io HTTP/1.1\r\n")


def test_a_head_of_32_kib_is_passed_on_and_a_longer_one_refused(pair: Pair, connection: Connection) -> None:
    server = Server(pair[0])
    server.ask(environ_of(connection, HTTP_X=""))
    size = len(socket.recv_fds(pair[1], MAX_HEAD_BYTES, 0)[0])
    longest = 32 * 1024 - size
    for room, status in ((longest, "200 OK"), (longest + 1, "503 Service Unavailable")):
        fresh = Connection()
        with closing(fresh):
            body = server.ask(environ_of(fresh, HTTP_X="x" * room))
        assert server.answers[-1][0] == status
    headers = server.answers[-1][1]
    assert orjson.loads(body)["code"] == 503
    assert headers["Content-Length"] == str(len(body)) and int(headers["Retry-After"]) >= 1
    assert headers["Content-Type"].startswith("application/json")


def test_where_nobody_listens_it_is_503(pair: Pair, connection: Connection) -> None:
    pair[1].close()
    server = Server(pair[0])
    assert orjson.loads(server.ask(environ_of(connection)))["code"] == 503
    connection.server.sendall(b"still here")
    assert connection.client.recv(20) == b"still here", "gunicorn answers on it"


class Adopted(asyncio.Protocol):
    """A protocol that answers with what it was given."""

    made: ClassVar[list[asyncio.BaseTransport]] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.made.append(transport)

    def data_received(self, data: bytes) -> None:
        self.transport.write(b"got " + data)  # type: ignore[attr-defined]


def in_loop(pair: Pair, work: Callable[[], bytes]) -> bytes:
    async def serve() -> bytes:
        adopt_from(pair[1], Adopted)
        try:
            return await asyncio.to_thread(work)
        finally:
            asyncio.get_running_loop().remove_reader(pair[1].fileno())
            while Adopted.made:
                Adopted.made.pop().close()
            await asyncio.to_thread(lambda: None)

    return asyncio.run(serve())


def test_connections_that_come_together_are_all_served(pair: Pair) -> None:
    connections = [Connection() for _ in range(5)]
    server = Server(pair[0])
    for number, it in enumerate(connections):
        server.ask(environ_of(it, RAW_URI=f"/{number}"))

    def talk() -> bytes:
        told = b""
        for number, it in enumerate(connections):
            told += it.client.recv(500).partition(b" HTTP")[0]
            it.client.sendall(b"%d" % number)
            told += it.client.recv(500)
        return told

    try:
        assert in_loop(pair, talk) == b"".join(b"got GET /%dgot %d" % (it, it) for it in range(5))
    finally:
        for it in connections:
            it.close()
