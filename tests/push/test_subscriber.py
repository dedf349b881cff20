"""The subscriber of a push process: it goes on whatever happens to one message."""

from __future__ import annotations

import asyncio

from datingtoday.push.subscriber import Subscriber
from tests.plugins.backend import Backend
from tests.plugins.polling import wait_until


def test_a_receiver_that_fails_costs_a_gap_and_no_more(backend: Backend) -> None:
    channel = b"push:4000000001"
    received: list[bytes] = []
    gap = asyncio.Event()

    def receive(_channel: bytes, message: bytes) -> None:
        if message == b"bad":
            raise KeyError(message)
        received.append(message)

    def arrives(message: bytes) -> bool:
        publish(message)
        return message in received

    def publish(message: bytes) -> None:
        with backend.redis.client() as redis:
            redis.publish(channel.decode(), message)

    async def work() -> None:
        subscriber = Subscriber(backend.queue_uri, timeout_s=10, on_message=receive, on_gap=gap.set)
        running = asyncio.create_task(subscriber.run())
        await asyncio.to_thread(wait_until, lambda: subscriber.is_up, "the connection")
        await subscriber.subscribe(channel)
        await asyncio.to_thread(wait_until, lambda: arrives(b"first"), "the first message")
        publish(b"bad")
        await asyncio.wait_for(gap.wait(), 30)
        await asyncio.to_thread(wait_until, lambda: arrives(b"second"), "the second message")
        assert not running.done()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    asyncio.run(work())
