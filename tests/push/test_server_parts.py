"""Parts of the push server that need no server: answers over HTTP, `typing` of clients, work on threads."""

# mypy: disable-error-code="unreachable"

from __future__ import annotations

import asyncio
import json
import resource
import threading
from typing import Any

import pytest
import socketio

from datingtoday.protocol.errors import ParameterError, RateLimited
from datingtoday.protocol.peer import Peers
from datingtoday.push import server as module
from datingtoday.push.admission import Workers, auth_params, refusal
from datingtoday.push.connections import Connection, Connections, EventPacket, read_event, read_kick
from datingtoday.push.lag import LagProbe
from datingtoday.push.metrics import PushMetrics
from datingtoday.push.protocols import TRANSPORT
from datingtoday.push.registry import Entry
from datingtoday.push.server import PushApp
from datingtoday.push.visits import Visits
from tests.push.skipping_time import Wire, run, turn


class Asked:
    """One request to the application, and what it answered."""

    def __init__(
        self, kind: str = "http", method: str = "GET", path: str = "/healthz", query: str = ""
    ) -> None:
        self.scope: dict[str, Any] = {
            "type": kind,
            "method": method,
            "path": path,
            "query_string": query.encode(),
            "client": ("127.0.0.1", 5),
            "headers": [],
            TRANSPORT: Wire(),
        }
        self.sent: list[dict[str, Any]] = []

    async def send(self, message: dict[str, Any]) -> None:
        await turn()
        self.sent.append(message)

    @property
    def status(self) -> int:
        start, end = self.sent
        kind = "websocket.http" if self.scope["type"] == "websocket" else "http"
        assert (start["type"], end["type"]) == (f"{kind}.response.start", f"{kind}.response.body")
        headers = dict(start["headers"])
        assert headers[b"content-length"] == str(len(end["body"])).encode()
        assert headers[b"content-type"].startswith(b"application/json")
        assert len(headers[b"x-request-id"]) == 16
        return int(start["status"])

    @property
    def body(self) -> dict[str, Any]:
        body: dict[str, Any] = json.loads(self.sent[1]["body"])
        return body

    @property
    def headers(self) -> dict[bytes, bytes]:
        return dict(self.sent[0]["headers"])


