"""Redis that is down, frozen or refuses: HTTP 503 at once, nothing hangs, and it goes on when Redis is back."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from datingtoday.infra.redis import RedisDown, RedisRole, Script
from tests.plugins.api import Answer
from tests.plugins.polling import wait_until
from tests.plugins.redis_server import RedisServer
from tests.protocol.conftest import LabOn
from tests.protocol.lab import USER, Lab

ECHO = "/api/probe/echo"
MINE = "/api/probe/mine"
BOUND_S = 5.0
"""For one request, on a machine that does other things meanwhile; the timeout itself is SHORT_S."""
SHORT_S = 0.3
PrivateRedis = Callable[..., RedisServer]


@pytest.fixture
def lab(own_redis: RedisServer, lab_on: LabOn) -> Lab:
    lab = lab_on(own_redis.socket_uri, redis_timeout_s=SHORT_S)
    wait_until(lambda: lab.client().get(ECHO).status == 200, "the first request")
    return lab


def timed(lab: Lab) -> tuple[Answer, float]:
    began = time.monotonic()
    answer = lab.client().get(MINE, USER)
    return answer, time.monotonic() - began


def assert_unavailable(lab: Lab) -> None:
    for _ in range(3):
        answer, took_s = timed(lab)
        assert (answer.status, answer.code) == (503, 503)
        assert answer.headers["Retry-After"] == "1"
        assert took_s < BOUND_S
    # Many at once do not wait for each other: the breaker answers all but the first ones.
    began = time.monotonic()
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: timed(lab)[0], range(64)))
    assert {answer.status for answer in answers} == {503}
    assert time.monotonic() - began < 2 * BOUND_S


def assert_recovers(lab: Lab) -> None:
    def is_back() -> bool:
        answer = lab.client().get(MINE, USER)
        # After a restart the memory is not what it was: that is 1001, and no failure.
        return answer.status == 200 and answer.code in (0, 1001)

    wait_until(is_back, "the first answer", deadline_s=15)


def test_a_stopped_server(lab: Lab, own_redis: RedisServer) -> None:
    own_redis.stop()
    assert_unavailable(lab)
    own_redis.start()
    assert_recovers(lab)


def test_a_frozen_server(lab: Lab, own_redis: RedisServer) -> None:
    captured = lab.client().params("GET", ECHO, {})
    assert lab.client().send("GET", ECHO, captured).code == 0
    own_redis.pause()
    assert_unavailable(lab)
    own_redis.resume()
    wait_until(lambda: lab.client().get(ECHO).code == 0, "an accepted request", deadline_s=15)
    assert lab.client().send("GET", ECHO, captured).code == 1002


def test_a_server_that_is_not_there_at_all(lab_on: LabOn, own_redis: RedisServer) -> None:
    own_redis.stop()
    for uri in (own_redis.uri, own_redis.socket_uri):
        assert_unavailable(lab_on(uri, redis_timeout_s=SHORT_S))


@pytest.mark.parametrize("how", ["stop", "pause"])
def test_a_cluster(private_redis: PrivateRedis, lab_on: LabOn, how: str) -> None:
    cluster = private_redis("embedded", cluster=True)
    lab = lab_on(cluster.uri, redis_timeout_s=SHORT_S)
    wait_until(lambda: lab.client().get(ECHO).status == 200, "the first request")
    getattr(cluster, how)()
    assert_unavailable(lab)
    assert_unavailable(lab_on(cluster.uri, redis_timeout_s=SHORT_S))
    cluster.start() if how == "stop" else cluster.resume()
    assert_recovers(lab)


def test_a_full_server_accepts_nothing(lab: Lab, own_redis: RedisServer) -> None:
    with own_redis.client() as redis:
        redis.config_set("maxmemory", "1")
        params = lab.client().params("GET", ECHO, {})
        answer = lab.client().send("GET", ECHO, params)
        assert (answer.status, answer.code) == (503, 503)
        redis.config_set("maxmemory", "0")
    wait_until(lambda: lab.client().get(ECHO).code == 0, "an accepted request")


def test_a_replica_accepts_nothing(lab: Lab, own_redis: RedisServer, private_redis: PrivateRedis) -> None:
    master = private_redis(own_redis.engine)
    with master.client() as redis:
        redis.config_set("repl-diskless-sync-delay", "0")
    captured = lab.client().params("GET", ECHO, {})
    assert lab.client().send("GET", ECHO, captured).code == 0
    with own_redis.client() as redis:
        redis.replicaof("127.0.0.1", str(master.port))
        wait_until(
            lambda: redis.info("replication")["master_link_status"] == "up", "replication", deadline_s=30
        )
        answer = lab.client().get(ECHO)
        assert (answer.status, answer.code) == (503, 503)
        redis.replicaof("NO", "ONE")
    # What it has now is the master's memory, not its own.
    wait_until(lambda: lab.client().send("GET", ECHO, captured).status == 200, "an answer")
    assert lab.client().send("GET", ECHO, captured).code == 1001


def test_an_unsigned_route_needs_no_redis(lab: Lab, own_redis: RedisServer) -> None:
    own_redis.stop()
    assert lab.client().send("GET", "/api/probe/open").code == 0


# -- the role itself


@pytest.fixture
def role(own_redis: RedisServer) -> RedisRole:
    return RedisRole(own_redis.socket_uri, timeout_s=0.3, pause_s=0.05)


def test_an_answer_that_comes_too_late_is_nobodys(role: RedisRole, own_redis: RedisServer) -> None:
    role.round_trip([("SET", "a", "1"), ("SET", "b", "2")])
    own_redis.pause()
    with pytest.raises(RedisDown):
        role.execute("GET", "a")
    own_redis.resume()

    def answers() -> list[bytes] | None:
        try:
            return role.round_trip([("GET", "b"), ("GET", "a")])
        except RedisDown:
            return None

    assert wait_until(answers, "an answer") == [b"2", b"1"]


def test_a_refused_command_leaves_no_answer_behind(role: RedisRole) -> None:
    for _ in range(3):
        with pytest.raises(Exception, match="WRONGTYPE"):
            role.round_trip([("SET", "a", "1"), ("LPUSH", "a", "2"), ("GET", "a")])
        assert role.execute("GET", "a") == b"1"


def test_a_script_is_known_again_after_a_restart(role: RedisRole, own_redis: RedisServer) -> None:
    script = Script("return {ARGV[1], 7}")
    assert role.run_script(script, ["k"], "x") == [b"x", 7]
    own_redis.flush()
    assert role.round_trip_with_scripts([("PING",), (script, ["k"], ["y"])]) == [b"PONG", [b"y", 7]]


def test_idle_connections_of_a_server_that_has_gone_cost_no_request(
    role: RedisRole, own_redis: RedisServer
) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: role.execute("PING"), range(64)))
    own_redis.restart()
    assert role.execute("PING") == b"PONG"
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(lambda _: role.execute("PING"), range(64))) == {b"PONG"}


def test_idle_connections_of_a_server_that_hangs_cost_one_wait(own_redis: RedisServer) -> None:
    role = RedisRole(own_redis.socket_uri, timeout_s=2.0, pause_s=0.05)
    with ThreadPoolExecutor(8) as pool:
        # Each waits on a connection of its own.
        list(pool.map(lambda number: role.execute("BLPOP", f"nothing{number}", 0.3), range(8)))
    own_redis.pause()
    began = time.monotonic()
    with pytest.raises(RedisDown):
        role.execute("PING")
    # Eight connections wait, and one of them is waited for.
    assert 1.9 < time.monotonic() - began < 8


def test_while_it_is_known_to_be_down_nobody_tries(own_redis: RedisServer) -> None:
    role = RedisRole(own_redis.socket_uri, timeout_s=0.3, pause_s=60)
    role.execute("PING")
    own_redis.stop()
    with pytest.raises(RedisDown):
        role.execute("PING")
    own_redis.start()
    with pytest.raises(RedisDown, match="a moment ago"):
        role.execute("PING")
