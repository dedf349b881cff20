"""Subscriptions over any kind of loss."""

# mypy: disable-error-code="unreachable"

from __future__ import annotations

import asyncio

import pytest

from datingtoday.push.subscriber import SubscriberDown
from tests.push.skipping_time import run, since_begin, turn, until, wait
from tests.push.subscriber_lab import PROCESSES, Redis


@pytest.fixture
def redis(monkeypatch: pytest.MonkeyPatch) -> Redis:
    return Redis(monkeypatch)


def test_what_is_published_after_a_subscription_arrives(redis: Redis) -> None:
    async def work() -> None:
        assert not redis.subscriber.is_up
        with pytest.raises(SubscriberDown):
            await redis.subscriber.subscribe(b"push:1")
        await redis.start()
        assert redis.subscriber.is_up
        assert sorted(map(bytes, filter(None, redis.node.of("SUBSCRIBE")))) == [b"push:1", PROCESSES]
        await redis.subscriber.subscribe(b"push:1")
        assert redis.node.of("SUBSCRIBE").count(b"push:1") == 1, "it was wanted, and is there"
        await redis.subscriber.subscribe(b"push:2")
        redis.node.told(b"push:2", b"x")
        await turn()
        await wait(0.1)
        assert redis.received == [(b"push:2", b"x")]
        assert redis.gaps == []

    run(work())


def test_devices_that_come_together_subscribe_once(redis: Redis) -> None:
    async def work() -> None:
        await redis.start()
        redis.node.is_silent = True
        tasks = [asyncio.create_task(redis.subscriber.subscribe(b"push:2")) for _ in range(3)]
        await wait(0.5)
        assert not any(task.done() for task in tasks)
        assert redis.node.of("SUBSCRIBE").count(b"push:2") == 1
        redis.node.replies.put_nowait([b"subscribe", b"push:2", 1])
        await asyncio.gather(*tasks)

    run(work())


@pytest.mark.parametrize(("answers_after_s", "is_down"), [(1.9, False), (2.1, True)])
def test_a_subscription_may_take_two_seconds(redis: Redis, answers_after_s: float, is_down: bool) -> None:
    async def work() -> None:
        await redis.start()
        redis.node.is_silent = True
        task = asyncio.create_task(redis.subscriber.subscribe(b"push:2"))
        await wait(answers_after_s)
        redis.node.replies.put_nowait([b"subscribe", b"push:2", 1])
        await wait(0.05)
        assert isinstance(task.exception(), SubscriberDown) is is_down

    run(work())


def test_of_a_user_who_left_nothing_is_wanted(redis: Redis) -> None:
    async def work() -> None:
        await redis.start()
        await redis.subscriber.subscribe(b"push:2")
        redis.subscriber.unsubscribe(b"push:2")
        await wait(0.1)
        assert redis.node.of("UNSUBSCRIBE") == [b"push:2"]
        assert not redis.links[-1]._leaving, "nothing is kept of those who left"
        # At once: the user comes back while the server has not answered yet.
        for _ in range(2):
            task = asyncio.create_task(redis.subscriber.subscribe(b"push:2"))
            redis.subscriber.unsubscribe(b"push:2")
            await wait(0.1)
            assert task.done()
        await redis.subscriber.subscribe(b"push:2")
        assert redis.connected_at == [0.0], "nothing was lost by it"
        redis.node.replies.put_nowait(ConnectionError("gone"))
        await wait(3)
        assert sorted(map(bytes, filter(None, redis.node.of("SUBSCRIBE")))) == [b"push:2", PROCESSES]

    run(work())


