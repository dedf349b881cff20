"""Loss of the replay memory: Redis comes back empty, with an older state, or as another server."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from datingtoday.protocol.signing.models import ReplayBucket
from tests.plugins.api import Answer, Api
from tests.plugins.redis_server import RedisServer
from tests.protocol.conftest import LabOn
from tests.protocol.lab import USER, Lab

ECHO = "/api/probe/echo"
PrivateRedis = Callable[..., RedisServer]


def send(client: Api, params: dict[str, str]) -> Answer:
    return client.send("GET", ECHO, params)


def accepted(client: Api) -> dict[str, str]:
    """A request that was accepted just now."""
    params = client.params("GET", ECHO, {}, user=USER)
    assert send(client, params).code == 0
    return params


def assert_lost(lab: Lab, client: Api, captured: dict[str, str], *, ahead_s: int = 5) -> None:
    """Captured and fresh requests are refused for a moment; fresh ones after it are accepted, captured ones never."""
    lab.clock.stop()
    answer = send(client, captured)
    assert (answer.status, answer.code) == (200, 1001)
    data = answer.json["data"]
    assert data["server_time"] == lab.clock.ms
    assert 0 < data["retry_after_ms"] <= ahead_s * 1000 + 1
    assert send(client, client.params("GET", ECHO, {})).code == 1001
    lab.clock.advance(data["retry_after_ms"] / 1000 - 0.002)
    assert send(client, client.params("GET", ECHO, {})).code == 1001
    lab.clock.advance(0.002)
    assert send(client, captured).code == 1001
    accepted(client)
    late = send(client, captured)
    assert (late.code, late.json["data"]["retry_after_ms"]) == (1001, 1), "a new one is accepted at once"


def assert_not_lost(lab: Lab, client: Api, captured: dict[str, str]) -> None:
    assert send(client, captured).code == 1002
    accepted(client)


@pytest.fixture
def lab(own_redis: RedisServer, lab_on: LabOn) -> Lab:
    return lab_on(own_redis.socket_uri, redis_timeout_s=10)


def test_a_flush_is_noticed(lab: Lab, own_redis: RedisServer) -> None:
    client = lab.client()
    captured = accepted(client)
    assert_not_lost(lab, client, captured)
    own_redis.flush()
    assert_lost(lab, client, captured)
    own_redis.flush()
    assert_lost(lab, client, captured)


def test_the_periods_are_exact(lab: Lab, own_redis: RedisServer) -> None:
    """To the millisecond: the wait after a loss, and how long an accepted request is remembered."""
    client = lab.client()
    lab.clock.stop()
    accepted(client)
    with own_redis.client() as redis:
        lives_ms = [redis.pttl(key) for key in redis.keys("*:[sn]:*")]
    # A minute back and five seconds ahead, ten seconds for clocks that differ; some milliseconds have passed.
    assert len(lives_ms) == 2
    assert all(70_000 < life_ms <= 75_000 for life_ms in lives_ms)
    own_redis.flush()
    assert send(client, client.params("GET", ECHO, {})).json["data"]["retry_after_ms"] == 5_001
    lab.clock.advance(5)
    assert send(client, client.params("GET", ECHO, {})).code == 1001
    lab.clock.advance(0.001)
    accepted(client)


def test_every_process_notices_a_loss_once(lab: Lab, own_redis: RedisServer, lab_on: LabOn) -> None:
    other = lab_on(own_redis.socket_uri, clock=lab.clock)
    captured = accepted(lab.client())
    accepted(other.client())
    own_redis.flush()
    assert_lost(lab, lab.client(), captured)
    # The other one finds the memory put right: no second loss.
    accepted(other.client())
    assert send(other.client(), captured).code == 1001


@pytest.mark.parametrize("whole_seconds", [True, False])
def test_a_client_that_waits_as_it_is_told_is_accepted(
    lab: Lab, own_redis: RedisServer, whole_seconds: bool
) -> None:
    client = lab.client()
    accepted(client)
    lab.clock.stop(lab.clock.ms // 1000 + 0.1235)

    def fresh() -> Answer:
        now = f"{lab.clock.ms // 1000}" if whole_seconds else f"{lab.clock.ms}"
        return send(client, client.params("GET", ECHO, {}, timestamp=now))

    own_redis.flush()
    refused = fresh()
    assert refused.code == 1001
    # Five seconds and a millisecond, and on to the next whole second where the client has no others.
    assert refused.json["data"]["retry_after_ms"] == (5_877 if whole_seconds else 5_001)
    lab.clock.advance(refused.json["data"]["retry_after_ms"] / 1000)
    assert fresh().code == 0


@pytest.mark.parametrize("comes_back", ["whole", "older", "empty"])
def test_a_crash_is_a_loss_whatever_redis_comes_back_with(
    lab: Lab, own_redis: RedisServer, comes_back: str
) -> None:
    client = lab.client()
    older = accepted(client)
    backup = own_redis.back_up()
    captured = accepted(client)
    own_redis.kill()
    if comes_back == "older":
        own_redis.restore(backup)
    elif comes_back == "empty":
        own_redis.wipe()
    own_redis.start()
    assert_lost(lab, client, captured)
    assert send(client, older).code == 1001


def test_an_older_snapshot_is_a_loss(lab: Lab, own_redis: RedisServer) -> None:
    """An RDB file in place of the append-only one."""
    client = lab.client()
    accepted(client)
    with own_redis.client() as redis:
        redis.save()
    captured = accepted(client)
    own_redis.kill()
    for path in own_redis.data.glob("appendonly*"):
        for file in sorted(path.rglob("*"), reverse=True):
            file.unlink()
        path.rmdir()
    own_redis.start(appendonly="no")
    with own_redis.client() as redis:
        assert redis.dbsize() > 0
    assert_lost(lab, client, captured)


def test_a_stop_without_a_seal_is_a_loss(lab: Lab, own_redis: RedisServer) -> None:
    client = lab.client()
    captured = accepted(client)
    own_redis.restart()
    assert_lost(lab, client, captured)


def test_a_sealed_stop_is_none(lab: Lab, own_redis: RedisServer, lab_on: LabOn) -> None:
    client = lab.client()
    captured = accepted(client)
    for _ in range(2):
        lab.replay.seal()
        own_redis.restart()
        # A new process of the service, as after a real stop.
        lab = lab_on(own_redis.socket_uri, redis_timeout_s=10)
        client = lab.client()
        assert_not_lost(lab, client, captured)
    # A seal is good for one start.
    own_redis.restart()
    assert_lost(lab, client, captured)


def test_a_seal_keeps_an_earlier_loss_in_mind(lab: Lab, own_redis: RedisServer) -> None:
    client = lab.client()
    captured = accepted(client)
    own_redis.flush()
    lab.clock.stop()
    assert send(client, client.params("GET", ECHO, {})).code == 1001
    lab.replay.seal()
    own_redis.restart()
    assert send(client, captured).code == 1001
    lab.clock.advance(5.01)
    assert send(client, captured).code == 1001
    accepted(client)


@pytest.mark.parametrize("sealed_again", [True, False])
def test_an_old_backup_is_a_loss_after_a_seal_too(
    lab: Lab, own_redis: RedisServer, sealed_again: bool
) -> None:
    client = lab.client()
    accepted(client)
    lab.replay.seal()
    own_redis.stop()
    sealed = own_redis.back_up()
    own_redis.start()
    captured = accepted(client)
    if sealed_again:
        lab.replay.seal()
    own_redis.stop()
    own_redis.restore(sealed)
    own_redis.start()
    assert_lost(lab, client, captured)


def test_a_seal_in_redis_alone_or_in_sql_alone_is_none(lab: Lab, own_redis: RedisServer) -> None:
    client = lab.client()
    captured = accepted(client)
    lab.replay.seal()
    with lab.database.transaction() as session:
        session.query(ReplayBucket).update({"seal": None})
    own_redis.restart()
    assert_lost(lab, client, captured)

    captured = accepted(client)
    lab.replay.seal()
    with own_redis.client() as redis:
        for key in redis.scan_iter("guard:*:seal"):
            redis.delete(key)
    own_redis.restart()
    assert_lost(lab, client, captured)


def test_a_wider_window_than_the_memory_was_kept_for_is_a_loss(
    lab: Lab, own_redis: RedisServer, lab_on: LabOn
) -> None:
    lab.clock.stop()
    captured = accepted(lab.client())
    lab.let_time_pass(100)
    wider = lab_on(own_redis.socket_uri, clock=lab.clock, window_s=600)
    assert_lost(wider, wider.client(), captured)


def test_processes_with_a_narrower_window_remember_for_those_with_a_wider_one(
    lab: Lab, own_redis: RedisServer, lab_on: LabOn
) -> None:
    lab.clock.stop()
    wider = lab_on(own_redis.socket_uri, clock=lab.clock, window_s=600)
    accepted(wider.client())
    captured = accepted(lab.client())
    for _ in range(6):
        lab.let_time_pass(100)
        assert send(wider.client(), captured).code == 1002
    lab.let_time_pass(1)
    assert send(wider.client(), captured).code == 1001


def test_another_server_is_a_loss_and_so_is_the_way_back(
    lab: Lab, own_redis: RedisServer, private_redis: PrivateRedis, lab_on: LabOn
) -> None:
    """The first server's memory is whole, but for what the second one accepted in between."""
    lab.clock.stop()
    first = accepted(lab.client())
    second = private_redis(own_redis.engine)
    meanwhile = lab_on(second.socket_uri, clock=lab.clock)
    assert_lost(meanwhile, meanwhile.client(), first)
    captured = accepted(meanwhile.client())
    assert send(meanwhile.client(), captured).code == 1002

    back = lab_on(own_redis.socket_uri, clock=lab.clock)
    assert_lost(back, back.client(), captured)


