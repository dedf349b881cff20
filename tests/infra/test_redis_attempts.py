"""Attempts to reach a Redis server: one, and then a pause in which nobody tries."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from datingtoday.infra import redis as redis_module
from datingtoday.infra.redis import RUN_ID, WHICH_SERVER, RedisDown, RedisRole
from datingtoday.infra.redis_suitability import RedisUnsuitable, ServerFacts
from datingtoday.infra.tracing import TracedRedisRole
from tests.plugins.polling import wait_until
from tests.plugins.redis_server import RedisServer


class Hangup:
    """A server that takes every connection and ends it."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.connections = 0
        self._thread = threading.Thread(target=self._take, daemon=True)
        self._thread.start()

    @property
    def uri(self) -> str:
        return f"redis://127.0.0.1:{self.listener.getsockname()[1]}/0"

    def wait_for(self, attempts: int) -> None:
        wait_until(lambda: self.connections >= attempts, "the attempt")

    def _take(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            connection.close()


@pytest.fixture
def server() -> Iterator[Hangup]:
    made = Hangup()
    yield made
    made.listener.shutdown(socket.SHUT_RDWR)
    made.listener.close()


def test_connections_never_run_out(private_redis: Callable[..., RedisServer]) -> None:
    """A server that was away, or ends connections, costs connections for as long as the process lives."""
    server = private_redis()
    role = RedisRole(server.uri, timeout_s=5)
    with server.client() as other:
        for _ in range(300):
            assert role.execute("PING") == b"PONG"
            role._idle.pop().disconnect()
        assert len(other.client_list()) <= 3
    role.close()


def test_one_attempt_and_then_a_pause(server: Hangup, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr(redis_module, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    role = RedisRole(server.uri, timeout_s=5, pause_s=0.5)
    for now, attempts in ((100.0, 1), (100.25, 1), (100.49, 1), (100.5, 2), (100.75, 2)):
        clock[0] = now
        with pytest.raises(RedisDown):
            role.execute("PING")
        server.wait_for(attempts)
        assert server.connections == attempts
        with pytest.raises(RedisDown, match="a moment ago"):
            role.refuse_while_down()
    role.close()


def test_a_fork_while_another_thread_connects_leaves_the_child_no_lock(
    private_redis: Callable[..., RedisServer],
) -> None:
    role = RedisRole(private_redis().uri, timeout_s=5)
    assert role.execute("PING") == b"PONG"
    parents = role._idle[0]
    client = role.client
    assert role._making.acquire(blocking=False)
    redis_module._after_fork(role)
    assert role._idle == []
    assert role.execute("PING") == b"PONG"
    assert role.client is not client
    assert parents.is_connected, "the parent's"
    parents.disconnect()
    redis_module._after_fork(None)
    role.close()


def test_a_span_names_eight_commands_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    spans: list[Any] = []
    tracing: Any = SimpleNamespace(child=lambda *given: spans.append(given))
    monkeypatch.setattr(RedisRole, "round_trip", lambda _, commands: len(commands))
    role = TracedRedisRole(tracing, "redis://127.0.0.1:1/0", timeout_s=1)
    role.round_trip([("GET", "secret")])
    role.round_trip([("GET", "a"), ("GET", "b")])
    role.round_trip([(f"C{number}", "x") for number in range(9)])
    found = [(name, attributes.get("db.operation.batch.size")) for name, attributes in spans]
    assert found == [("GET", None), ("GET", "2"), (" ".join(f"C{number}" for number in range(8)), "9")]
    assert all(attributes["db.operation.name"] == name for name, attributes in spans)


def test_a_connection_that_may_not_say_which_server_it_is_stays_for_what_needs_no_answer() -> None:
    role, sent = RedisRole("redis://127.0.0.1:1/0"), list[Any]()
    connection = SimpleNamespace(
        server_facts=ServerFacts(None, "NOPERM"),
        send_packed_command=sent.append,
        read_response=lambda **_: b"PONG",
    )
    role._idle.append(connection)
    for command in (("ECHO", RUN_ID), WHICH_SERVER):
        with pytest.raises(RedisUnsuitable, match="INFO"):
            role.execute(*command)
        assert (role._idle, sent) == ([connection], [])
        role._down_until = 0.0
    assert role.execute("PING") == b"PONG"
    assert (role._idle, len(sent)) == ([connection], 1)
