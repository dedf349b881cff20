"""Redis as operators and providers harden it: users without dangerous commands, forbidden commands, old versions."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from redis import ResponseError

from datingtoday.infra.redis import RUN_ID, RedisRole
from datingtoday.infra.redis_suitability import RedisUnsuitable, unsuitable
from tests.cli.running_server import RunningServer
from tests.plugins.api import Api
from tests.plugins.backend import Backend
from tests.plugins.redis_server import RedisServer

PrivateRedis = Callable[..., RedisServer]
HARDENED = ("on", ">pw", "~*", "&*", "+@all", "-@dangerous")
ENGINES = [pytest.param("embedded"), pytest.param("real", marks=pytest.mark.real)]


def user(server: RedisServer, *rules: str) -> str:
    """The URI of a user with these rules."""
    with server.client() as client:
        client.execute_command("ACL", "SETUSER", "app", "reset", *rules)
        client.execute_command("ACL", "LOG", "RESET")
    return server.uri.replace("://", "://app:pw@")


def test_a_user_without_dangerous_commands_but_info_is_enough(
    private_redis: PrivateRedis, backend: Backend, app_of: Callable[..., Api]
) -> None:
    server = private_redis("embedded" if backend.database_uri.startswith("sqlite") else "real")
    uri = user(server, *HARDENED, "+info")
    api = app_of(REDIS_URI=uri, REDIS_CACHE_URI=uri, REDIS_QUEUE_URI=uri)
    me, other = (api.new_user(latlng="23.1,113.2") for _ in range(2))
    for method, path, own in (
        ("GET", "/api/label/list", {}),
        ("GET", "/api/user/hot/list", {}),
        ("GET", "/api/user/nearby/list", {"latlng": "23.1,113.2"}),
        ("GET", "/api/user/search", {"gender": 1}),
        ("POST", "/api/user/follow", {"peerId": other.user_id}),
        ("GET", "/api/user/show", {"peerId": other.user_id}),
        ("POST", "/api/user/update", {"height": 180}),
        ("POST", "/api/auth/logout", {}),
    ):
        assert api.send(method, path, api.params(method, path, own, user=me)).code == 0, path
    api.parts.base.close()
    with server.client() as client:
        assert client.execute_command("ACL", "LOG") == []


@pytest.mark.parametrize("engine", ENGINES)
def test_a_user_without_info_is_told_the_command(private_redis: PrivateRedis, engine: str) -> None:
    server = private_redis(engine)
    role = RedisRole(user(server, *HARDENED), timeout_s=5)
    # What needs no INFO works: a cache may live there.
    assert role.execute("SET", "a", "1") == b"OK"
    for _ in range(2):
        with pytest.raises(RedisUnsuitable, match=r"INFO.* ACL SETUSER <user> \+info") as refused:
            role.execute("ECHO", RUN_ID)
    assert "防重放" in refused.value.zh
    user(server, *HARDENED, "+info")
    role.close()
    assert role.execute("ECHO", RUN_ID)


@pytest.mark.parametrize(
    ("rules", "command", "missing"),
    [
        (("-xadd",), ("XADD", "s", "*", "a", "b"), "+xadd"),
        (("-evalsha", "-eval"), ("EVAL", "return 1", 0), "+eval"),
        (("resetkeys",), ("GET", "a"), "'~*'"),
        (("resetchannels",), ("PUBLISH", "a", "b"), "'&*'"),
    ],
)
def test_whatever_else_is_not_allowed_is_named(
    private_redis: PrivateRedis, rules: tuple[str, ...], command: tuple[str, ...], missing: str
) -> None:
    server = private_redis("embedded")
    role = RedisRole(user(server, *HARDENED, "+info", *rules), timeout_s=5)
    with pytest.raises(RedisUnsuitable) as refused:
        role.execute(*command)
    assert f"ACL SETUSER <user> {missing}" in refused.value.en


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("this user has no permissions to run the 'info' command", "the replay guard needs the command INFO"),
        (
            "ERR The user executing the script can't run this command or subcommand",
            "the replay guard needs the",
        ),
        ("this user has no permissions to run the 'xadd' command", "ACL SETUSER <user> +xadd"),
        ("this user has no permissions to run the 'client|id' command", "ACL SETUSER <user> +client|id"),
        ("this user has no permissions to access the 'x' channel", "ACL SETUSER <user> '&*'"),
        (
            "this user has no permissions to access one of the keys used as arguments",
            "ACL SETUSER <user> '~*'",
        ),
    ],
)
def test_each_refusal_names_what_lets_it(said: str, told: str) -> None:
    assert told in unsuitable(ResponseError(said)).en


@pytest.mark.parametrize("rules", [HARDENED, (*HARDENED, "+info")])
def test_a_cluster_is_told_apart_as_well(private_redis: PrivateRedis, rules: tuple[str, ...]) -> None:
    from datingtoday.protocol.signing.replay import _ADMIT

    server = private_redis("embedded", cluster=True)
    # Clients of a cluster ask for its layout.
    role = RedisRole(user(server, *rules, "+cluster"), timeout_s=10)
    server_marker = ("guard:{0}:marker", "guard:{0}:a")
    role.execute("SET", server_marker[0], "x|0|65000")
    arguments = (RUN_ID, 65000, 1, 1, 5000, 75000)
    if "+info" in rules:
        assert role.run_script(_ADMIT, server_marker, *arguments) == [-1]
    else:
        with pytest.raises(RedisUnsuitable, match=r"\+info"):
            role.run_script(_ADMIT, server_marker, *arguments)


class FakeRedis:
    """A server of another version: answers what the test says, and ``+OK`` to everything else."""

    def __init__(self) -> None:
        self.answers: dict[str, bytes] = {}
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.uri = f"redis://127.0.0.1:{self._listener.getsockname()[1]}/0"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rwb") as stream:
            while head := stream.readline():
                words = []
                for _ in range(int(head[1:])):
                    size = int(stream.readline()[1:])
                    words.append(stream.read(size + 2)[:-2])
                stream.write(self.answers.get(words[0].decode().upper(), b"+OK\r\n"))
                stream.flush()


@pytest.fixture
def fake_redis() -> Iterator[FakeRedis]:
    server = FakeRedis()
    yield server
    server.close()


def test_a_provider_that_forbids_info(fake_redis: FakeRedis) -> None:
    fake_redis.answers = {"INFO": b"-ERR unknown command 'INFO', with args beginning with: 'server'\r\n"}
    role = RedisRole(fake_redis.uri, timeout_s=5)
    with pytest.raises(RedisUnsuitable, match="a service that allows INFO"):
        role.execute("ECHO", RUN_ID)


def bulk(text: str) -> bytes:
    return f"${len(text)}\r\n{text}\r\n".encode()


OLD = {
    "6.2.14": {"INFO": bulk("# Server\r\nredis_version:6.2.14\r\nrun_id:abc\r\n")},
    "5.0.7": {"INFO": bulk("# Server\r\nredis_version:5.0.7\r\nrun_id:abc\r\n")},
    "6.0.16": {
        "INFO": b"-NOPERM this user has no permissions to run the 'info' command or its subcommand\r\n",
        "HELLO": b"*4\r\n" + bulk("server") + bulk("redis") + bulk("version") + bulk("6.0.16"),
    },
    "5 or older": {
        "INFO": b"-ERR unknown command 'INFO'\r\n",
        "HELLO": b"-ERR unknown command `HELLO`, with args beginning with: \r\n",
    },
}


@pytest.mark.parametrize("version", OLD)
def test_an_old_server_is_refused_by_its_version(fake_redis: FakeRedis, version: str) -> None:
    fake_redis.answers = OLD[version]
    role = RedisRole(fake_redis.uri, timeout_s=5)
    for _ in range(2):
        with pytest.raises(RedisUnsuitable, match=f"this is Redis {version}; Redis 7 or Valkey 8 is needed"):
            role.execute("GET", "a")


def test_the_start_says_what_to_do(private_redis: PrivateRedis, tmp_path: Path) -> None:
    server = private_redis("embedded")
    running = RunningServer(tmp_path / "data", REDIS_URI=user(server, *HARDENED))
    assert running.process.wait(timeout=60) == 1
    assert "ACL SETUSER <user> +info" in running.printed
    running.end()
