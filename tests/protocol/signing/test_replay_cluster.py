"""The guard on Redis Cluster: every command in one slot, every node's loss noticed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from datingtoday.protocol.signing.replay import CLUSTER_BUCKETS
from tests.plugins.backend import new_folder
from tests.plugins.redis_server import RedisServer
from tests.protocol.conftest import LabOn
from tests.protocol.lab import OTHER_USER, USER, Lab

ECHO = "/api/probe/echo"
MINE = "/api/probe/mine"


pytestmark = pytest.mark.real
"""Clusters are what production has; the embedded server never is one."""


@pytest.fixture(scope="module")
def running_cluster(run_folder: Path) -> Iterator[RedisServer]:
    """A cluster takes two seconds until it finds itself healthy."""
    server = RedisServer("real", new_folder(run_folder, "cluster"), cluster=True)
    yield server.start()
    server.close()


@pytest.fixture
def cluster(running_cluster: RedisServer) -> RedisServer:
    running_cluster.flush()
    return running_cluster


@pytest.fixture
def lab(cluster: RedisServer, lab_on: LabOn) -> Lab:
    lab = lab_on(cluster.uri, redis_timeout_s=10, limit_per_user_per_minute=1000)
    lab.replay.prepare()
    return lab


def slots_in_use(server: RedisServer) -> set[int]:
    with server.client() as client:
        return {
            int(client.execute_command("CLUSTER KEYSLOT", key)) for key in client.scan_iter("guard:*:marker")
        }


def test_requests_are_accepted_once(lab: Lab, cluster: RedisServer) -> None:
    client = lab.client()
    for number in range(60):
        # The signature and the nonce are in slots of their own, most of the time in two different ones.
        params = client.params("GET", MINE, {"number": number}, user=USER)
        assert client.send("GET", MINE, params).code == 0
        assert client.send("GET", MINE, params).code == 1002
        assert lab.client().send("GET", ECHO, params).code == 1002
        same_nonce = client.params("GET", MINE, {}, user=USER, nonce=params["nonce"])
        assert client.send("GET", MINE, same_nonce).code == 1002
        other = client.params("GET", MINE, {}, user=OTHER_USER, nonce=params["nonce"])
        assert client.send("GET", MINE, other).code == 0
    assert len(slots_in_use(cluster)) == CLUSTER_BUCKETS


def test_limits_count_accepted_requests_only(cluster: RedisServer, lab_on: LabOn) -> None:
    lab = lab_on(cluster.uri, redis_timeout_s=10, limit_per_user_per_minute=2)
    lab.clock.stop(1_800_000_030)
    client = lab.client()
    captured = client.params("GET", MINE, {}, user=USER)
    assert client.send("GET", MINE, captured).code == 0
    assert {client.send("GET", MINE, captured).code for _ in range(10)} == {1002}
    assert [client.get(MINE, USER).status for _ in range(2)] == [200, 429]


def test_of_fifty_at_once_one_is_accepted(lab: Lab) -> None:
    params = lab.client().params("GET", ECHO, {}, user=USER)
    with ThreadPoolExecutor(50) as pool:
        codes = Counter(pool.map(lambda _: lab.client().send("GET", ECHO, params).code, range(50)))
    assert codes == {0: 1, 1002: 49}


@pytest.mark.parametrize("loss", ["flush", "kill"])
def test_a_loss_is_noticed_in_every_bucket(lab: Lab, cluster: RedisServer, loss: str) -> None:
    client = lab.client()
    captured = [client.params("GET", ECHO, {}) for _ in range(40)]
    for params in captured:
        assert client.send("GET", ECHO, params).code == 0
    if loss == "flush":
        cluster.flush()
    else:
        cluster.kill()
        cluster.start()
    lab.clock.stop()
    for params in captured:
        answer = client.send("GET", ECHO, params)
        assert answer.code == 1001
        assert 0 < answer.json["data"]["retry_after_ms"] <= 5001
    lab.clock.advance(10)
    assert {client.send("GET", ECHO, params).code for params in captured} == {1001}
    assert client.get(ECHO).code == 0


def test_a_server_that_evicts_is_refused(cluster: RedisServer, lab_on: LabOn) -> None:
    with cluster.client() as redis:
        redis.config_set("maxmemory", "100mb")
        redis.config_set("maxmemory-policy", "allkeys-lfu")
        client = lab_on(cluster.uri, redis_timeout_s=10).client()
        assert client.get(ECHO).status == 503
        redis.config_set("maxmemory-policy", "noeviction")
        assert client.get(ECHO).code == 0
