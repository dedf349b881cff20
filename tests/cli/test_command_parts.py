"""The parts that commands work with: opened as they are needed, closed again, and a line for each failure."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from datingtoday.cli.main import CommandFailed, run
from datingtoday.cli.parts import open_parts, reading, transaction
from datingtoday.infra import logs
from datingtoday.infra import parts as foundation
from datingtoday.infra.config.settings import load_settings
from datingtoday.infra.db import DatabaseDown
from datingtoday.infra.redis import RedisDown
from datingtoday.infra.redis_suitability import RedisUnsuitable
from datingtoday.infra.server import embedded_redis
from datingtoday.profiles.models import Label
from tests.plugins.schema import bring_up

CONFIG = Path("/dev/null")


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder with an empty database, on which no server runs."""
    folder = tmp_path / "data"
    load_settings(CONFIG, folder, {}, create_secrets=True)
    bring_up(load_settings(CONFIG, folder, {}).database.uri)
    monkeypatch.setenv("LC_ALL", "C")
    return folder


@pytest.fixture
def closed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Grows by one with each foundation that is closed."""
    found: list[str] = []
    close = foundation.Foundation.close

    def note(base: Any) -> None:
        found.append("closed")
        close(base)

    monkeypatch.setattr(foundation.Foundation, "close", note)
    return found


@pytest.mark.parametrize("running", [None, "unix:///run/its.sock"])
def test_without_a_need_for_redis_that_of_a_server_that_runs_is_used(
    data: Path, closed: list[str], monkeypatch: pytest.MonkeyPatch, running: str | None
) -> None:
    monkeypatch.setattr(embedded_redis, "running_redis_uri", lambda _: running)
    monkeypatch.setenv("DATINGTODAY_LOG_LEVEL", "error")
    levels: list[str] = []
    monkeypatch.setattr(logs, "configure_logs", levels.append)
    with open_parts(CONFIG, data, needs_redis=False) as parts:
        assert parts.base.settings.redis.uri == (running or "unix:///nonexistent")
        assert parts.base.database.answer_s == 300, "commands touch many rows at once"
        assert levels == ["error"]
        assert closed == []
    assert closed == ["closed"]


@pytest.mark.parametrize(
    ("failure", "en", "zh"),
    [
        (
            DatabaseDown("gone"),
            "the database cannot be reached; nothing was changed",
            "无法连接数据库；没有做任何修改",
        ),
        (
            RedisDown("gone"),
            "Redis cannot be reached, so running servers would not notice; nothing was changed",
            "无法连接 Redis，运行中的服务无法得知变更；没有做任何修改",
        ),
        (RedisUnsuitable("change it", "请修改"), "change it", "请修改"),
    ],
)
def test_a_server_that_is_away_is_one_line_and_nothing_is_changed(
    data: Path, closed: list[str], failure: Exception, en: str, zh: str
) -> None:
    with (
        pytest.raises(CommandFailed) as failed,
        open_parts(CONFIG, data, needs_redis=False) as parts,
        parts.base.database.transaction() as session,
    ):
        session.add(Label(name="x", gender=0, meaning=""))
        session.flush()
        raise failure
    assert failed.value.text == (en, zh)
    assert closed == ["closed"]
    with open_parts(CONFIG, data, needs_redis=False) as parts, parts.base.database.reading() as session:
        assert session.query(Label).filter_by(name="x").count() == 0


def test_a_transaction_is_committed_at_its_end_and_reading_is_none(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATINGTODAY_REDIS_URI", "unix:///nonexistent")
    with transaction(CONFIG, data) as (_, session):
        session.add(Label(name="x", gender=0, meaning=""))
    with reading(CONFIG, data) as (_, session):
        assert session.query(Label).filter_by(name="x").count() == 1


def test_a_schema_that_is_newer_is_used_where_that_is_set(
    data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with open_parts(CONFIG, data, needs_redis=False) as parts, parts.base.database.transaction() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    line = ["jobs", "--config", str(CONFIG), "--data", str(data)]
    assert run(line) == 1
    monkeypatch.setenv("DATINGTODAY_DATABASE_NEWER_SCHEMA", "1")
    assert run(line) == 0
    with open_parts(CONFIG, data, needs_redis=False) as parts, parts.base.database.transaction() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '0001'"))
    capsys.readouterr()
    assert run(line) == 1, "an older one never"
    assert "run `datingtoday db upgrade`" in capsys.readouterr().err
