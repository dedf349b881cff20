"""The gateway alone: the order of what it does, what it leaves behind, what it counts, and when it looks again."""

# mypy: disable-error-code="unreachable"

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from datingtoday.infra.redis import RedisDown
from datingtoday.protocol.errors import TokenExpired
from datingtoday.push.subscriber import SubscriberDown
from tests.push.gateway_lab import RECHECK_S, Lab, Refused
from tests.push.skipping_time import Wire, run, since_begin, turn, until, wait

CHANNEL = b"push:7"


def kick(**what: Any) -> bytes:
    return b"kick " + json.dumps(what).encode()


class TestConnecting:
    def test_a_connection_is_subscribed_registered_and_looked_at_in_this_order(self) -> None:
        async def work() -> None:
            lab = Lab()
            before = time.time_ns() // 1_000_000
            sid, environ = lab.visit(("accept-language", "zh"))
            scope = environ["asgi.scope"]
            await lab.gateway._connect(sid, environ, {})
            connection = lab.gateway.connections.find(sid)
            assert connection is not None and not connection.is_open
            entry = connection.entry
            assert lab.did == [("subscribe", CHANNEL), ("enter", [entry.connection_id]), ("look", [70])]
            assert before <= entry.since_ms <= time.time_ns() // 1_000_000
            # An event that comes before the client knows that it is connected waits for that.
            lab.gateway.receive(CHANNEL, b'message {"pos":1}')
            assert lab.sent_to(connection) == []
            await turn()
            assert connection.is_open
            assert lab.sent_to(connection) == ['["message",{"pos":1}]']
            assert (environ, scope["headers"]) == ({}, []), "memory of a request that is over"
            assert lab.gateway.counts == {"connected": 1, "delivered": 1}
            await until(100)
            wire: Wire = scope["datingtoday.transport"]
            assert wire.aborted_at is None

        run(work())

    @pytest.mark.parametrize(("lang", "message"), [("en", "token expired"), ("zh", "登录已失效")])
    def test_a_refusal_has_its_language_and_a_second_to_be_read(self, lang: str, message: str) -> None:
        async def work() -> None:
            lab = Lab()

            def refuse() -> Any:
                raise TokenExpired

            lab.admits = refuse
            sid, environ = lab.visit()
            wire: Wire = environ["asgi.scope"]["datingtoday.transport"]
            with pytest.raises(Refused) as refused:
                await lab.gateway._connect(sid, environ, {"lang": lang})
            assert message in str(refused.value.error_args) and "1101" in str(refused.value.error_args)
            assert lab.gateway.counts == {"refused": 1}
            assert (lab.did, list(lab.gateway.connections)) == ([], [])
            await until(100)
            assert wire.aborted_at == 1.0

        run(work())

    @pytest.mark.parametrize("auth", [None, [], "x", {"lang": 5}])
    def test_an_auth_that_is_none_is_refused(self, auth: Any) -> None:
        async def work() -> None:
            lab = Lab()
            with pytest.raises(Refused):
                await lab.gateway._connect(*lab.visit(), {"peerId": 1} if isinstance(auth, dict) else auth)

        run(work())

    def test_one_whose_session_ended_meanwhile_leaves_nothing_behind(self) -> None:
        async def work() -> None:
            lab = Lab()
            lab.ended[70] = TokenExpired()
            with pytest.raises(Refused):
                await lab.connect()
            assert list(lab.gateway.connections) == []
            assert ("unsubscribe", CHANNEL) in lab.did
            await wait(1)
            assert lab.of("leave") == lab.of("enter")

        run(work())

    @pytest.mark.parametrize("is_started", [True, False])
    def test_without_redis_it_is_503_and_leaves_nothing_behind(self, is_started: bool) -> None:
        async def work() -> None:
            lab = Lab()
            if is_started:
                lab.subscribing = SubscriberDown()
            else:
                lab.gateway.subscriber = None
            with pytest.raises(Refused) as refused:
                await lab.connect()
            assert "503" in str(refused.value.error_args)
            assert (list(lab.gateway.connections), lab.of("enter")) == ([], [])

        run(work())

    def test_a_device_that_connects_again_at_once_counts_once(self) -> None:
        async def work() -> None:
            lab = Lab()
            first = await lab.connect()
            await lab.gateway._disconnect(first.sid)
            lab.did.clear()
            second = await lab.connect()
            assert lab.did[1:3] == [
                ("leave", [first.entry.connection_id]),
                ("enter", [second.entry.connection_id]),
            ]
            await wait(1)
            assert len(lab.of("leave")) == 1
            assert second.entry.connection_id != first.entry.connection_id

        run(work())

    def test_the_oldest_that_must_go_is_told_by_the_process_that_has_it(self) -> None:
        async def work() -> None:
            lab = Lab()
            lab.too_many = {7: ["c1", "c2"]}
            await lab.connect()
            (event,) = lab.events
            assert (event.user_id, event.name) == (7, "kick")
            assert json.loads(event.data) == {"code": 1103, "connection_ids": ["c1", "c2"]}

        run(work())


