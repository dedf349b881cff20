"""The entry for gunicorn, imported as gunicorn does: what it checks, in which order, and how it refuses."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from datingtoday import app
from datingtoday.infra import migrations
from datingtoday.infra.migrations import DatabaseUnreachable, MigrationError
from datingtoday.infra.server import garbage_collector, gunicorn_server
from datingtoday.protocol import metrics

ENTRY = "datingtoday.wsgi"
DATABASE = "mysql+pymysql://dt:hunter2secret@127.0.0.1:1/dt"
SETTINGS = {
    "DATABASE_URI": DATABASE,
    "DATABASE_NEWER_SCHEMA": "1",
    "REDIS_URI": "redis://127.0.0.1:1/0",
    "APP_APPKEY": "OWNKEY12",
    "APP_APPSECRET": "an-own-secret-1",
    "SECURITY_SECRET_KEY": "ab" * 32,
    "SMS_ALLOW_CONSOLE": "1",
}

Import = Callable[..., ModuleType]


class Told:
    """Calls in their order; each can be made to fail."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.failures: dict[str, Exception] = {}

    def note(self, name: str, *shown: Any) -> None:
        self.calls.append(" ".join([name, *map(str, shown)]))
        if name in self.failures:
            raise self.failures[name]


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Told:
    made = Told()
    monkeypatch.setattr(migrations, "require_utf8", lambda uri: made.note("utf8", uri))
    monkeypatch.setattr(
        migrations, "require_current", lambda uri, newer_too: made.note("schema", uri, newer_too)
    )
    monkeypatch.setattr(metrics, "count_across_processes", lambda folder: made.note("count", folder))
    monkeypatch.setattr(app, "create_app", lambda settings: made.note("app", settings.app.appkey))
    monkeypatch.setattr(garbage_collector, "settle_collector", lambda: made.note("settle"))
    monkeypatch.setattr(gunicorn_server, "answer_errors_in_json", lambda: made.note("errors"))
    return made


@pytest.fixture
def begin(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Import]:
    """Imports the entry with these settings, an empty one left out."""

    def load(**changes: str) -> ModuleType:
        for name, value in {**SETTINGS, "DATA": str(tmp_path), "CONFIG": "/dev/null", **changes}.items():
            if value:
                monkeypatch.setenv(f"DATINGTODAY_{name}", value)
        sys.modules.pop(ENTRY, None)
        return importlib.import_module(ENTRY)

    yield load
    sys.modules.pop(ENTRY, None)


def test_everything_is_checked_before_the_application_is_made(
    begin: Import, told: Told, tmp_path: Path
) -> None:
    begin()
    schema = [f"utf8 {DATABASE}", f"schema {DATABASE} True"]
    # gunicorn was imported by this very test.
    assert told.calls == [f"count {tmp_path}/metrics", *schema, "app OWNKEY12", "errors", "settle"]


def test_without_metrics_nothing_is_counted_and_without_gunicorn_nothing_is_its(
    begin: Import, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "gunicorn")
    begin(METRICS_ENABLED="0", DATABASE_NEWER_SCHEMA="0")
    assert told.calls == [f"utf8 {DATABASE}", f"schema {DATABASE} False", "app OWNKEY12", "settle"]


def test_a_database_that_is_away_may_come_back(
    begin: Import, told: Told, capsys: pytest.CaptureFixture[str]
) -> None:
    told.failures["schema"] = DatabaseUnreachable("it is away", "无法连接")
    begin()
    assert told.calls[-3:] == ["app OWNKEY12", "errors", "settle"]
    assert capsys.readouterr().err == "datingtoday: it is away\ndatingtoday: 无法连接\n"


@pytest.mark.parametrize(
    ("changes", "failures", "said"),
    [
        ({"REDIS_URI": ""}, {}, "[REDIS] uri: is missing; only `datingtoday serve` runs without it"),
        ({"DATABASE_URI": ""}, {}, "[DATABASE] uri: is missing; only `datingtoday serve` runs without it"),
        ({"APP_APPKEY": ""}, {}, "[APP] appkey: default: is missing; set a random value"),
        ({}, {"schema": MigrationError("run the upgrade", "请升级")}, "run the upgrade"),
        ({}, {"utf8": MigrationError("not utf8", "不是")}, "not utf8"),
        ({}, {"count": PermissionError(13, "Permission denied")}, "[METRICS] enabled: cannot count in "),
    ],
)
def test_what_stands_against_it_ends_gunicorn_with_a_line_in_both_languages(
    begin: Import,
    told: Told,
    capsys: pytest.CaptureFixture[str],
    changes: dict[str, str],
    failures: dict[str, Exception],
    said: str,
) -> None:
    told.failures.update(failures)
    with pytest.raises(SystemExit) as caught:
        begin(**changes)
    assert caught.value.code == 4, "gunicorn does not try again"
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2 and all(line.startswith("datingtoday: ") for line in lines)
    assert lines[0].removeprefix("datingtoday: ").startswith(said)
    assert not any(call.startswith(("app", "settle")) for call in told.calls)
