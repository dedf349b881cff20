"""The event `visitor`: to whoever is connected, with numbers that are true, and not too often."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import orjson

from datingtoday.infra.realtime import channel_of
from datingtoday.visitors.push_events import PAUSE_MS
from tests.plugins.api import Api, User
from tests.plugins.polling import wait_until
from tests.profiles.factories import make_user
from tests.visitors.visits import record, visit


@contextmanager
def connected(api: Api, user: User) -> Iterator[list[tuple[float, dict[str, Any]]]]:
    """The events that a push process receives for this user, with their times."""
    received: list[tuple[float, dict[str, Any]]] = []
    pubsub = api.parts.base.queue_redis.client.pubsub()

    def note(message: dict[str, Any]) -> None:
        name, data = bytes(message["data"]).split(b" ", 1)
        assert name == b"visitor"
        received.append((time.monotonic(), orjson.loads(data)))

    pubsub.subscribe(**{channel_of(user.user_id): note})
    wait_until(lambda: api.parts.base.realtime.connected([user.user_id]), "the subscription")
    thread = pubsub.run_in_thread(sleep_time=0.02, daemon=True)
    try:
        yield received
    finally:
        thread.stop()
        thread.join(5)


def test_a_visit_is_told_at_once_and_a_crowd_once_in_two_seconds(api: Api) -> None:
    owner, visitors = make_user(api), [make_user(api) for _ in range(4)]
    with connected(api, owner) as received:
        visit(api, visitors[0], owner)
        record(api)
        wait_until(lambda: received, "the first event")
        assert received[0][1] == {"total": 1, "unread": 1}
        for visitor in visitors[1:]:
            visit(api, visitor, owner)
            record(api)
        wait_until(lambda: received[-1][1] == {"total": 4, "unread": 4}, "the last one, which tells all")
        took_ms = (received[-1][0] - received[0][0]) * 1000
        # A busy machine may need more than one pause, and note an event up to a second late.
        assert len(received) - 1 <= round(took_ms / PAUSE_MS), received


def test_who_is_not_connected_costs_nothing(api: Api) -> None:
    owner, visitor = make_user(api), make_user(api)
    push = api.parts.visitors.push
    visit(api, visitor, owner)
    record(api)
    wait_until(lambda: not push._waiting, "nobody to be told")
    assert api.parts.base.queue_redis.execute("EXISTS", f"visitor:told:{owner.user_id}") == 0