@pytest.mark.parametrize("gave_up", [False, True])
def test_who_comes_back_before_the_server_has_answered_is_not_deaf(redis: Redis, gave_up: bool) -> None:
    """The confirmation of a subscription that was given up says nothing of the one after it."""

    async def work() -> None:
        await redis.start()
        first = asyncio.create_task(_silently(redis, b"push:2"))
        await wait(2.1 if gave_up else 0.1)
        redis.subscriber.unsubscribe(b"push:2")
        await wait(0.1)
        assert isinstance(first.exception(), SubscriberDown), "who left waits no longer"
        second = asyncio.create_task(redis.subscriber.subscribe(b"push:2"))
        await wait(0.1)
        assert redis.node.of("SUBSCRIBE").count(b"push:2") == 2, "the server takes the first one back"
        redis.node.replies.put_nowait([b"subscribe", b"push:2", 1])
        await wait(0.1)
        assert not second.done()
        redis.node.replies.put_nowait([b"unsubscribe", b"push:2", 0])
        redis.node.replies.put_nowait([b"subscribe", b"push:2", 1])
        await wait(0.1)
        assert second.done() and second.exception() is None

    run(work())


def test_after_a_loss_all_is_subscribed_to_again_and_a_second_later_the_gap_is_told(redis: Redis) -> None:
    async def work() -> None:
        await redis.start()
        await redis.subscriber.subscribe(b"push:2")
        first = redis.node
        waiting = asyncio.create_task(_silently(redis, b"push:3"))
        await until(1)
        first.replies.put_nowait(ConnectionError("gone"))
        await wait(0.02)
        assert not redis.subscriber.is_up
        assert isinstance(waiting.exception(), SubscriberDown), "who waits is told at once"
        assert (first.disconnected, redis.closed) == (1, 1)
        await until(2)
        assert redis.subscriber.is_up and redis.node is not first
        channels = sorted(map(bytes, filter(None, redis.node.of("SUBSCRIBE"))))
        assert channels == [b"push:2", b"push:3", PROCESSES]
        assert redis.gaps == []
        await until(3)
        assert redis.gaps == [pytest.approx(2.07, abs=0.05)]
        redis.node.told(b"push:2", b"x")
        await wait(0.1)
        assert redis.received == [(b"push:2", b"x")]

    run(work())


def test_nothing_is_told_before_all_is_confirmed_again(redis: Redis) -> None:
    async def work() -> None:
        await redis.start()
        await redis.subscriber.subscribe(b"push:2")
        redis.is_silent = True
        redis.node.replies.put_nowait(ConnectionError("gone"))
        await until(5)
        assert redis.gaps == []
        with pytest.raises(SubscriberDown):
            await redis.subscriber.subscribe(b"push:2")
        for channel in (b"push:2", PROCESSES):
            redis.node.replies.put_nowait([b"subscribe", channel, 1])
        await wait(1.1)
        assert len(redis.gaps) == 1

    run(work())


def test_a_loss_while_all_is_subscribed_to_again_is_one_more_loss(redis: Redis) -> None:
    async def work() -> None:
        await redis.start()
        redis.is_silent = True
        redis.node.replies.put_nowait(ConnectionError("gone"))
        await until(1)
        assert len(redis.connected_at) == 2
        redis.is_silent = False
        redis.node.replies.put_nowait(ConnectionError("gone again"))
        await until(4)
        assert (len(redis.connected_at), len(redis.gaps), redis.subscriber.is_up) == (3, 1, True)

    run(work())


async def _silently(redis: Redis, channel: bytes) -> None:
    redis.node.is_silent = True
    await redis.subscriber.subscribe(channel)


def test_a_server_that_stays_away_is_tried_after_longer_and_longer_pauses(redis: Redis) -> None:
    async def work() -> None:
        redis.fails = ConnectionRefusedError("down")
        task = asyncio.create_task(redis.subscriber.run())
        await until(12)
        pauses = [round(b - a, 2) for a, b in zip(redis.connected_at, redis.connected_at[1:], strict=False)]
        assert pauses[:9] == pytest.approx([0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 2, 2, 2], abs=0.011)
        # Whatever the failure is, it goes on.
        redis.fails = KeyError("whatever")
        await until(16)
        redis.fails = None
        await until(19)
        assert redis.subscriber.is_up and not task.done()
        # It was up: the pauses begin anew.
        redis.node.replies.put_nowait(ConnectionError("gone"))
        lost_at = since_begin()
        await wait(0.5)
        assert redis.connected_at[-1] - lost_at == pytest.approx(0.05, abs=0.011)

    run(work())


