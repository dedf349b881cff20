"""Publishing events: one round trip, and never a failure for who publishes."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import redis as redis_py

from datingtoday.infra.realtime import PushEvent, Realtime, channel_of
from datingtoday.infra.redis import RedisRole
from tests.plugins.backend import Backend
from tests.plugins.polling import wait_until
from tests.plugins.redis_server import RedisServer


@pytest.fixture
def server(backend: Backend) -> RedisServer:
    return backend.private_redis()


@pytest.fixture
def role(server: RedisServer) -> Iterator[RedisRole]:
    role = RedisRole(server.uri, timeout_s=1, pause_s=0.01)
    yield role
    role.close()


def test_events_reach_the_channel_of_their_user_only(server: RedisServer, role: RedisRole) -> None:
    realtime = Realtime(role)
    with server.client() as client, client.pubsub() as heard:
        heard.subscribe(channel_of(7))
        assert heard.get_message(timeout=5)["type"] == "subscribe"
        events = [PushEvent(7, "message", b'{"pos":1}'), PushEvent(8, "read", b'{"pos":2}')]
        assert realtime.publish(events) == [1, 0]
        assert heard.get_message(timeout=5)["data"] == b'message {"pos":1}'
        assert heard.get_message(timeout=0.05) is None
    assert realtime.counts == {"published": 2}


def test_what_is_published_soon_goes_out_by_itself_in_its_order(server: RedisServer, role: RedisRole) -> None:
    realtime = Realtime(role)
    with server.client() as client, client.pubsub() as heard:
        heard.subscribe(channel_of(7))
        assert heard.get_message(timeout=5)["type"] == "subscribe"
        for number in range(600):
            realtime.publish_soon([PushEvent(7, "message", b"%d" % number), PushEvent(8, "read")])
        assert [heard.get_message(timeout=20)["data"] for _ in range(600)] == [
            b"message %d" % number for number in range(600)
        ]
    wait_until(lambda: realtime.counts == {"published": 1200}, "the counts")


def test_what_waits_is_sent_by_who_asks_for_it_and_is_bounded(
    role: RedisRole, monkeypatch: pytest.MonkeyPatch
) -> None:
    realtime = Realtime(role)
    # No thread takes them away.
    monkeypatch.setattr(realtime._unsent, "_start", lambda: None)
    for _ in range(10_001):
        realtime.publish_soon([PushEvent(7, "message"), PushEvent(8, "message")])
    assert realtime.counts == {"failed": 2}
    realtime.flush()
    assert realtime.counts == {"failed": 2, "published": 20_000}


def test_nothing_to_publish_asks_nothing() -> None:
    assert Realtime(RedisRole("redis://127.0.0.1:1/0")).publish([]) == []


def test_a_failure_is_counted_and_does_not_reach_the_caller(server: RedisServer, role: RedisRole) -> None:
    realtime = Realtime(role)
    told: list[tuple[str, int]] = []
    realtime.observer = lambda outcome, events: told.append((outcome, events))
    assert realtime.publish([PushEvent(7, "message")]) == [0]
    server.stop()
    assert realtime.publish([PushEvent(7, "message"), PushEvent(8, "message")]) is None
    assert realtime.counts == {"published": 1, "failed": 2}
    assert told == [("published", 1), ("failed", 2)]


@pytest.mark.real
def test_a_cluster_publishes_to_sharded_channels(private_redis: Callable[..., RedisServer]) -> None:
    server = private_redis("real", cluster=True)
    role = RedisRole(server.uri, timeout_s=1)
    with redis_py.Redis(port=server.port) as client, client.pubsub() as heard:
        heard.ssubscribe(channel_of(7))
        assert heard.get_message(timeout=5)["type"] == "ssubscribe"
        assert Realtime(role).publish([PushEvent(7, "typing"), PushEvent(9, "typing")]) == [1, 0]
        received = heard.get_message(timeout=5)
        assert (received["type"], received["data"]) == ("smessage", b"typing {}")
    role.close()
