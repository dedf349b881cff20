"""Findings about clocks and about the numbers that Redis tells of itself, at the edges of what is in order."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import redis

from datingtoday.cli.doctor.clock_checks import difference
from datingtoday.cli.doctor.findings import Context
from datingtoday.infra.text import Text
from tests.cli.doctor.conftest import examined, fix_of, load, states
from tests.plugins.redis_server import RedisServer

Told = Callable[..., Any]
MIB = 2**20


@pytest.mark.parametrize(
    ("offset_s", "state"),
    [
        (0, "ok"),
        (2.0, "ok"),
        (-2.0, "ok"),
        (2.01, "warning"),
        (5.0, "warning"),
        (5.01, "error"),
        (-2.01, "warning"),
        (-60.0, "warning"),
        (-60.01, "error"),
    ],
)
def test_a_clock_that_differs(tmp_path: Path, offset_s: float, state: str) -> None:
    """A request's time may be five seconds ahead and a minute behind."""
    found = difference(Context(load(tmp_path)), "clock.x", Text("x", "x"), offset_s)
    assert found.state == state and f"{offset_s:+.2f} s" in found.message.en


class TestRedis:
    @pytest.fixture
    def told(
        self, private_redis: Callable[..., RedisServer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> Told:
        """Findings about servers of which `INFO` says this."""
        server = private_redis()
        uris = {
            name: f"redis://127.0.0.1:{server.port}/{number}"
            for number, name in enumerate(("REDIS_URI", "REDIS_CACHE_URI", "REDIS_QUEUE_URI"))
        }
        settings, info = load(tmp_path, **uris), redis.Redis.info

        def examine(**values: Any) -> Any:
            def saying(client: Any, *section: str) -> Any:
                return {**info(client, *section), **values}

            monkeypatch.setattr(redis.Redis, "info", saying)
            return examined(settings, "redis")

        return examine

    @pytest.mark.parametrize(
        ("used", "policy", "guard", "cache"),
        [
            (79, "noeviction", "ok", "ok"),
            (80, "noeviction", "warning", "warning"),
            (94, "noeviction", "warning", "warning"),
            (95, "noeviction", "error", "error"),
            (99, "allkeys-lru", "error", "ok"),
        ],
    )
    def test_memory_fills(self, told: Told, used: int, policy: str, guard: str, cache: str) -> None:
        for values in (
            {"maxmemory": 100 * MIB},
            {"maxmemory": 0, "total_system_memory": 100 * MIB},
        ):
            found = told(used_memory=used * MIB, maxmemory_policy=policy, **values)
            of_memory = {name: states(found)[f"redis.{name}.memory"] for name in ("guard", "queues", "cache")}
            assert of_memory == {"guard": guard, "queues": guard, "cache": cache}
            shown = found["redis.guard.memory"][0].message.en
            assert shown == f"{used} MiB of 100 MiB used ({used}%)"
            if guard != "ok" and values["maxmemory"]:
                assert f"CONFIG SET maxmemory {200 * MIB} " in fix_of(found, "redis.guard.memory")
            elif guard != "ok":
                assert "more memory" in fix_of(found, "redis.guard.memory")

    def test_a_server_that_does_not_tell_its_memory(self, told: Told) -> None:
        found = told(used_memory=5 * MIB, maxmemory=0, total_system_memory=0)
        assert found["redis.guard.memory"][0].message.en == "5 MiB used"

    @pytest.mark.parametrize(
        ("limit", "policy", "guard", "cache"),
        [
            (0, "noeviction", "ok", "ok"),
            (0, "allkeys-lru", "ok", "ok"),
            (1, "noeviction", "ok", "warning"),
            (1, "allkeys-lru", "error", "ok"),
        ],
    )
    def test_eviction(self, told: Told, limit: int, policy: str, guard: str, cache: str) -> None:
        found = told(maxmemory=limit * 1000 * MIB, maxmemory_policy=policy)
        names = ("guard", "queues", "cache")
        assert {name: states(found)[f"redis.{name}.eviction"] for name in names} == {
            "guard": guard,
            "queues": guard,
            "cache": cache,
        }

    @pytest.mark.parametrize(
        ("values", "guard"),
        [
            ({"aof_enabled": 1}, "ok"),
            ({"aof_enabled": 0}, "warning"),
            ({"aof_enabled": 1, "aof_last_write_status": "err"}, "error"),
            ({"aof_enabled": 1, "rdb_last_bgsave_status": "err"}, "error"),
        ],
    )
    def test_persistence(self, told: Told, values: dict[str, Any], guard: str) -> None:
        found = told(**values)
        names = ("guard", "queues", "cache")
        assert {name: states(found)[f"redis.{name}.persistence"] for name in names} == {
            "guard": guard,
            "queues": guard,
            "cache": "ok",
        }

    def test_a_replica_takes_no_writes(self, told: Told) -> None:
        assert "redis.guard.replica" not in told()
        assert states(told(role="slave"))["redis.guard.replica"] == "error"