def test_the_first_connection_is_no_gap_and_a_later_one_is_even_after_failures(redis: Redis) -> None:
    async def work() -> None:
        redis.fails = ConnectionRefusedError("down")
        asyncio.create_task(redis.subscriber.run())  # noqa: RUF006 -- ends with the loop
        await until(1)
        redis.fails = None
        await until(10)
        assert redis.gaps == []

    run(work())


def test_a_server_that_is_silent_is_asked_after_five_seconds_and_given_up_after_ten(redis: Redis) -> None:
    async def work() -> None:
        await redis.start()
        node = redis.node
        await until(21)
        assert node.commands.count(("PING",)) == 4 and redis.connected_at == [0.0]  # type: ignore[arg-type]
        node.is_silent = True
        await until(29.9)
        assert redis.connected_at == [0.0]
        await until(31)
        assert len(redis.connected_at) == 2

    run(work())


def test_a_channel_that_is_taken_away_is_a_slot_that_has_moved(monkeypatch: pytest.MonkeyPatch) -> None:
    redis = Redis(monkeypatch, sharded=True)

    async def work() -> None:
        await redis.start()
        channels = [b"push:%d" % number for number in range(1, 7)]
        for channel in channels:
            await redis.subscriber.subscribe(channel)
        by_node = [set(node.of("SSUBSCRIBE")) - {PROCESSES} for node in redis.nodes]
        assert by_node[0] | by_node[1] == set(channels) and all(by_node) and not by_node[0] & by_node[1]
        for node in redis.nodes:
            for told in sorted(node.of("SSUBSCRIBE"), key=str):
                node.told(told or b"", b"x")
        await wait(0.1)
        assert {channel for channel, _ in redis.received} == {*channels, PROCESSES}
        # One that was asked for is none.
        for _ in range(2):
            redis.subscriber.unsubscribe(channels[0])
            await wait(0.1)
        assert len(redis.connected_at) == 1
        before = redis.nodes
        before[1].replies.put_nowait([b"sunsubscribe", channels[0], 0])
        await wait(3)
        assert len(redis.connected_at) == 2 and len(redis.gaps) == 1
        assert [node.disconnected for node in before] == [1, 1], "all connections of the old layout"

    run(work())


def test_thousands_are_subscribed_to_in_parts(redis: Redis) -> None:
    async def work() -> None:
        for number in range(2500):
            with pytest.raises(SubscriberDown):
                await redis.subscriber.subscribe(b"push:%d" % number)
        asyncio.create_task(redis.subscriber.run())  # noqa: RUF006 -- ends with the loop
        await wait(1)
        assert redis.node.packets == [1000, 1000, 501]
        assert redis.subscriber.is_up
        await redis.subscriber.subscribe(b"push:2499")
        assert len(redis.node.of("SUBSCRIBE")) == 2501

    run(work())


def test_others_get_a_turn_while_many_messages_arrive(redis: Redis) -> None:
    async def work() -> None:
        await redis.start()
        for number in range(200):
            redis.node.told(b"push:2", b"%d" % number)
        counts = []
        while len(redis.received) < 200:
            await turn()
            counts.append(len(redis.received))
        assert all(b - a <= 32 for a, b in zip([0, *counts], counts, strict=False))
        assert [data for _, data in redis.received] == [b"%d" % number for number in range(200)]
        assert since_begin() == pytest.approx(0.1), "a turn costs no time"

    run(work())


def test_it_ends_when_it_is_cancelled_and_lets_go(redis: Redis) -> None:
    async def work() -> None:
        task = await redis.start()
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled() and not redis.subscriber.is_up
        assert (redis.node.disconnected, redis.closed) == (1, 1)

    run(work())