class Site:
    """The ASGI application with a Socket.IO that only says that it was asked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, waiting: int = 1) -> None:
        self.forgotten: list[str] = []
        self.connected: list[Any] = []
        self.does: Any = None

        async def serve(scope: Any, _receive: Any, _send: Any) -> None:
            await turn()
            self.connected.append(scope["path"])
            if self.does is not None:
                await self.does(scope)

        monkeypatch.setattr(socketio, "ASGIApp", lambda _server, socketio_path: serve)
        self.app = PushApp(
            self,  # type: ignore[arg-type]
            None,
            Visits(Peers([], "either"), waiting),
        )

    def forget(self, sid: str) -> None:
        self.forgotten.append(sid)

    async def ask(self, **what: Any) -> Asked:
        asked = Asked(**what)
        await self.app(asked.scope, None, asked.send)
        return asked


OPEN = "EIO=4&transport=websocket"


def test_health_is_told_to_this_machine_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> None:
        site = Site(monkeypatch)
        asked = await site.ask()
        assert (asked.status, asked.body["code"]) == (200, 0)
        for other in ({"method": "POST"}, {"path": "/healthz/"}, {"path": "/"}):
            assert (await site.ask(**other)).status == 404
        foreign = Asked()
        foreign.scope["client"] = ("10.0.0.9", 5)
        await site.app(foreign.scope, None, foreign.send)
        assert (foreign.status, foreign.body["code"]) == (404, 404)

    run(work())


@pytest.mark.parametrize(
    ("path", "query", "is_taken"),
    [
        ("/socket.io", OPEN, True),
        ("/socket.io/", OPEN + "&t=x", True),
        ("/socket.io/", "EIO=4", False),
        ("/socket.io/", "transport=websocket", False),
        ("/socket.io/x", OPEN, False),
        ("/", OPEN, False),
    ],
)
def test_websockets_of_socket_io_are_taken(
    monkeypatch: pytest.MonkeyPatch, path: str, query: str, is_taken: bool
) -> None:
    async def work() -> None:
        site = Site(monkeypatch)
        asked = await site.ask(kind="websocket", path=path, query=query)
        assert site.connected == ([path] if is_taken else [])
        assert (asked.sent == []) is is_taken
        assert is_taken or asked.status == 404

    run(work())


def test_one_too_many_of_an_address_is_told_when_to_come_back_in_its_language(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def work() -> None:
        site = Site(monkeypatch)
        inner: list[Asked] = []

        async def come_again(_scope: Any) -> None:
            site.does = None
            query = f"{OPEN}&lang=zh"
            inner.append(await site.ask(kind="websocket", path="/socket.io/", query=query))

        site.does = come_again
        await site.ask(kind="websocket", path="/socket.io/", query=OPEN)
        (refused,) = inner
        assert (refused.status, refused.body["code"]) == (429, 429)
        assert refused.headers[b"retry-after"] == b"5"
        assert not refused.body["msg"].isascii()
        assert site.forgotten == [], "it had not authenticated"

    run(work())


def test_one_that_had_authenticated_is_forgotten_when_its_websocket_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def work() -> None:
        site = Site(monkeypatch)

        async def authenticate(scope: Any) -> None:
            scope["datingtoday.visit"].authenticated("sid1")
            raise ConnectionResetError

        site.does = authenticate
        with pytest.raises(ConnectionResetError):
            await site.ask(kind="websocket", path="/socket.io/", query=OPEN)
        assert site.forgotten == ["sid1"]

    run(work())


def test_the_limit_of_open_files_is_raised_to_what_the_process_may(monkeypatch: pytest.MonkeyPatch) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 256), hard))
        module._raise_file_limit()
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (hard, hard)
        monkeypatch.setattr(resource, "setrlimit", None)
        module._raise_file_limit()
    finally:
        monkeypatch.undo()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


class TestWork:
    def test_a_place_is_free_again_after_work_that_failed(self) -> None:
        workers = Workers(threads=1, max_waiting=0)

        def fail() -> None:
            raise KeyError("work")

        async def work() -> None:
            for _ in range(3):
                with pytest.raises(KeyError):
                    await workers.run("typing", fail)
            assert await workers.run("typing", lambda: 5) == 5

        try:
            asyncio.run(work())
        finally:
            workers.close()

    def test_closing_waits_for_nobody_and_lets_what_has_not_begun_be(self) -> None:
        workers = Workers(threads=1, max_waiting=5)
        go_on, begun = threading.Event(), threading.Event()
        done: list[int] = []

        def first() -> None:
            begun.set()
            go_on.wait(60)
            done.append(1)

        async def work() -> None:
            tasks = [asyncio.ensure_future(workers.run("typing", first))]
            await asyncio.to_thread(begun.wait, 60)
            tasks.append(asyncio.ensure_future(workers.run("typing", lambda: done.append(2))))
            await turn()
            workers.close()
            assert done == [], "it did not wait"
            go_on.set()
            await asyncio.wait(tasks)
            assert tasks[1].cancelled()

        asyncio.run(work())
        assert done == [1]


class TestAuth:
    def test_it_is_text_and_whole_numbers_with_known_names(self) -> None:
        assert auth_params({"userId": 7, "token": "t", "lang": "zh"}) == {
            "userId": "7",
            "token": "t",
            "lang": "zh",
        }
        refused: tuple[Any, ...] = (
            None,
            [],
            "x",
            {"a" * 60: "1"},
            {"nonce": 1.5},
            {"nonce": True},
            {"nonce": []},
        )
        for bad in refused:
            with pytest.raises(ParameterError):
                auth_params(bad)

    def test_a_long_name_is_shown_in_part(self) -> None:
        with pytest.raises(ParameterError) as refused:
            auth_params({"a" * 60: "1"})
        assert f"auth.{'a' * 40} " in refused.value.message("en") + " "

    def test_a_refusal_tells_code_text_and_data(self) -> None:
        error = RateLimited(2.0)
        assert refusal(error, "en")["code"] == 429
        assert ("data" in refusal(error, "en")) is (error.data is not None)
        error.data = {"reason": "spam"}
        assert refusal(error, "zh")["data"] == {"reason": "spam"}
        assert refusal(error, "zh")["msg"] != refusal(error, "en")["msg"]


class TestConnections:
    def connection(self, user_id: int, sid: str) -> Connection:
        class Engine:
            queue: asyncio.Queue[Any] = asyncio.Queue()

        return Connection(Entry(user_id, sid, 0), user_id, sid, Engine(), Wire())

    def test_a_channel_is_unwanted_after_the_last_connection_of_its_user(self) -> None:
        unwanted: list[bytes] = []
        connections = Connections(unwanted.append)
        one, two, other = (self.connection(*it) for it in ((7, "a"), (7, "b"), (8, "c")))
        assert [connections.add(it) for it in (one, two, other)] == [b"push:7", b"push:7", b"push:8"]
        assert (len(connections), list(connections)) == (3, [one, two, other])
        assert connections.of_channel(b"push:7") == [one, two]
        assert connections.remove("a") is one and unwanted == []
        assert connections.of_channel(b"push:7") == [two] and connections.find("a") is None
        assert connections.remove("a") is None
        assert connections.remove("b") is two and unwanted == [b"push:7"]
        assert connections.of_channel(b"push:7") == [] and len(connections) == 1
        connections.add(one)
        assert connections.remove("a") is one and unwanted == [b"push:7"] * 2

    def test_what_waited_for_the_opening_is_sent_in_its_order(self) -> None:
        connection = self.connection(7, "a")
        for number in range(3):
            assert connection.send(EventPacket("x", b"%d" % number))
        assert not connection.is_open
        connection.open()
        assert connection.is_open
        connection.send(EventPacket("x", b"3"))
        queue = connection._engine.queue
        assert [queue.get_nowait().encode() for _ in range(4)] == [f'42["x",{number}]' for number in range(4)]

    def test_events_and_kicks_are_read(self) -> None:
        assert read_event(b"contact_x {} {}") == ("contact_x", b"{} {}")
        assert read_event(b"a" * 32 + b" {}")[0] == "a" * 32
        for bad in (b"", b"message", b"message ", b" {}", b"a" * 33 + b" {}", b"message\n {}"):
            with pytest.raises(ValueError, match="no event"):
                read_event(bad)
        assert read_kick(b'{"code":1}') == {"code": 1}
        for bad in (b"[]", b"1", b"{"):
            with pytest.raises(ValueError, match=r"no object|unexpected|end of"):
                read_kick(bad)


def test_a_probe_is_sent_again_at_its_moment() -> None:
    now = [100.0]
    probe = LagProbe(lambda: now[0])
    first = probe.next_message()
    assert first is not None and first.split()[1] == b"1"
    now[0] += 0.5
    probe.receive(first)
    now[0] = 104.999
    assert probe.next_message() is None
    now[0] = 105.0
    assert (probe.next_message() or b"").split()[1] == b"2"


class TestMetrics:
    def values(self) -> dict[tuple[str, ...], float]:
        from datingtoday.infra.metric_declarations import process_registry

        return {
            (sample.name, *(value for name, value in sample.labels.items() if name != "pid")): sample.value
            for family in process_registry().collect()
            for sample in family.samples
            if family.name.startswith("datingtoday_push")
        }

    def test_what_was_counted_since_is_added(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
        from collections import Counter

        import prometheus_client  # noqa: F401 -- chooses by the environment where values are kept

        monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
        metrics = PushMetrics()
        assert metrics.is_on
        outcome = "datingtoday_push_total", "kicked"
        before = self.values().get(outcome, 0)
        for count, connections, lag_s in ((2, 5, 0.25), (7, 4, 1.5), (7, 4, 0.5)):
            metrics.update(Counter(kicked=count), connections, lag_s)
            found = self.values()
            assert found[outcome] - before == count
            assert found["datingtoday_push_connections",] == connections
            assert found["datingtoday_push_lag_seconds",] == lag_s

    def test_without_a_folder_nothing_is_counted(self, monkeypatch: pytest.MonkeyPatch) -> None:
        from collections import Counter

        monkeypatch.delenv("PROMETHEUS_MULTIPROC_DIR", raising=False)
        metrics = PushMetrics()
        before = self.values()
        metrics.update(Counter(kicked=3), 1, 1.0)
        assert (metrics.is_on, self.values()) == (False, before)
