"""Numbers of the gateway for Prometheus, and the probes that measure how long events take."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from datingtoday.infra.redis import RedisDown
from datingtoday.push import gateway as module
from datingtoday.push.lag import LagProbe
from tests.push.gateway_lab import Lab
from tests.push.skipping_time import run, since_begin, until


class Numbers:
    """Metrics that are on, with what they were given."""

    is_on = True

    def __init__(self) -> None:
        self.seen: list[tuple[dict[str, int], int, float]] = []

    def update(self, counts: Any, connections: int, lag_s: float) -> None:
        self.seen.append((dict(counts), connections, lag_s))


def test_numbers_are_passed_on_every_second_and_probes_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = Numbers()
    updates: list[float] = []

    class Pool:
        def __init__(self, _database: Any, part: str) -> None:
            assert part == "push"

        def update(self) -> None:
            updates.append(since_begin())

    monkeypatch.setattr(module, "PushMetrics", lambda: numbers)
    monkeypatch.setattr(module, "PoolGauge", Pool)

    async def work() -> None:
        lab = Lab()
        await lab.connect()
        await until(3.5)
        assert updates == pytest.approx([0, 1, 2, 3])
        assert numbers.seen[-1][:2] == ({"connected": 1}, 1)
        assert len(lab.of("probe")) == 1, "one at a time"
        lab.gateway.receive(b"push:processes", lab.of("probe")[0])
        lab.gateway.receive(b"push:processes", b"")
        assert lab.gateway.counts == {"connected": 1}
        await until(5.5)
        assert numbers.seen[-1][2] < 5 and len(lab.of("probe")) <= 2
        # Redis is gone: that is no lag, and the next probe comes when it is time.
        lab.workers.busy["probe"] = RedisDown("gone")
        await until(20)
        assert len(numbers.seen) == 20

    run(work())


def test_a_probe_that_redis_does_not_take_is_no_lag_and_one_that_stays_away_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    numbers = Numbers()
    monkeypatch.setattr(module, "PushMetrics", lambda: numbers)
    monkeypatch.setattr(module, "PoolGauge", lambda *_: SimpleNamespace(update=lambda: None))

    async def work() -> None:
        lab = Lab()
        lab.gateway._probe = LagProbe(asyncio.get_running_loop().time)
        await until(0.5)
        lab.gateway.receive(b"push:processes", lab.of("probe")[0])
        lab.workers.busy["probe"] = RedisDown("gone")
        await until(14.5)
        assert {round(lag_s, 3) for _, _, lag_s in numbers.seen[1:]} == {0.5}
        assert len(lab.of("probe")) == 1
        del lab.workers.busy["probe"]
        await until(19.5)
        # Published at second 15, and nobody has heard of it.
        assert [round(lag_s, 3) for _, _, lag_s in numbers.seen[-5:]] == [0.5, 1, 2, 3, 4]

    run(work())
