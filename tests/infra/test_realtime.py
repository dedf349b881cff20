"""Publishing events: one round trip, and never a failure for who publishes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis as redis_py
from marshmallow import Schema
from redis.exceptions import ResponseError

from datingtoday.infra.realtime import PushEvent, PushKind, Realtime, channel_of
from datingtoday.infra.redis import RedisDown, RedisRole
from datingtoday.infra.text import Text
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


class Asked:
    """A queue role that notes what it is asked."""

    def __init__(self, answer: Any, *, is_cluster: bool = False) -> None:
        self.is_cluster = is_cluster
        self.asked: list[tuple[Any, ...]] = []
        self._answer = answer

    def execute(self, *command: Any) -> Any:
        self.asked.append(command)
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer


def realtime_of(role: Any) -> Realtime:
    return Realtime(role)


def test_who_is_connected_is_asked_for_all_at_once() -> None:
    role = Asked([b"push:7", 1, b"push:8", 0, b"push:9", 2])
    assert realtime_of(role).connected([7, 8, 9]) == {7, 9}
    assert role.asked == [("PUBSUB", "NUMSUB", "push:7", "push:8", "push:9")]
    assert realtime_of(role).connected([]) == set() and len(role.asked) == 1
    cluster = Asked([], is_cluster=True)
    assert realtime_of(cluster).connected([7, 8]) == {7, 8} and cluster.asked == []


@pytest.mark.parametrize(("is_cluster", "command"), [(False, "PUBLISH"), (True, "SPUBLISH")])
def test_processes_are_counted_and_probed(is_cluster: bool, command: str) -> None:
    role = Asked(3, is_cluster=is_cluster)
    assert realtime_of(role).processes() == 3
    realtime_of(role).probe(b"now")
    assert role.asked == [(command, "push:processes", b""), (command, "push:processes", b"now")]
    refused = realtime_of(Asked(ResponseError("NOPERM no"), is_cluster=is_cluster))
    for ask in (refused.processes, lambda: refused.probe(b"now")):
        with pytest.raises(RedisDown, match=r"^NOPERM no$"):
            ask()


def test_what_is_lost_for_want_of_room_is_observed(monkeypatch: pytest.MonkeyPatch) -> None:
    realtime, told = realtime_of(Asked(None)), list[tuple[str, int]]()
    realtime.observer = lambda *args: told.append(args)
    monkeypatch.setattr(realtime._unsent, "add", lambda event: event.user_id == 7)
    realtime.publish_soon([PushEvent(8, "x"), PushEvent(7, "x"), PushEvent(9, "x")])
    assert (told, realtime.counts) == ([("failed", 1)] * 2, {"failed": 2})


def test_events_are_declared_once_and_told_by_name() -> None:
    realtime = realtime_of(Asked(None))
    for name in ("typing", "message"):
        realtime.declare(PushKind(name, Schema(), Text("x", "x")))
    assert [kind.name for kind in realtime.kinds] == ["message", "resync", "typing"]
    with pytest.raises(RuntimeError, match=r"^the event typing is declared already$"):
        realtime.declare(PushKind("typing", Schema(), Text("x", "x")))


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