def test_a_cluster_in_place_of_a_server_is_a_loss_and_so_is_the_way_back(
    lab: Lab, own_redis: RedisServer, private_redis: PrivateRedis, lab_on: LabOn
) -> None:
    lab.clock.stop()
    first = accepted(lab.client())
    cluster = private_redis(own_redis.engine, cluster=True)
    meanwhile = lab_on(cluster.uri, clock=lab.clock, redis_timeout_s=10)
    meanwhile.replay.prepare()
    assert_lost(meanwhile, meanwhile.client(), first)
    captured = accepted(meanwhile.client())

    back = lab_on(own_redis.socket_uri, clock=lab.clock)
    assert_lost(back, back.client(), captured)


@pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-ttl"])
def test_a_server_that_evicts_is_refused(lab: Lab, own_redis: RedisServer, policy: str) -> None:
    client = lab.client()
    with own_redis.client() as redis:
        redis.config_set("maxmemory", "100mb")
        redis.config_set("maxmemory-policy", policy)
        answer = client.get(ECHO)
        assert (answer.status, answer.code) == (503, 503)
        assert answer.headers["Retry-After"] == "1"
        redis.config_set("maxmemory-policy", "noeviction")
        accepted(client)


def test_a_policy_without_a_limit_evicts_nothing(lab: Lab, own_redis: RedisServer) -> None:
    with own_redis.client() as redis:
        redis.config_set("maxmemory-policy", "allkeys-lru")
    accepted(lab.client())


def test_what_a_restarted_process_does_not_know_yet_is_no_loss(
    lab: Lab, own_redis: RedisServer, lab_on: LabOn
) -> None:
    captured = accepted(lab.client())
    again = lab_on(own_redis.socket_uri)
    assert_not_lost(again, again.client(), captured)
