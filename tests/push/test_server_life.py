"""The push process from its start to its end: what it is made of, who is told, and how long it waits."""

# mypy: disable-error-code="unreachable"

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from types import SimpleNamespace
from typing import Any

import orjson
import pytest
import socketio
import uvicorn

from datingtoday.protocol.metrics import count_push_events
from datingtoday.push import server as module
from datingtoday.push.server import PushServer, run_push
from tests.push.raw import head
from tests.push.site import Site
from tests.push.skipping_time import Wire, run, since_begin, turn, until, wait


class Made:
    """A server whose parts only record what they are given."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **options: Any) -> None:
        self.did: list[str] = []
        self.given: dict[str, Any] = {}
        self.shutdown_s = 0.0
        settings: Any = SimpleNamespace(
            push=SimpleNamespace(recheck_s=30.0, connections_per_user=5, waiting_per_address=50),
            metrics=SimpleNamespace(enabled=True),
            server=SimpleNamespace(trusted_proxies=[], forwarded_header="either"),
            redis=SimpleNamespace(timeout_s=options.pop("redis_timeout_s", 0.5)),
        )
        self.realtime: Any = SimpleNamespace(observer=None)
        base = SimpleNamespace(
            settings=settings,
            realtime=self.realtime,
            queue_redis=SimpleNamespace(uri="redis://x"),
            database=None,
            close=lambda: self.did.append("close"),
        )
        parts: Any = SimpleNamespace(
            base=base,
            protocol=None,
            accounts=SimpleNamespace(sessions=None),
            chat=SimpleNamespace(typing=None),
        )
        self.parts, self.settings = parts, settings
        for name in ("Registry", "Subscriber", "Visits"):
            monkeypatch.setattr(module, name, self._recorder(name))
        monkeypatch.setattr(module, "make_guard", lambda *_: None)
        monkeypatch.setattr(module, "TypingEvents", lambda *_: None)
        monkeypatch.setattr(module, "Gateway", self._gateway)
        monkeypatch.setattr(uvicorn.Server, "startup", self._uvicorn("startup"))
        monkeypatch.setattr(uvicorn.Server, "shutdown", self._uvicorn("shutdown"))
        self.server = PushServer(parts, on_ready=lambda: self.did.append("ready"), **options)

    def _recorder(self, name: str) -> Callable[..., Any]:
        def record(*given: Any, **named: Any) -> None:
            self.given[name] = (given, named)

        return record

    def _gateway(self, *_: Any, recheck_s: float) -> Any:
        self.given["recheck_s"] = recheck_s

        async def stop() -> None:
            await turn()
            self.did.append("stopped")

        start = lambda _subscriber: self.did.append("started")  # noqa: E731
        return SimpleNamespace(start=start, stop=stop, receive=None, note_gap=None)

    def _uvicorn(self, name: str) -> Callable[..., Any]:
        async def work(_server: Any, _sockets: Any = None) -> None:
            await wait(self.shutdown_s if name == "shutdown" else 0.01)
            self.did.append(name)

        return work


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Made:
    return Made(monkeypatch)


def test_it_is_ready_when_it_accepts_and_ends_when_its_connections_have(made: Made) -> None:
    async def work() -> None:
        await made.server.startup()
        assert made.did == ["started", "startup", "ready"]
        await made.server.shutdown()
        assert made.did[3:] == ["shutdown", "stopped"]

    run(work())


def test_entries_outlive_two_looks_and_redis_has_a_second(made: Made) -> None:
    run(made.server.startup())
    assert made.given["recheck_s"] == 30.0
    assert made.given["Registry"][1] == {"limit": 5, "life_s": 75.0}
    assert made.given["Subscriber"][1]["timeout_s"] == 1.0
    assert made.given["Visits"][0][1] == 50


def test_a_longer_timeout_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Made(monkeypatch, redis_timeout_s=3.0)
    run(made.server.startup())
    assert made.given["Subscriber"][1]["timeout_s"] == 3.0


@pytest.mark.parametrize(("enabled", "before"), [(True, None), (False, None), (True, print)])
def test_events_are_counted_where_metrics_are_on(made: Made, enabled: bool, before: Any) -> None:
    made.settings.metrics.enabled = enabled
    made.realtime.observer = before
    run(made.server.startup())
    assert made.realtime.observer is (before or (count_push_events if enabled else None))


@pytest.mark.parametrize(("shutdown_s", "is_cut"), [(0.9, False), (1.1, True)])
def test_connections_that_stay_are_cut_after_half_of_two_seconds(
    made: Made, shutdown_s: float, is_cut: bool
) -> None:
    wires = [Wire(), Wire()]

    async def work() -> list[float | None]:
        await made.server.startup()
        made.server.server_state.connections = [SimpleNamespace(transport=it) for it in wires]  # type: ignore[assignment]
        made.shutdown_s = shutdown_s
        begun = since_begin()
        await made.server.shutdown()
        return [None if it.aborted_at is None else round(it.aborted_at - begun, 2) for it in wires]

    assert run(work()) == [1.0 if is_cut else None] * 2


def test_connections_of_another_process_are_taken_until_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    theirs.setblocking(False)
    made = Made(monkeypatch, handover=theirs)
    adopted: list[Any] = []
    monkeypatch.setattr("datingtoday.push.handover.adopt_from", lambda *given: adopted.append(given))

    async def work() -> None:
        import asyncio

        await made.server.startup()
        (channel, new_protocol), loop = adopted[0], asyncio.get_running_loop()
        assert channel is theirs and new_protocol == made.server._new_protocol
        loop.add_reader(theirs.fileno(), lambda: None)
        await made.server.shutdown()
        assert not loop.remove_reader(theirs.fileno()), "it is removed already"

    with closing(ours), closing(theirs):
        run(work())


class Timer:
    """A timer that remembers instead of waiting."""

    made: list[Timer]

    def __init__(self, seconds: float, work: Any, arguments: list[Any]) -> None:
        self.seconds, self.work, self.arguments = seconds, work, arguments
        self.daemon = self.is_started = False
        Timer.made.append(self)

    def start(self) -> None:
        self.is_started = True


def test_after_a_signal_it_ends_within_four_and_a_half_seconds(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    Timer.made = []
    monkeypatch.setattr(threading, "Timer", Timer)
    for _ in range(2):
        made.server.handle_exit(signal.SIGTERM, None)
    assert made.server.should_exit is True
    (timer,) = Timer.made
    assert (timer.seconds, timer.work, timer.arguments) == (4.5, os._exit, [0])
    assert timer.daemon and timer.is_started


@pytest.fixture
def signals() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("signals")
def test_signals_that_the_parent_ignores_stay_ignored(made: Made) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with made.server.capture_signals():
        assert signal.getsignal(signal.SIGTERM) == made.server.handle_exit
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def test_a_process_runs_and_ends_without_waiting_for_threads(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    codes: list[int] = []
    limits: list[str] = []
    monkeypatch.setattr(os, "_exit", codes.append)
    monkeypatch.setattr(module, "_raise_file_limit", lambda: limits.append("files"))
    monkeypatch.setattr(module, "settle_collector", lambda: limits.append("collector"))
    monkeypatch.setattr(PushServer, "run", lambda _server, listeners: made.did.append(f"ran {listeners}"))
    loggers = [logging.getLogger(name) for name in ("uvicorn.error", "engineio.server", "socketio.server")]
    before = [logger.level for logger in loggers]
    try:
        run_push(made.parts, ())
        assert [logger.level for logger in loggers] == [logging.ERROR, logging.CRITICAL, logging.CRITICAL]
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)
    assert (made.did, codes, limits) == (["ran []", "close"], [0], ["files", "collector"])


def test_a_client_is_told_the_limits_and_pinged_after_25_seconds() -> None:
    async def work() -> None:
        site = Site(socketio.ASGIApp(module._socketio_server(), socketio_path=None))
        await site.open()
        await wait(1)
        opening = orjson.loads(site.wire.written[site.wire.written.index(b"{") :])
        assert (opening["pingInterval"], opening["pingTimeout"], opening["maxPayload"]) == (
            25_000,
            20_000,
            16_384,
        )
        site.wire.written = b""
        await until(24.9)
        assert site.wire.written == b""
        await until(25.1)
        assert site.wire.written == b"\x81\x012", "a ping of Engine.IO"

    run(work())


def test_events_of_a_client_are_worked_on_in_their_order_and_nobody_looks_through_all_clients() -> None:
    server = module._socketio_server()
    assert server.async_handlers is False
    assert server.eio.start_service_task is False
    assert server.eio.transports == ["websocket"]


def test_requests_are_logged_by_nobody_but_us(made: Made) -> None:
    assert made.server.config.access_log is False


def test_forwarded_addresses_and_compression_are_not_uvicorns_business(made: Made) -> None:
    async def work() -> None:
        site = Site(config=made.server.config)
        site.wire = Wire(peer="127.0.0.1")
        scopes: list[Any] = []

        async def serve(scope: Any, _receive: Any, send: Any) -> None:
            scopes.append(scope)
            await send({"type": "websocket.accept"})

        made.server._app = serve  # type: ignore[assignment]
        site.begin()
        extra = b"X-Forwarded-For: 1.2.3.4\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n"
        site.protocol.data_received(head("/socket.io/").removesuffix(b"\r\n") + extra)
        await wait(0.1)
        assert site.wire.written.startswith(b"HTTP/1.1 101 ")
        assert b"deflate" not in site.wire.written and b"erver:" not in site.wire.written
        assert scopes[0]["client"] == ("127.0.0.1", 5)

    run(work())
