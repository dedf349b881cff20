"""The order in which `datingtoday serve` begins and ends what it needs, with stand-ins for all of it."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from datingtoday import app as app_module
from datingtoday.cli.commands import serve
from datingtoday.cli.main import run
from datingtoday.infra.config.settings import Settings
from datingtoday.infra.server import embedded_redis, gunicorn_server
from datingtoday.infra.server.data_folder import EmbeddedError
from datingtoday.protocol import metrics

BEGIN = ["signals None", "take", "listen"]
REDIS = ["signals redis", "redis start"]
END = ["children stop", "redis stop sealed", "redis stop", "release"]
Note = Callable[..., Callable[..., Any]]


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """Names of the calls, in order."""
    found: list[str] = []

    def note(what: str, answer: Any = None) -> Callable[..., Any]:
        def call(*_: Any, **__: Any) -> Any:
            found.append(what)
            return answer

        return call

    monkeypatch.setenv("LC_ALL", "C")
    monkeypatch.setenv("DATINGTODAY_DATA", str(tmp_path))
    monkeypatch.setenv("DATINGTODAY_CONFIG", "/dev/null")
    folder = SimpleNamespace(take=note("take"), release=note("release"), forget=note("forget"))
    monkeypatch.setattr(serve, "DataFolder", lambda _: folder)
    monkeypatch.setattr(serve, "_listen", note("listen", ("listener", 8_123)))
    monkeypatch.setattr(
        serve, "_end_at_once_on_signals", lambda redis: found.append(f"signals {redis and 'redis'}")
    )
    monkeypatch.setattr(embedded_redis, "EmbeddedRedis", lambda *_: redis_of(note, found))
    monkeypatch.setattr(
        serve, "_migrate", lambda _, asked, with_people: found.append(f"migrate {asked} {with_people}")
    )
    monkeypatch.setattr(metrics, "count_across_processes", lambda it: found.append(f"count {it.name}"))
    replay = SimpleNamespace(seal="seal")
    parts = SimpleNamespace(
        protocol=SimpleNamespace(replay=replay), base=SimpleNamespace(flush=note("flush"))
    )

    def create_app(settings: Settings) -> Any:
        found.append(f"app {settings.redis.uri}")
        return SimpleNamespace(extensions={app_module.PARTS: parts})

    monkeypatch.setattr(app_module, "create_app", create_app)
    monkeypatch.setattr(serve, "_seed_if_unfinished", lambda _, users: found.append(f"seed {users}"))
    monkeypatch.setattr(serve, "_prepare", note("prepare", False))
    monkeypatch.setattr(serve, "banner", lambda *given, is_app_changed: f"banner {given[2]} {is_app_changed}")
    monkeypatch.setattr(serve, "_children", note("children", []))
    monkeypatch.setattr(gunicorn_server, "HttpServer", lambda *given: server_of(note, found, *given))
    return found


def redis_of(note: Note, found: list[str]) -> Any:
    def stop(before_shutdown: Any = None) -> None:
        found.append("redis stop sealed" if before_shutdown == "seal" else "redis stop")

    return SimpleNamespace(
        uri="unix:///its.sock",
        start=note("redis start"),
        wait_until_ready=note("redis ready"),
        stop=stop,
        restart_if_dead=note("redis restart"),
    )


def server_of(
    note: Note, found: list[str], _: Any, settings: Any, listener: Any, hooks: Any, *__: Any
) -> Any:
    def serving() -> None:
        found.append(f"run {listener}")
        for hook in (hooks.on_ready, hooks.on_tick, hooks.in_child, hooks.on_worker_exit):
            hook()

    return SimpleNamespace(run=serving, children=SimpleNamespace(stop=note("children stop")))


def test_everything_in_its_order(calls: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["serve", "--seed", "40"]) == 0
    assert calls == [
        *(*BEGIN, *REDIS, "migrate False True", "count metrics", "app unix:///its.sock", "redis ready"),
        *("seed 40", "prepare", "children", "run listener", "redis restart", "forget", "flush", *END),
    ]
    assert capsys.readouterr().out == "banner 8123 False\n"


@pytest.mark.parametrize(("seed", "with_people"), [("0", False), ("1", True)])
def test_without_people_and_without_metrics(
    calls: list[str], monkeypatch: pytest.MonkeyPatch, seed: str, with_people: bool
) -> None:
    monkeypatch.setenv("DATINGTODAY_METRICS_ENABLED", "0")
    assert run(["serve", "--seed", seed, "--migrate"]) == 0
    assert f"migrate True {with_people}" in calls and "count metrics" not in calls


def test_with_a_redis_of_your_own_none_is_started_or_stopped(
    calls: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATINGTODAY_REDIS_URI", "redis://127.0.0.1:1/0")
    assert run(["serve"]) == 0
    assert calls == [
        *(*BEGIN, "migrate False False", "count metrics", "app redis://127.0.0.1:1/0", "seed 0", "prepare"),
        *("children", "run listener", "forget", "flush", "children stop", "release"),
    ]


@pytest.mark.parametrize(
    ("step", "ends"), [("_listen", ["release"]), ("_migrate", ["redis stop", "release"])]
)
def test_what_had_begun_ends_when_a_step_fails(
    calls: list[str], monkeypatch: pytest.MonkeyPatch, step: str, ends: list[str]
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        calls.append("failed")
        raise EmbeddedError("no", "不")

    monkeypatch.setattr(serve, step, fail)
    assert run(["serve"]) == 1
    assert calls[calls.index("failed") + 1 :] == ends


def test_settings_that_do_not_fit_are_told_before_anything_begins(
    calls: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with suppress(KeyError):
        monkeypatch.delitem(os.environ, "DATINGTODAY_APP_APPKEY")
    monkeypatch.setenv("DATINGTODAY_DATABASE_URI", f"sqlite:///{tmp_path}/own.sqlite3")
    assert run(["serve"]) == 2
    assert "[APP] appkey: default: is missing" in capsys.readouterr().err
    assert run(["serve", "--port", "0"]) == 2
    assert "[SERVER] port: --port" in capsys.readouterr().err
    assert calls == []
