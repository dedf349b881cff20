"""Conversations with a Redis server: what is sent and answered, what refusals mean, and which connection is used."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from redis.exceptions import BusyLoadingError, ReadOnlyError, ResponseError
from redis.exceptions import ConnectionError as RedisConnectionError

from datingtoday.infra.redis import RUN_ID, WHICH_SERVER, RedisDown, RedisRole, Script
from datingtoday.infra.redis_suitability import RedisUnsuitable
from tests.plugins.backend import Backend

pytestmark = pytest.mark.parametrize("backend", ["embedded"], indirect=True)


@pytest.fixture
def role(backend: Backend) -> Iterator[RedisRole]:
    made = RedisRole(backend.redis_uri, timeout_s=5, pause_s=60)
    yield made
    made.close()


def nobody() -> RedisRole:
    return RedisRole("redis://127.0.0.1:1/0", timeout_s=1, pause_s=60)


class TestConversation:
    def test_the_first_refusal_is_told_and_all_answers_are_read(self, role: RedisRole) -> None:
        role.execute("SET", "k", "v")
        (connection,) = role._idle
        with pytest.raises(ResponseError, match="not an integer"):
            role.round_trip([("GET", "k"), ("INCR", "k"), ("LPUSH", "k", "x"), ("GET", "k")])
        assert role.round_trip([("GET", "k"), ("STRLEN", "k")]) == [b"v", 1]
        assert role._idle == [connection]

    def test_the_servers_process_is_told_in_its_place(self, role: RedisRole) -> None:
        run_id = role.client.info("server")["run_id"].encode()
        asked: list[Any] = [("PING",), WHICH_SERVER, ("ECHO", RUN_ID), ("ECHO", "x")]
        assert role.round_trip(asked) == [b"PONG", run_id, run_id, b"x"]

    def test_scripts_are_loaded_where_they_are_not_known(self, role: RedisRole) -> None:
        script = Script("return {KEYS[1], ARGV[1], ARGV[2]}")
        for _ in range(2):
            assert role.run_script(script, ["k"], "a", 7) == [b"k", b"a", b"7"]
            assert role.client.script_exists(script.digest) == [True]
        role.client.script_flush()
        calls: list[Any] = [("SET", "k", "v"), (script, ["k"], ("b", 8)), ("GET", "k")]
        assert role.round_trip_with_scripts(calls) == [b"OK", [b"k", b"b", b"8"], b"v"]
        assert role.client.script_load(script.source) == script.digest

    def test_how_it_connects(self, role: RedisRole) -> None:
        role.execute("PING")
        (connection,) = role._idle
        assert connection._sock.gettimeout() is None, "the operating system keeps the time"
        options = role.client.connection_pool.connection_kwargs
        assert (options["socket_timeout"], options["socket_connect_timeout"]) == (5, 5)
        assert options["protocol"] == 2
        assert options["retry"].get_retries() == 0


class TestConnections:
    def talks(self, role: RedisRole, monkeypatch: pytest.MonkeyPatch, error: Exception) -> list[Any]:
        """Connections that were tried, of which only a new one is good."""
        tried: list[Any] = []

        def talk(connection: Any, _: Any) -> list[Any]:
            tried.append(connection)
            if connection == "new":
                return ["answer"]
            raise error

        monkeypatch.setattr(role, "_talk", talk)
        monkeypatch.setattr(role, "_new_connection", lambda: "new")
        role._idle[:] = ["older", "newer"]
        return tried

    def test_idle_ones_that_ended_are_passed_over(
        self, backend: Backend, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        role = nobody()
        tried = self.talks(role, monkeypatch, RedisConnectionError("closed"))
        assert role.execute("PING") == "answer"
        assert tried == ["newer", "older", "new"]

    def test_a_server_that_hangs_is_waited_for_once(
        self, backend: Backend, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        role, error = nobody(), RedisConnectionError("timed out")
        error.__context__ = BlockingIOError()
        tried = self.talks(role, monkeypatch, error)
        with pytest.raises(RedisDown, match=r"^redis: ConnectionError$"):
            role.execute("PING")
        assert (tried, role._idle) == (["newer"], ["older"])
        role._idle.clear()

    def test_one_that_was_left_in_the_middle_is_closed(
        self, role: RedisRole, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        role.execute("PING")
        (connection,) = role._idle

        def stop(**_: Any) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(connection, "read_response", stop)
            role.execute("ECHO", "of another")
        assert (role._idle, connection.is_connected) == ([], False)
        assert role.execute("ECHO", "mine") == b"mine"


class TestRefusals:
    def refused(self, monkeypatch: pytest.MonkeyPatch, error: Exception) -> RedisRole:
        role = nobody()

        def refuse(_: Any) -> None:
            raise error

        monkeypatch.setattr(role, "_on_server", refuse)
        return role

    @pytest.mark.parametrize(
        ("error", "word"),
        [
            *((ResponseError(f"{word} in other words"), word) for word in
              ("BUSY", "CLUSTERDOWN", "LOADING", "MASTERDOWN", "MISCONF", "NOREPLICAS", "OOM", "READONLY",
               "TRYAGAIN")),
            (ResponseError("OOM"), "OOM"),
            (ReadOnlyError("in other words", status_code="READONLY"), "READONLY"),
        ],
    )  # fmt: skip
    def test_a_server_that_cannot_serve_now_is_down(
        self, backend: Backend, monkeypatch: pytest.MonkeyPatch, error: Exception, word: str
    ) -> None:
        role = self.refused(monkeypatch, error)
        with pytest.raises(RedisDown, match=rf"^redis: {word}$"):
            role.execute("PING")
        with pytest.raises(RedisDown, match=r"^redis was down a moment ago$"):
            role.execute("PING")

    def test_one_that_loads_is_down_whatever_the_library_makes_of_it(
        self, backend: Backend, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        role = self.refused(monkeypatch, BusyLoadingError("Redis is loading"))
        with pytest.raises(RedisDown, match=r"^redis: BusyLoadingError$"):
            role.execute("PING")

    def test_a_wrong_command_is_a_fault_and_the_server_is_up(
        self, backend: Backend, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        role = self.refused(monkeypatch, ResponseError("WRONGTYPE LOADING"))
        with pytest.raises(ResponseError, match="WRONGTYPE"):
            role.execute("PING")
        role.refuse_while_down()

    def test_a_user_that_may_not_is_told_and_the_server_is_up(
        self, backend: Backend, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        role = self.refused(monkeypatch, ResponseError("NOPERM no permissions to run the 'get' command"))
        with pytest.raises(RedisUnsuitable, match=r"\+get"):
            role.execute("PING")
        role.refuse_while_down()

    def test_a_server_that_is_not_there(self, backend: Backend) -> None:
        for uri, label in (
            ("redis://127.0.0.1:1/0", "redis"),
            ("redis+cluster://127.0.0.1:1", "redis cluster"),
        ):
            role = RedisRole(uri, timeout_s=1, pause_s=60)
            with pytest.raises(RedisDown, match=rf"^{label}: \w+$"):
                role.execute("PING")
            with pytest.raises(RedisDown, match=rf"^{label} was down a moment ago$"):
                role.execute("PING")
