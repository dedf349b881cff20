"""The subscriber of a push process: it goes on whatever happens to one message."""

from __future__ import annotations

import asyncio

from datingtoday.push.subscriber import Subscriber
from tests.plugins.backend import Backend


def test_a_receiver_that_fails_costs_a_gap_and_no_more(backend: Backend) -> None:
    channel = b"push:4000000001"
    received: list[bytes] = []
    gap = asyncio.Event()

    def receive(_channel: bytes, message: bytes) -> None:
        if message == b"bad":
            raise KeyError(message)
        received.append(message)

    async def publish_until_told(message: bytes) -> None:
        while message not in received:
            with backend.redis.client() as redis:
                redis.publish(channel.decode(), message)
            await asyncio.sleep(0.05)

    async def work() -> None:
        subscriber = Subscriber(backend.queue_uri, timeout_s=10, on_message=receive, on_gap=gap.set)
        running = asyncio.create_task(subscriber.run())
        async with asyncio.timeout(60):
            while not subscriber.is_up:
                await asyncio.sleep(0.01)
            await subscriber.subscribe(channel)
            await publish_until_told(b"first")
            with backend.redis.client() as redis:
                redis.publish(channel.decode(), b"bad")
            await gap.wait()
            await publish_until_told(b"second")
        assert not running.done()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    asyncio.run(work())
