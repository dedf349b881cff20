"""Redis stops, comes back empty, or hangs: connections stay, and clients that follow docs/push.md miss nothing."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from tests.chat.talking import send, sync, two
from tests.plugins.api import Api, User, make_api
from tests.plugins.backend import Backend
from tests.plugins.polling import wait_until
from tests.plugins.redis_server import RedisServer
from tests.push.conftest import Client
from tests.push.push_process import PushProcess


class FollowingClient(Client):
    """Keeps a copy of the stream by the algorithm of docs/push.md."""

    def __init__(self, api: Api, user: User, url: str) -> None:
        super().__init__(api, user, url)
        self.pos = 0
        self.copy: list[int] = []
        self._one_at_a_time = threading.RLock()
        self.sio.on("*", self._receive)

    def _receive(self, name: str, payload: dict[str, int]) -> None:
        # Each event comes on a thread of its own.
        with self._one_at_a_time:
            self._follow(name, payload)
        self.events.append((name, payload))

    def _follow(self, name: str, payload: dict[str, int]) -> None:
        if name == "resync" or payload.get("pos", 0) > self.pos + 1:
            self.catch_up()
        elif payload.get("pos") == self.pos + 1:
            self._apply([payload["pos"]])

    def catch_up(self) -> None:
        with self._one_at_a_time:
            self._apply([entry["pos"] for entry in sync(self._api, self.user, self.pos)])

    def _apply(self, positions: list[int]) -> None:
        self.copy += positions
        self.pos = max(self.copy, default=0)


@pytest.mark.parametrize(
    "fault", ["wiped", *(pytest.param(it, marks=pytest.mark.long) for it in ("restarted", "hangs"))]
)
def test_redis_comes_back_and_nobody_misses_anything(backend: Backend, tmp_path: Path, fault: str) -> None:
    """The queue role alone; the guard's goes on, as two servers in production."""
    queue = backend.private_redis()
    api = make_api(backend, tmp_path, LIMITS_ENABLED=0, REDIS_QUEUE_URI=queue.uri)
    push = PushProcess(backend, tmp_path, REDIS_QUEUE_URI=queue.uri).start().wait_until_ready()
    one, other = two(api, talk=True)
    client = FollowingClient(api, other, push.url)
    client.connect()
    try:
        client.catch_up()
        send(api, one, other).data  # noqa: B018
        client.wait_for("message")
        _lose(queue, fault)
        send(api, one, other).data  # noqa: B018 - the sender notices nothing
        assert client.sio.connected and len(client.of("message")) == 1
        _bring_back(queue, fault)
        client.wait_for("resync", deadline_s=30)
        send(api, one, other).data  # noqa: B018
        client.wait_for("message", 2)
        wait_until(lambda: client.pos == 5, f"the whole stream: {client.copy}")
        assert sorted(client.copy) == [1, 2, 3, 4, 5]
        # Whoever logs out now is kicked again.
        api.post("/api/auth/logout", other).data  # noqa: B018
        client.wait_for("kick")
    finally:
        client.close()
        push.close()
        api.parts.base.close()


def _lose(queue: RedisServer, fault: str) -> None:
    if fault == "hangs":
        queue.pause()
    else:
        queue.stop()


def _bring_back(queue: RedisServer, fault: str) -> None:
    if fault == "hangs":
        queue.resume()
        with queue.client() as client:
            client.client_kill_filter(_type="pubsub")
        return
    if fault == "wiped":
        queue.wipe()
    queue.start()


@pytest.mark.real
@pytest.mark.parametrize("backend", ["real"], indirect=True)
def test_on_a_cluster_channels_are_sharded(backend: Backend, tmp_path: Path) -> None:
    queue = backend.private_redis(cluster=True)
    api = make_api(backend, tmp_path, LIMITS_ENABLED=0, REDIS_QUEUE_URI=queue.uri)
    push = PushProcess(backend, tmp_path, REDIS_QUEUE_URI=queue.uri).start().wait_until_ready()
    one, other = two(api, talk=True)
    client = Client(api, other, push.url).connect()
    try:
        wait_until(lambda: api.parts.base.realtime.processes() == 1, "the process to be counted")
        send(api, one, other).data  # noqa: B018
        client.wait_for("message")
        with queue.client() as redis:
            assert redis.execute_command("PUBSUB CHANNELS") == []
            channels = redis.execute_command("PUBSUB SHARDCHANNELS")
            assert f"push:{other.user_id}".encode() in channels
        queue.restart()
        client.wait_for("resync", deadline_s=30)
        api.post("/api/auth/logout", other).data  # noqa: B018
        client.wait_for("kick")
    finally:
        client.close()
        push.close()
        api.parts.base.close()


@pytest.mark.long
@pytest.mark.real
@pytest.mark.parametrize("backend", ["real"], indirect=True)
def test_a_slot_that_moves_takes_its_users_along(backend: Backend, tmp_path: Path) -> None:
    """An operator moves slots to a new node of the cluster, while people are connected."""
    source, target = (backend.private_redis(cluster=True) for _ in range(2))
    target.join(source)
    api = make_api(backend, tmp_path, LIMITS_ENABLED=0, REDIS_QUEUE_URI=source.uri)
    push = PushProcess(backend, tmp_path, REDIS_QUEUE_URI=source.uri).start().wait_until_ready()
    one, other = two(api, talk=True)
    client = FollowingClient(api, other, push.url)
    client.connect()
    try:
        client.catch_up()
        source.move_slot_of(f"push:{other.user_id}", target)
        client.wait_for("resync", deadline_s=30)
        send(api, one, other).data  # noqa: B018
        client.wait_for("message", deadline_s=10)
        with target.client() as redis:
            assert f"push:{other.user_id}".encode() in redis.execute_command("PUBSUB SHARDCHANNELS")
        assert client.copy == [1, 2, 3]
        api.post("/api/auth/logout", other).data  # noqa: B018
        client.wait_for("kick", deadline_s=10)
    finally:
        client.close()
        push.close()
        api.parts.base.close()
