"""Streams by a clock of the test's own: the lag, the pause of a full stream, and the rhythm of a reader."""

from __future__ import annotations

import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from datingtoday.infra import stream_reader as reader_module
from datingtoday.infra import streams as streams_module
from datingtoday.infra.db import DatabaseDown
from datingtoday.infra.redis import RedisDown
from tests.infra.test_streams import Lab
from tests.plugins.backend import Backend


@pytest.fixture
def lab(backend: Backend) -> Iterator[Lab]:
    made = Lab(backend.database_uri, backend.queue_uri).make_table()
    yield made
    made.database.dispose()


def test_the_lag_is_in_seconds_of_the_servers_clock(lab: Lab) -> None:
    now_s, _ = lab.redis.execute("TIME")
    for entry_id in (f"{int(now_s) * 1_000 - 100_000}-0", "*"):
        lab.redis.execute("XADD", lab.stream.key, entry_id, "e", b"[1]")
    state = lab.streams.states()["visits"]
    assert state.entries == 2
    assert 100 <= state.lag_s < 160


def test_a_full_stream_is_not_asked_for_a_second(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr(streams_module, "time", SimpleNamespace(monotonic=lambda: clock[0], sleep=time.sleep))
    monkeypatch.setattr(streams_module, "MAX_QUEUED", 5)
    for entries, now, queued, direct in (
        (5, 100.0, 5, 0), (1, 100.0, 6, 0), (1, 100.0, 6, 1), (1, 100.99, 6, 2), (1, 101.0, 7, 2), (1, 101.0, 7, 3),
    ):  # fmt: skip
        clock[0] = now
        lab.fill(entries)
        assert (lab.counted("queued"), lab.counted("direct")) == (queued, direct)


class Stopping:
    """Time passes while a reader waits; after so many waits it is told to stop."""

    def __init__(self, clock: list[float], most: int) -> None:
        self.clock = clock
        self.most = most
        self.waits: list[float] = []

    def is_set(self) -> bool:
        return len(self.waits) >= self.most

    def wait(self, seconds: float) -> None:
        self.waits.append(seconds)
        # Ten seconds of work beside the wait.
        self.clock[0] += 10


def test_what_dead_workers_had_is_looked_for_twice_within_their_time(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, looks, left = [100.0], list[float](), list[float]()
    monkeypatch.setattr(reader_module, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    reader = lab.reader(idle_ms=60_000)
    monkeypatch.setattr(reader, "take_over", lambda: looks.append(clock[0]))
    monkeypatch.setattr(reader, "step", lambda: 0)
    monkeypatch.setattr(reader, "leave", lambda: left.append(clock[0]))
    stopping: Any = Stopping(clock, 8)
    reader.run(stopping)
    assert looks == [100, 130, 160]
    assert stopping.waits == [0.2] * 8
    assert left == [180]


def test_a_reader_waits_only_where_there_is_nothing(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    outcomes: list[Any] = [500, 1, 0, RedisDown("away"), DatabaseDown("away"), ValueError("a fault"), 3]
    reader = lab.reader()

    def step() -> int:
        outcome = outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return int(outcome)

    monkeypatch.setattr(reader, "step", step)
    stopping: Any = Stopping([0.0], 7)
    reader.run(stopping)
    assert stopping.waits == [0, 0, 0.2, 1, 1, 1, 0]
