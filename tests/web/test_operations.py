"""`/healthz`, `/readyz` and `/metrics`: for whom, and what they say when parts are down."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from datingtoday.app import create_app
from datingtoday.infra import migrations
from datingtoday.infra.jobs.leases import Leases
from datingtoday.infra.jobs.models import JobLease
from datingtoday.infra.jobs.status import DEAD_S, HEARTBEAT
from datingtoday.infra.realtime import PROCESSES
from tests.plugins.api import Answer, Api, RecordingSms, make_api, settings_of
from tests.plugins.backend import Backend
from tests.plugins.polling import wait_until
from tests.plugins.redis_server import RedisServer
from tests.plugins.sql_server import SqlServer

PATHS = ("/healthz", "/readyz", "/metrics")
HERE = "127.0.0.1"
FAR = "203.0.113.7"


class TestForWhom:
    @pytest.mark.parametrize("path", PATHS)
    def test_this_machine(self, api: Api, path: str) -> None:
        for address in (HERE, "127.3.2.1", "::1"):
            answer = api.send("GET", path, address=address)
            assert (answer.status, answer.headers["Cache-Control"]) == (200, "no-store")

    @pytest.mark.parametrize("path", PATHS)
    def test_nobody_else(self, api: Api, path: str) -> None:
        unknown = api.send("GET", "/nowhere", address=FAR)
        refused = [
            api.send("GET", path, address=FAR),
            api.send("GET", path, address="10.0.0.1"),
            # A proxy on this machine asks for another user, whoever that is.
            api.send("GET", path, address=HERE, headers={"X-Forwarded-For": FAR}),
            api.send("GET", path, address=HERE, headers={"X-Forwarded-For": HERE}),
            api.send("GET", path, address=HERE, headers={"Forwarded": f"for={FAR}"}),
        ]
        assert {(answer.status, answer.body) for answer in refused} == {(404, unknown.body)}

    def test_configured_addresses(self, app_of: Callable[..., Api]) -> None:
        api = app_of(SERVER_INTERNAL_ADDRESSES="10.1.0.0/16, fd00::/8", SERVER_TRUSTED_PROXIES=HERE)

        def status(address: str, **headers: str) -> int:
            return api.send("GET", "/healthz", address=address, headers=headers).status

        assert status("10.1.2.3") == 200
        assert status("fd00::5") == 200
        assert status("10.2.0.1") == 404
        forwarded = "X-Forwarded-For"
        assert status(HERE, **{forwarded: "10.1.2.3"}) == 200
        assert status(HERE, **{forwarded: FAR}) == 404
        # What a client writes there itself is not believed.
        assert status(HERE, **{forwarded: f"10.1.2.3, {FAR}"}) == 404
        assert status(FAR, **{forwarded: "10.1.2.3"}) == 404


def beat(api: Api) -> None:
    """Do what a worker does every some seconds."""
    leases = Leases(api.parts.base.database, "test", lease_ms=1000)
    leases.ensure([HEARTBEAT])
    with api.parts.base.database.transaction() as session:
        session.get_one(JobLease, HEARTBEAT).due_ms = 0
    assert leases.take(HEARTBEAT) and leases.succeed(HEARTBEAT, every_ms=1)


@contextmanager
def push_of(api: Api) -> Iterator[None]:
    """Receive what push processes receive."""
    with api.parts.base.queue_redis.client.pubsub() as heard:
        heard.subscribe(PROCESSES)
        wait_until(lambda: api.parts.base.realtime.processes() > 0, "the subscription")
        yield


def readiness(answer: Answer) -> dict[str, Any]:
    """Data of ``/readyz`` without the latencies, of which each part has one."""
    data = dict(answer.json["data"])
    latencies = data.pop("latency_ms")
    assert set(latencies) == set(data) - {"status"}
    assert all(0 <= value < 5000 for value in latencies.values()), latencies
    return data


class TestReadiness:
    def test_everything_is_up(self, api: Api) -> None:
        beat(api)
        with push_of(api):
            assert readiness(api.send("GET", "/readyz", address=HERE)) == {
                "database": "up",
                "schema": "up",
                "redis": "up",
                "cache": "up",
                "queues": "up",
                "worker": "up",
                "push": "up",
                "status": "ready",
            }

    def test_without_push_requests_are_answered(self, app_of: Callable[..., Api]) -> None:
        api = app_of()
        beat(api)
        answer = api.send("GET", "/readyz", address=HERE).data
        assert (answer["push"], answer["status"]) == ("down", "degraded")

    def test_without_a_worker_requests_are_answered(self, app_of: Callable[..., Api]) -> None:
        api = app_of()
        degraded = {
            "database": "up",
            "schema": "up",
            "redis": "up",
            "cache": "up",
            "queues": "up",
            "worker": "down",
            "push": "down",
            "status": "degraded",
        }
        assert readiness(api.send("GET", "/readyz", address=HERE)) == degraded
        beat(api)
        assert api.send("GET", "/readyz", address=HERE).data["worker"] == "up"
        with api.parts.base.database.transaction() as session:
            session.get_one(JobLease, HEARTBEAT).finished_ms -= int(DEAD_S * 1000)
        assert readiness(api.send("GET", "/readyz", address=HERE)) == degraded

    @pytest.mark.parametrize("how", ["stopped", "frozen"])
    def test_redis_is_down(
        self, backend: Backend, private_redis: Callable[..., RedisServer], tmp_path: Path, how: str
    ) -> None:
        redis = private_redis()
        api = make_api(backend, tmp_path, REDIS_URI=redis.socket_uri, REDIS_TIMEOUT_S=0.3)
        assert api.send("GET", "/readyz", address=HERE).status == 200
        if how == "stopped":
            redis.stop()
        else:
            redis.pause()
        began = time.monotonic()
        answer = api.send("GET", "/readyz", address=HERE)
        assert time.monotonic() - began < 6
        assert (answer.status, answer.code) == (503, 503)
        assert readiness(answer) == {
            "database": "up",
            "schema": "up",
            "redis": "down",
            "cache": "up",
            "queues": "up",
            "worker": "down",
            "push": "down",
        }
        assert answer.headers["Retry-After"] == "1"
        assert api.send("GET", "/healthz", address=HERE).status == 200

    def test_redis_comes_back(
        self, backend: Backend, private_redis: Callable[..., RedisServer], tmp_path: Path
    ) -> None:
        redis = private_redis()
        api = make_api(backend, tmp_path, REDIS_URI=redis.socket_uri)
        redis.stop()
        assert api.send("GET", "/readyz", address=HERE).status == 503
        redis.start()
        wait_until(lambda: api.send("GET", "/readyz", address=HERE).status == 200, "Redis to be seen again")

    @pytest.mark.parametrize("backend", ["real"], indirect=True)
    @pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGSTOP])
    def test_the_database_is_down(
        self,
        backend: Backend,
        private_sql_server: Callable[[], SqlServer],
        tmp_path: Path,
        sign: signal.Signals,
    ) -> None:
        server = private_sql_server()
        api = make_api(backend, tmp_path, DATABASE_URI=server.create_database())
        assert api.send("GET", "/readyz", address=HERE).status == 200
        if sign is signal.SIGSTOP:
            server.pause()
        else:
            server.kill()
        began = time.monotonic()
        answer = api.send("GET", "/readyz", address=HERE)
        assert time.monotonic() - began < 8
        assert answer.status == 503
        assert readiness(answer) == {
            "database": "down",
            "schema": "down",
            "redis": "up",
            "cache": "up",
            "queues": "up",
            "worker": "down",
            "push": "down",
        }

    def test_a_schema_of_another_revision(self, backend: Backend, tmp_path: Path) -> None:
        sms = RecordingSms()
        api = Api(create_app(settings_of(backend, tmp_path), sms=sms), sms)

        def told() -> tuple[int, str, str]:
            answer = api.send("GET", "/readyz", address=HERE)
            return answer.status, answer.json["data"]["database"], answer.json["data"]["schema"]

        assert told() == (503, "up", "down")
        migrations.upgrade(backend.database_uri)
        assert told() == (200, "up", "up")
        for revision in ("0001", "9999"):
            with api.parts.base.database.transaction() as session:
                session.execute(text("UPDATE alembic_version SET version_num = :at"), {"at": revision})
            assert told() == (503, "up", "down")

    @pytest.mark.parametrize(("revision", "status"), [("0001", 503), ("9999", 200)])
    def test_a_newer_schema_is_ready_where_the_settings_say_so(
        self, backend: Backend, tmp_path: Path, revision: str, status: int
    ) -> None:
        sms = RecordingSms()
        api = Api(create_app(settings_of(backend, tmp_path, DATABASE_NEWER_SCHEMA="1"), sms=sms), sms)
        migrations.upgrade(backend.database_uri)
        with api.parts.base.database.transaction() as session:
            session.execute(text("UPDATE alembic_version SET version_num = :at"), {"at": revision})
        assert api.send("GET", "/readyz", address=HERE).status == status

    def test_a_cache_that_is_down_degrades(
        self, backend: Backend, private_redis: Callable[..., RedisServer], tmp_path: Path
    ) -> None:
        cache = private_redis()
        api = make_api(backend, tmp_path, REDIS_CACHE_URI=cache.socket_uri)
        assert readiness(api.send("GET", "/readyz", address=HERE))["cache"] == "up"
        cache.stop()
        answer = api.send("GET", "/readyz", address=HERE)
        found = readiness(answer)
        assert (answer.status, found["cache"], found["redis"], found["status"]) == (
            200,
            "down",
            "up",
            "degraded",
        )

    @pytest.mark.parametrize("backend", ["embedded"], indirect=True)
    def test_a_cluster(
        self, backend: Backend, private_redis: Callable[..., RedisServer], tmp_path: Path
    ) -> None:
        uri = private_redis(cluster=True).uri
        api = make_api(backend, tmp_path, REDIS_URI=uri, REDIS_CACHE_URI=uri, REDIS_QUEUE_URI=uri)
        answer = api.send("GET", "/readyz", address=HERE)
        found = readiness(answer)
        assert (answer.status, found["redis"], found["cache"], found["queues"]) == (200, "up", "up", "up")
