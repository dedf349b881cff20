"""Commands that SQL alone can answer start no Redis, and those that need one say so where there is none."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import click
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from datingtoday.cli.commands.app import Duration
from datingtoday.cli.doctor.servers import raw_engine, reason_of
from datingtoday.cli.main import run, speaks_chinese
from datingtoday.cli.terminal import say_json
from datingtoday.infra.config.settings import load_settings
from datingtoday.infra.redis import RedisDown
from datingtoday.infra.server import embedded_redis
from tests.cli.doctor.conftest import load
from tests.plugins.schema import bring_up

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder with an empty database; nobody can start a Redis."""
    folder = tmp_path / "data"
    load_settings(None, folder, {}, create_secrets=True)
    bring_up(load_settings(None, folder, {}).database.uri)

    def refuse(_: Any) -> None:
        raise RedisDown("told not to start")

    monkeypatch.setattr(embedded_redis, "with_redis", refuse)
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    monkeypatch.chdir(tmp_path)
    return folder


@pytest.mark.parametrize("command", ["jobs", "purge", "media purge", "pay reconcile"])
def test_no_redis_is_started(command: str, data: Path) -> None:
    assert run([*command.split(), "--data", str(data)]) == 0


def test_the_sandbox_needs_none(data: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    monkeypatch.setenv("DATINGTODAY_PAY_SANDBOX", "1")
    assert run(["pay", "sandbox", "--trade-no", "T1", "--data", str(data)]) == 1
    assert "the sandbox knows no payment T1" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["label list", "product list", "moderation list", "media moderate list"])
def test_others_need_one(command: str, data: Path) -> None:
    with pytest.raises(RedisDown):
        run(["--debug", *command.split(), "--data", str(data)])


@pytest.mark.parametrize(
    ("revision", "code", "said"),
    [
        (None, 1, "there is no database in"),
        ("0001", 1, "the database is not up to date: run `datingtoday db upgrade`"),
        ("9999", 1, "newer"),
    ],
)
def test_another_schema(data: Path, capsys: Capture, revision: str | None, code: int, said: str) -> None:
    engine = raw_engine(load_settings(None, data, {}))
    assert engine is not None
    with engine.begin() as connection:
        if revision is None:
            connection.execute(text("DROP TABLE alembic_version"))
        else:
            connection.execute(text("UPDATE alembic_version SET version_num = :number"), {"number": revision})
    engine.dispose()
    assert run(["jobs", "--data", str(data)]) == code
    assert said in capsys.readouterr().err


def test_the_doctors_own_errors_hide_what_was_asked(data: Path, tmp_path: Path) -> None:
    engine = raw_engine(load_settings(None, data, {}))
    assert engine is not None
    with engine.connect() as connection, pytest.raises(DBAPIError) as failed:
        connection.execute(text("SELECT phone FROM nowhere WHERE phone = :phone"), {"phone": "13912345678"})
    engine.dispose()
    assert "13912345678" not in str(failed.value)
    assert reason_of(failed.value) == "no such table: nowhere"
    mysql = raw_engine(
        load(tmp_path / "other", DATABASE_URI="mysql+pymysql://a:b@127.0.0.1/d?charset=utf8mb4")
    )
    assert mysql is not None and mysql.hide_parameters
    assert raw_engine(load_settings(None, tmp_path / "nothing", {})) is None


@pytest.mark.parametrize(
    ("environ", "chinese"),
    [
        ({}, False),
        ({"LANG": "zh_CN.UTF-8"}, True),
        ({"LANG": "ZH_tw"}, True),
        ({"LC_ALL": "", "LC_MESSAGES": "zh_CN", "LANG": "C"}, True),
        ({"LC_ALL": "C", "LANG": "zh_CN"}, False),
        ({"LC_MESSAGES": "en_US", "LANG": "zh_CN"}, False),
    ],
)
def test_the_language_of_the_terminal(
    environ: dict[str, str], chinese: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    assert speaks_chinese() is chinese


def test_json_is_printed_for_people_too(capsys: Capture) -> None:
    say_json({"name": "小红"})
    assert capsys.readouterr().out == '{\n  "name": "小红"\n}\n'


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        ("1s", 1),
        ("1m", 60),
        ("2h", 7_200),
        ("366d", 31_622_400),
        ("367d", None),
        ("1.5h", None),
        ("00", None),
    ],
)
def test_durations(text: str, seconds: int | None) -> None:
    if seconds is None:
        with pytest.raises(click.BadParameter, match="up to 366d"):
            Duration().convert(text, None, None)
    else:
        assert Duration().convert(text, None, None) == timedelta(seconds=seconds)
