"""Gauges of a process's database connections."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

from datingtoday.infra.db import Database
from datingtoday.infra.metric_declarations import process_registry
from datingtoday.infra.pool_metrics import PoolGauge


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    made = Database(f"sqlite:///{tmp_path}/x.sqlite3", pool_size=3)
    yield made
    made.dispose()


def sampled() -> tuple[float | None, float | None, float | None]:
    """Connections used, idle, and at most."""
    value = process_registry().get_sample_value
    name = "datingtoday_database_connections"
    used, idle = (value(name, {"process": "worker", "state": state}) for state in ("used", "idle"))
    return used, idle, value(f"{name}_max", {"process": "worker"})


def test_each_state_is_counted(database: Database) -> None:
    gauge = PoolGauge(database, "worker")
    gauge.update()
    assert sampled() == (0, 0, 6)
    with database.engine.connect(), database.engine.connect():
        database.engine.connect().close()
        gauge.update()
        assert sampled() == (2, 1, 6)
    gauge.update()
    assert sampled() == (0, 3, 6)


def test_a_pool_that_counts_nothing_is_not_sampled(database: Database, tmp_path: Path) -> None:
    PoolGauge(database, "worker").update()
    database.engine = create_engine(f"sqlite:///{tmp_path}/x.sqlite3", poolclass=NullPool)
    with database.engine.connect():
        PoolGauge(database, "worker").update()
    assert sampled() == (0, 0, 6)