class TestEvents:
    def test_each_device_of_the_user_gets_it_and_nobody_else(self) -> None:
        async def work() -> None:
            lab = Lab()
            phone, tablet = await lab.connect(), await lab.connect()
            other = await lab.connect(user_id=8)
            lab.gateway.receive(CHANNEL, b"read {}")
            assert [lab.sent_to(it) for it in (phone, tablet, other)] == [
                ['["read",{}]'],
                ['["read",{}]'],
                [],
            ]
            assert lab.gateway.counts["delivered"] == 2

        run(work())

    @pytest.mark.parametrize(
        "message", [b"kick {", b"kick []", b"", b"message", b"message ", b"\xff {}", b"A {}"]
    )
    def test_what_is_no_event_is_counted_and_sent_to_nobody(self, message: bytes) -> None:
        async def work() -> None:
            lab = Lab()
            connection = await lab.connect()
            lab.gateway.receive(CHANNEL, message)
            lab.gateway.receive(CHANNEL, message)
            assert lab.sent_to(connection) == []
            assert lab.gateway.counts == {"connected": 1, "malformed": 2}

        run(work())

    def test_a_client_that_takes_nothing_is_cut_and_counted(self) -> None:
        async def work() -> None:
            lab = Lab()
            connection = await lab.connect()
            for _ in range(101):
                lab.gateway.receive(CHANNEL, b"read {}")
            assert lab.gateway.counts == {"connected": 1, "delivered": 100, "cut": 1}
            assert isinstance(connection.transport, Wire) and connection.transport.aborted_at is not None

        run(work())

    def test_after_a_gap_clients_sync_and_sessions_are_looked_at(self) -> None:
        async def work() -> None:
            lab = Lab()
            connection, ended = await lab.connect(), await lab.connect(user_id=8, session_id=80)
            lab.ended[80] = TokenExpired()
            lab.gateway.note_gap()
            assert lab.sent_to(connection) == ['["resync",{}]']
            await wait(0.01)
            assert since_begin() < 1
            assert lab.sent_to(ended) == ['["resync",{}]', '["kick",{"code":1101}]']
            # Once: the next look is as far away as ever.
            looks = len(lab.of("look"))
            await until(RECHECK_S - 1)
            assert len(lab.of("look")) == looks
            await until(RECHECK_S + 1)
            assert len(lab.of("look")) == looks + 1

        run(work())

    def test_typing_is_answered_and_counted_when_it_was_passed_on(self) -> None:
        async def work() -> None:
            lab = Lab()
            connection = await lab.connect()
            assert await lab.gateway._type(connection.sid, 0) == {"code": 0}
            assert await lab.gateway._type(connection.sid, 429) == {"code": 429}
            assert await lab.gateway._type(connection.sid, 0) == {"code": 0}
            assert lab.gateway.counts["typed"] == 2
            assert await lab.gateway._type("nobody", 0) is None
            lab.gateway.receive(CHANNEL, kick(code=1101, session_ids=[70]))
            assert await lab.gateway._type(connection.sid, 0) is None
            assert lab.gateway.counts["typed"] == 2

        run(work())


