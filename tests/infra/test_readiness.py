"""Readiness of each part: how it is asked, how long that took, and what is down with what."""

from __future__ import annotations

import itertools
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pymysql
import pytest
from redis.exceptions import ResponseError
from sqlalchemy import create_engine, event, text

from datingtoday.infra import migrations
from datingtoday.infra import readiness as readiness_module
from datingtoday.infra.readiness import PARTS, PartState, Readiness, gauges_of
from datingtoday.infra.redis import RUN_ID, RedisDown
from tests.infra.recorded_log import RecordedLog


class Role:
    """Notes what it is asked, and answers or fails."""

    def __init__(self, failure: Exception | None = None, *, is_cluster: bool = False) -> None:
        self.is_cluster = is_cluster
        self.failure = failure
        self.asked: list[tuple[Any, ...]] = []

    def execute(self, *command: Any) -> None:
        self.asked.append(command)
        if self.failure is not None:
            raise self.failure


class Push:
    def __init__(self, processes: int | Exception) -> None:
        self._processes = processes

    def processes(self) -> int:
        if isinstance(self._processes, Exception):
            raise self._processes
        return self._processes


@pytest.fixture(autouse=True)
def log(monkeypatch: pytest.MonkeyPatch) -> RecordedLog:
    made, times = RecordedLog(), itertools.count()
    monkeypatch.setattr(readiness_module, "log", made)
    # Each look at the clock is 12.3456 ms after the one before.
    monkeypatch.setattr(
        readiness_module, "time", SimpleNamespace(perf_counter=lambda: next(times) * 0.0123456)
    )
    return made


def readiness(
    uri: str,
    guard: Role | None = None,
    cache: Role | None = None,
    queues: Role | None = None,
    push: int | Exception = 1,
) -> Readiness:
    asked: list[Any] = [guard or Role(), cache or Role(), queues or Role(), Push(push)]
    return Readiness(uri, *asked)


def states(made: Readiness) -> dict[str, str]:
    return {part: found.state for part, found in made.check().items()}


@pytest.fixture
def uri(tmp_path: Path) -> str:
    """A database at the newest revision in which no worker has left a sign."""
    made = f"sqlite:///{tmp_path}/x.sqlite3"
    engine = create_engine(made)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE alembic_version (version_num VARCHAR(32))"))
        connection.execute(text("INSERT INTO alembic_version VALUES (:at)"), {"at": migrations.head()})
        connection.execute(text("CREATE TABLE job_lease (name VARCHAR(120), finished_ms INTEGER)"))
    engine.dispose()
    return made


def test_each_part_is_asked_in_its_own_way_and_has_its_own_time(uri: str) -> None:
    guard, cache, queues = Role(), Role(), Role()
    found = readiness(uri, guard, cache, queues).check()
    assert list(found) == list(PARTS)
    assert {part for part, state in found.items() if not state.is_up} == {"worker"}
    assert {state.latency_ms for state in found.values()} == {12.35}
    assert guard.asked == [("ECHO", RUN_ID)]
    assert cache.asked == queues.asked == [("GET", "readyz")]


def test_roles_on_one_server_are_asked_once(uri: str) -> None:
    guard = Role()
    found = readiness(uri, guard, guard, guard).check()
    assert found["redis"] is found["cache"] is found["queues"]
    assert guard.asked == [("ECHO", RUN_ID)]


def test_a_cluster_is_asked_by_a_key(uri: str) -> None:
    guard = Role(is_cluster=True)
    assert states(readiness(uri, guard))["redis"] == "up"
    assert guard.asked == [("GET", "readyz")]


@pytest.mark.parametrize("failure", [RedisDown("away"), ResponseError("MOVED")])
def test_each_role_is_down_by_itself(uri: str, failure: Exception) -> None:
    assert states(readiness(uri, cache=Role(failure)))["cache"] == "down"
    found = states(readiness(uri, queues=Role(failure)))
    assert (found["redis"], found["cache"], found["queues"]) == ("up", "up", "down")
    found = states(readiness(uri, Role(RedisDown("away"))))
    assert (found["redis"], found["cache"]) == ("down", "up")


@pytest.mark.parametrize(("push", "state"), [(0, "down"), (1, "up"), (RedisDown("away"), "down")])
def test_push_is_up_with_its_first_process(uri: str, push: int | Exception, state: str) -> None:
    assert states(readiness(uri, push=push))["push"] == state


def test_without_tables_only_the_schema_is_down(tmp_path: Path, log: RecordedLog) -> None:
    found = readiness(f"sqlite:///{tmp_path}/empty.sqlite3").check()
    assert found["database"] == PartState("up", 12.35)
    assert found["schema"] == found["worker"] == PartState("down", 0.0)
    told = {"reason": "no such table: alembic_version"}
    assert log.lines == [("warning schema_unreadable", told)]


def test_of_a_database_that_is_away_only_the_database_has_a_time(tmp_path: Path) -> None:
    found = readiness(f"sqlite:///{tmp_path}/none/x.sqlite3").check()
    assert found["database"] == PartState("down", 12.35)
    assert found["schema"] == found["worker"] == PartState("down", 0.0)
    assert found["redis"].is_up


@pytest.mark.parametrize(
    ("address", "options"),
    [
        ("sqlite://", {"timeout": 1}),
        ("mysql+pymysql://x@127.0.0.1:1/x", {"connect_timeout": 1, "read_timeout": 1, "write_timeout": 1}),
    ],
)
def test_a_database_that_hangs_is_waited_for_a_second(address: str, options: dict[str, int]) -> None:
    made, asked = readiness(address), dict[str, Any]()

    def connect(_dialect: object, _record: object, _args: object, given: dict[str, Any]) -> None:
        asked.update(given)
        raise pymysql.err.OperationalError(2003, "nobody is there")

    event.listen(made._engine, "do_connect", connect)
    with pytest.MonkeyPatch.context() as patch:
        # An error of the driver, whichever this one has.
        patch.setattr(made._engine.dialect.dbapi, "Error", pymysql.err.Error)
        assert states(made)["database"] == "down"
    assert {name: asked.get(name) for name in options} == options


def test_gauges_are_in_seconds() -> None:
    up, latency = gauges_of({"redis": PartState("up", 1.5), "cache": PartState("down", 250.0)})
    assert [(it.labels["part"], it.value) for it in up.samples] == [("redis", 1), ("cache", 0)]
    assert [(it.labels["part"], it.value) for it in latency.samples] == [("redis", 0.0015), ("cache", 0.25)]
