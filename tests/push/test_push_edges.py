"""The gateway and `typing` where the other tests pass by: failures that are logged, times, and each answer in full."""

# mypy: disable-error-code="unreachable"

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from typing import Any

import orjson
import pytest
import structlog
from structlog.testing import capture_logs

from datingtoday.infra.realtime import PushEvent
from datingtoday.infra.redis import RedisDown
from datingtoday.push import gateway as gateway_module
from datingtoday.push import subscriber as subscriber_module
from datingtoday.push.admission import Workers
from datingtoday.push.connections import Connection, Connections
from datingtoday.push.protocols import TRANSPORT
from datingtoday.push.registry import Entry
from datingtoday.push.subscriber import Subscriber
from datingtoday.push.typing_events import TypingEvents
from tests.chat.talking import send, two
from tests.plugins.api import Api
from tests.profiles.factories import make_block
from tests.push.gateway_lab import RECHECK_S, Lab, Refused
from tests.push.skipping_time import Wire, run, since_begin, turn, until, wait


@pytest.fixture(autouse=True)
def _fresh_logs(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (gateway_module, subscriber_module):
        monkeypatch.setattr(module, "log", structlog.get_logger())


class TestGateway:
    def test_work_that_failed_is_told_in_the_log_and_no_other(self) -> None:
        async def fail() -> None:
            await turn()
            raise KeyError("work")

        async def work() -> None:
            lab = Lab()
            for each in (turn(), wait(1000), fail()):
                lab.gateway._spawn(each)
            ended = next(iter(lab.gateway._tasks))
            await wait(0.1)
            ended.cancel()
            with capture_logs() as none_more:
                await lab.gateway.stop()
            assert [it for it in none_more if it["event"] == "push_task_failed"] == []
            assert not lab.gateway._tasks

        with capture_logs() as logs:
            run(work())
        (failed,) = [it for it in logs if it["event"] == "push_task_failed"]
        assert (failed["log_level"], repr(failed["exc_info"])) == ("error", "KeyError('work')")

    def test_a_process_that_stops_waits_for_the_end_of_its_tasks(self) -> None:
        async def work() -> None:
            lab = Lab()
            await turn()
            lab.subscriber_ends_s = 3
            await lab.gateway.stop()
            assert lab.subscriber_ended and round(since_begin(), 3) == 3

        run(work())

    def test_a_look_that_failed_tells_the_begin_of_its_reason(self) -> None:
        async def work() -> None:
            lab = Lab()
            lab.workers.busy["recheck"] = RedisDown("x" * 300)
            await lab.connect()
            await until(RECHECK_S + 1)

        with capture_logs() as logs:
            run(work())
        (failed,) = [it for it in logs if it["event"] == "push_recheck_failed"]
        assert (failed["log_level"], failed["reason"]) == ("warning", "RedisDown: " + "x" * 189)

    def test_the_registry_is_told_the_time_in_milliseconds(self) -> None:
        async def work() -> None:
            lab = Lab()
            connection = await lab.connect()
            await until(RECHECK_S + 1)
            after_ms = time.time_ns() // 1_000_000
            assert len(lab.moments_ms) == 2
            assert begin_ms <= connection.entry.since_ms <= lab.moments_ms[0] <= lab.moments_ms[1] <= after_ms
            assert len(bytes.fromhex(connection.entry.connection_id)) == 8

        begin_ms = time.time_ns() // 1_000_000
        run(work())

    def test_an_auth_may_take_longer_to_check_than_to_send_and_is_sent_once(self) -> None:
        async def work() -> None:
            lab = Lab()
            lab.workers.slow_s["connect"] = 7
            sid, environ = lab.visit()
            scope = environ["asgi.scope"]
            visit, wire = scope["datingtoday.visit"], scope[TRANSPORT]
            connecting = asyncio.ensure_future(lab.gateway._connect(sid, environ, {}))
            await until(3)
            with pytest.raises(Refused, match="auth was sent before"):
                await lab.gateway._connect(sid, {"asgi.scope": scope}, {})
            await until(3.5)
            assert (visit.sid, wire.aborted_at) == (None, None)
            await until(7.5)
            assert connecting.done() and visit.sid == sid
            assert wire.aborted_at == 4.0, "of the second: a second to be read"

            lab.workers.slow_s["connect"] = 0
            sid, environ = lab.visit()
            visit, wire = environ["asgi.scope"]["datingtoday.visit"], environ["asgi.scope"][TRANSPORT]
            await lab.gateway._connect(sid, environ, {})
            await until(100)
            assert (visit.sid, wire.aborted_at) == (sid, None)

        run(work())

    def test_of_users_who_left_nothing_is_kept(self) -> None:
        unwanted: list[bytes] = []
        connections = Connections(unwanted.append)
        for number in range(3):
            connections.add(Connection(Entry(number, f"c{number}", 0), number, f"s{number}", None, Wire()))
        for number in range(3):
            assert connections.remove(f"s{number}") is not None
        assert unwanted == [b"push:0", b"push:1", b"push:2"]
        assert not connections._by_channel and not connections._by_sid


def test_a_failure_to_subscribe_tells_the_begin_of_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(*_: Any) -> Any:
        await turn()
        raise ConnectionRefusedError("x" * 300)

    async def work() -> None:
        monkeypatch.setattr(subscriber_module, "_connect", refuse)
        subscriber = Subscriber("redis://x", timeout_s=1, on_message=lambda *_: None, on_gap=lambda: None)
        task = asyncio.create_task(subscriber.run())
        await until(0.04)
        task.cancel()

    with capture_logs() as logs:
        run(work())
    assert [(it["event"], it["reason"]) for it in logs] == [
        ("push_not_subscribed", "ConnectionRefusedError: " + "x" * 176)
    ]


class TestTyping:
    Ask = Callable[..., dict[str, Any]]

    @pytest.fixture
    def published(self, api: Api, monkeypatch: pytest.MonkeyPatch) -> list[PushEvent]:
        events: list[PushEvent] = []
        monkeypatch.setattr(api.parts.base.realtime, "publish", events.extend)
        return events

    @pytest.fixture
    def ask(self, api: Api) -> Iterator[Ask]:
        """Answer to a `typing` of a user, on a connection of its own."""
        workers, loop = Workers(threads=1), asyncio.new_event_loop()
        typing = TypingEvents(api.parts.chat.typing, api.parts.base.database, api.parts.base.realtime)

        def ask(user_id: int, *arguments: Any) -> dict[str, Any]:
            connection = Connection(Entry(user_id, "c", 0), 1, "s", None, Wire())
            return loop.run_until_complete(typing.receive(connection, arguments, workers))

        yield ask
        workers.close()
        loop.close()

    @pytest.mark.parametrize("shared_backend", ["embedded"], indirect=True)
    def test_it_reaches_those_with_whom_one_has_talked(
        self, api: Api, ask: Ask, published: list[PushEvent]
    ) -> None:
        one, other = two(api)
        refused = {"code": 1401, "msg": "not accepted by the other side"}
        assert ask(one.user_id, {"peerId": other.user_id}) == refused
        send(api, one, other).data  # noqa: B018 - asserts success
        api.parts.base.realtime.flush()
        published.clear()
        for user, peer in ((one, other.user_id), (other, str(one.user_id))):
            assert ask(user.user_id, {"peerId": peer}) == {"code": 0, "msg": "success"}
        assert [(it.user_id, it.name, orjson.loads(it.data)) for it in published] == [
            (other.user_id, "typing", {"peer_id": one.user_id}),
            (one.user_id, "typing", {"peer_id": other.user_id}),
        ]
        make_block(api, other, one)
        assert ask(one.user_id, {"peerId": other.user_id}) == refused
        assert len(published) == 2

    @pytest.mark.parametrize("shared_backend", ["embedded"], indirect=True)
    @pytest.mark.parametrize(
        "arguments",
        [
            (), ({},), (7,), ([],), ({"peerId": True},), ({"peerId": 7.0},), ({"peerId": None},), ({"peerId": [7]},),
            ({"peerId": "07"},), ({"peerId": 0},), ({"peerId": -7},), ({"peerId": "7\n"},), ({"peerId": 10**10},),
            ({"peerId": 7}, 1),
        ],
    )  # fmt: skip
    def test_what_names_nobody_is_refused(
        self, ask: Ask, published: list[PushEvent], arguments: tuple[Any, ...]
    ) -> None:
        answer = ask(1, *arguments)
        assert (answer["code"], answer["msg"].split()[0], published) == (300, "typing", [])