class TestEnds:
    @pytest.mark.parametrize("by", ["session", "connection"])
    def test_a_kick_tells_why_and_ends_those_that_it_names(self, by: str) -> None:
        async def work() -> None:
            lab = Lab()
            one, other = await lab.connect(), await lab.connect(session_id=71)
            named = (
                {"session_ids": [70]} if by == "session" else {"connection_ids": [one.entry.connection_id]}
            )
            for _ in range(2):
                lab.gateway.receive(CHANNEL, kick(code=1102, data={"reason": "spam"}, **named))
            lab.gateway.receive(CHANNEL, b"read {}")
            assert lab.sent_to(one) == ['["kick",{"code":1102,"data":{"reason":"spam"}}]']
            assert lab.sent_to(other) == ['["read",{}]']
            await wait(0.01)
            assert lab.of("end") == [one.sid]
            assert lab.gateway.counts == {"connected": 2, "kicked": 1, "delivered": 1}

        run(work())

    def test_one_that_is_kicked_before_it_is_told_that_it_is_connected_ends_after_that(self) -> None:
        async def work() -> None:
            lab = Lab()
            sid, environ = lab.visit()
            await lab.gateway._connect(sid, environ, {})
            lab.gateway.receive(CHANNEL, kick(code=1101, session_ids=[70]))
            assert lab.of("end") == []
            await wait(0.01)
            assert lab.of("end") == [sid]
            connection = lab.gateway.connections.find(sid)
            assert connection is not None and lab.sent_to(connection) == ['["kick",{"code":1101}]']

        run(work())

    def test_those_that_leave_leave_the_registry_together_and_are_closed_after_a_second(self) -> None:
        async def work() -> None:
            lab = Lab()
            one, two, three = [await lab.connect() for _ in range(3)]
            await lab.gateway._disconnect(one.sid)
            lab.gateway.forget(two.sid)
            lab.gateway.forget(two.sid)
            await lab.gateway._disconnect(two.sid)
            assert lab.of("leave") == [] and ("unsubscribe", CHANNEL) not in lab.did
            await until(0.04)
            assert lab.of("leave") == []
            await until(0.06)
            assert lab.of("leave") == [[one.entry.connection_id, two.entry.connection_id]]
            await lab.gateway._disconnect(three.sid)
            assert lab.did[-1] == ("unsubscribe", CHANNEL)
            await until(10)
            assert lab.of("leave")[1:] == [[three.entry.connection_id]]
            assert isinstance(one.transport, Wire) and one.transport.aborted_at == 1.0

        run(work())

    def test_a_registry_that_cannot_be_left_now_is_left_alone(self) -> None:
        async def work() -> None:
            lab = Lab()
            lab.workers.busy["leave"] = RedisDown("gone")
            await lab.gateway._disconnect((await lab.connect()).sid)
            await wait(1)
            del lab.workers.busy["leave"]
            later = await lab.connect()
            await lab.gateway._disconnect(later.sid)
            await wait(1)
            assert lab.of("leave") == [[later.entry.connection_id]]

        run(work())

    @pytest.mark.parametrize(("slow_s", "has_left"), [(0.9, True), (1.1, False)])
    def test_a_process_that_stops_ends_its_work_and_leaves_within_a_second(
        self, slow_s: float, has_left: bool
    ) -> None:
        async def work() -> None:
            lab = Lab()
            stays, goes = await lab.connect(), await lab.connect()
            await lab.gateway._disconnect(goes.sid)
            lab.workers.slow_s["leave"] = slow_s
            await turn()
            await lab.gateway.stop()
            assert lab.subscriber_ended, "its tasks have ended when it says so"
            assert lab.workers.is_closed
            assert since_begin() <= 1.0
            both = sorted(it.entry.connection_id for it in (stays, goes))
            assert [sorted(it) for it in lab.of("leave")] == ([both] if has_left else [])
            looks = len(lab.of("look"))
            await until(100)
            assert len(lab.of("look")) == looks

        run(work())


class TestLookingAgain:
    def test_entries_are_renewed_and_sessions_looked_at_every_time(self) -> None:
        async def work() -> None:
            lab = Lab()
            connection = await lab.connect()
            await until(3 * RECHECK_S + 1)
            assert lab.of("enter") == [[connection.entry.connection_id]] * 4

        run(work())

    @pytest.mark.parametrize("error", [RedisDown("gone"), ValueError("whatever")])
    def test_any_failure_is_not_the_last_look(self, error: Exception) -> None:
        async def work() -> None:
            lab = Lab()
            connection = await lab.connect()
            lab.workers.busy["recheck"] = error
            await until(RECHECK_S + 1)
            assert len(lab.of("look")) == 1
            del lab.workers.busy["recheck"]
            lab.ended[70] = TokenExpired()
            await until(2 * RECHECK_S + 1)
            assert lab.sent_to(connection) == ['["kick",{"code":1101}]']
            assert lab.of("end") == [connection.sid]

        run(work())

    def test_five_hundred_are_looked_at_at_once(self) -> None:
        async def work() -> None:
            lab = Lab()
            for number in range(501):
                await lab.connect(session_id=number)
            lab.did.clear()
            await until(RECHECK_S + 1)
            assert [len(it) for it in lab.of("look")] == [500, 1]
            assert sorted(it for part in lab.of("look") for it in part) == list(range(501))

        run(work())

    def test_one_that_leaves_during_the_look_is_taken_out_again(self) -> None:
        async def work() -> None:
            lab = Lab()
            connection = await lab.connect()
            lab.workers.slow_s["recheck"] = 5
            await until(RECHECK_S + 1)
            await lab.gateway._disconnect(connection.sid)
            await until(RECHECK_S + 2)
            assert lab.of("leave") == [[connection.entry.connection_id]]
            await until(RECHECK_S + 10)
            assert lab.of("leave") == [[connection.entry.connection_id]] * 2

        run(work())
