"""The protocols of push on a connection without a network: heads, frames, and clients that do not read."""

# mypy: disable-error-code="unreachable"

from __future__ import annotations

import asyncio
import json

import pytest

from datingtoday.push.protocols import TRANSPORT
from tests.push.raw import frame, head
from tests.push.site import Site
from tests.push.skipping_time import run, until, wait

PING, PONG, BINARY, CONT = 9, 10, 2, 0


@pytest.mark.parametrize("does", ["nothing", "half", "all", "leaves"])
def test_a_client_has_five_seconds_to_send_its_head(does: str) -> None:
    async def work() -> float | None:
        site = Site()
        await until(4.9)
        if does == "half":
            site.http.data_received(b"GET / HTTP/1.1\r\nHost: a\r\n")
        elif does == "all":
            await site.open()
        elif does == "leaves":
            site.http.connection_lost(None)
            assert not site.state.connections
        assert site.wire.aborted_at is None
        await until(100)
        return site.wire.aborted_at

    assert run(work()) == (5.0 if does in ("nothing", "half") else None)


def test_what_is_no_http_is_refused_in_json() -> None:
    async def work() -> bytes:
        site = Site()
        site.http.data_received(b"\x16\x03\x01 hello\r\n\r\n")
        assert site.wire.is_closed
        return site.wire.written

    raw, _, body = run(work()).partition(b"\r\n\r\n")
    lines = raw.decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines[1:])
    assert lines[0] == "HTTP/1.1 400 Bad Request"
    assert json.loads(body)["code"] == 400 and json.loads(body)["msg"]
    assert (headers["Content-Length"], headers["Connection"]) == (str(len(body)), "close")
    assert headers["Content-Type"].startswith("application/json")
    assert len(headers["X-Request-Id"]) == 16


@pytest.mark.parametrize(
    ("bad", "status"),
    [("Sec-WebSocket-Version: 13", 426), ("Sec-WebSocket-Key", 400)],
)
def test_a_handshake_that_is_none_is_refused_in_json(bad: str, status: int) -> None:
    async def work() -> bytes:
        site = Site()
        site.protocol.data_received(head("/socket.io/").replace(bad.encode(), b"X-" + bad.encode()))
        return site.wire.written

    raw, _, body = run(work()).partition(b"\r\n\r\n")
    lines = raw.decode().split("\r\n")
    assert int(lines[0].split()[1]) in (status, 400)
    assert json.loads(body)["code"] == int(lines[0].split()[1]) and json.loads(body)["msg"]
    names = [line.split(":")[0].lower() for line in lines[1:]]
    assert len(names) == len(set(names)), "each header once"
    headers = dict(line.split(": ", 1) for line in lines[1:])
    assert headers["Content-Length"] == str(len(body))
    assert headers["Content-Type"].startswith("application/json")
    assert len(headers["X-Request-Id"]) == 16


def test_the_handshake_leaves_nothing_behind_and_tells_the_transport() -> None:
    async def work() -> None:
        site = Site()
        websocket = await site.open()
        assert site.scope[TRANSPORT] is site.wire
        assert not hasattr(websocket, "request") and not hasattr(websocket, "response")
        for sent in (
            frame(b"hello"),
            frame(b"bytes", BINARY),
            frame(b"in ", fin=False) + frame(b"two ", CONT, fin=False) + frame(b"parts", CONT),
        ):
            websocket.data_received(sent)
        await wait(0.01)
        texts = [it.get("text") or it["bytes"] for it in site.received]
        assert texts == ["hello", b"bytes", "in two parts"]
        assert {it["type"] for it in site.received} == {"websocket.receive"}

    run(work())


@pytest.mark.parametrize("kind", ["text", "binary", "parts", "ping", "pong"])
def test_sixty_frames_at_once_ten_a_second_lastingly(kind: str) -> None:
    frames = {
        "text": frame(b"x"),
        "binary": frame(b"x", BINARY),
        "parts": frame(b"x", CONT, fin=False),
        "ping": frame(b"x", PING),
        "pong": frame(b"x", PONG),
    }

    async def work() -> None:
        site = Site()
        websocket = await site.open()
        allowed = 60
        if kind == "parts":
            websocket.data_received(frame(b"x", fin=False))
            allowed = 59
        for _ in range(allowed):
            websocket.data_received(frames[kind])
        assert site.wire.aborted_at is None
        await wait(1)
        for _ in range(10):
            websocket.data_received(frames[kind])
        assert site.wire.aborted_at is None
        if kind == "ping":
            assert site.wire.written.count(b"\x8a\x01x") == 70, "each is answered"
        websocket.data_received(frames[kind])
        assert site.wire.aborted_at is not None
        # Nothing is read after it.
        before = websocket._frames_left
        websocket.data_received(frames[kind])
        assert websocket._frames_left == before
        await wait(0.01)
        messages = [it for it in site.received if it["type"] == "websocket.receive"]
        assert len(messages) == (70 if kind in ("text", "binary") else 0), "the one too many is not passed on"

    run(work())


def test_after_a_long_rest_it_is_sixty_again_and_no_more() -> None:
    async def work() -> None:
        site = Site()
        websocket = await site.open()
        await wait(3600)
        for _ in range(60):
            websocket.data_received(frame(b"x"))
        assert site.wire.aborted_at is None
        websocket.data_received(frame(b"x"))
        assert site.wire.aborted_at is not None

    run(work())


@pytest.mark.parametrize(("seconds", "is_cut"), [(19.9, False), (20.1, True)])
def test_a_client_may_read_nothing_for_twenty_seconds(seconds: float, is_cut: bool) -> None:
    async def work() -> float | None:
        site = Site()
        websocket = await site.open()
        begun = asyncio.get_running_loop().time()
        websocket.pause_writing()
        assert not websocket.writable.is_set()
        await wait(10)
        websocket.pause_writing()
        await wait(begun + seconds - asyncio.get_running_loop().time())
        websocket.resume_writing()
        assert websocket.writable.is_set()
        assert (site.wire.aborted_at is not None) is is_cut
        await until(100)
        assert (site.wire.aborted_at is not None) is is_cut
        # It stalls once more, from the beginning.
        websocket.pause_writing()
        await until(120.1)
        return site.wire.aborted_at

    assert (run(work()) == 120.0) is not is_cut


def test_of_one_that_stalls_and_leaves_nothing_is_left_to_cut() -> None:
    async def work() -> float | None:
        site = Site()
        websocket = await site.open()
        websocket.pause_writing()
        websocket.connection_lost(None)
        assert websocket not in site.state.connections
        await until(200)
        return site.wire.aborted_at

    assert run(work()) is None


@pytest.mark.parametrize(("buffered", "is_cut"), [(256 * 1024, False), (256 * 1024 + 1, True)])
def test_answers_to_a_client_that_reads_nothing_are_bounded(buffered: int, is_cut: bool) -> None:
    async def work() -> bool:
        site = Site()
        websocket = await site.open()
        site.wire.buffered = buffered
        websocket.data_received(frame(b"x", PING))
        return site.wire.aborted_at is not None

    assert run(work()) is is_cut
