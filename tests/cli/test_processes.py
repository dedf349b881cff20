"""`datingtoday push` and `datingtoday worker` in this process, up to the point where they begin to work."""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from datingtoday.cli.main import run
from datingtoday.infra import logs
from datingtoday.infra.config.settings import load_settings
from datingtoday.protocol import metrics
from tests.plugins.schema import bring_up

Capture = pytest.CaptureFixture[str]
Given = Callable[..., None]


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Calls with which a process would have begun."""
    found: list[Any] = []

    def run_push(parts: Any, listeners: list[socket.socket], on_ready: Callable[[], None]) -> None:
        on_ready()
        for listener in listeners:
            found.append(("push", *listener.getsockname()))
            listener.close()
        parts.base.close()

    def run_worker(parts: Any) -> None:
        found.append(("worker", parts.base.settings.redis.uri))
        parts.base.close()

    monkeypatch.setattr("datingtoday.push.server.run_push", run_push)
    monkeypatch.setattr("datingtoday.worker.run_until_told", run_worker)
    monkeypatch.setattr(
        logs, "configure_logs", lambda level, reporter: found.append(("logs", level, reporter))
    )
    monkeypatch.setattr(metrics, "count_across_processes", lambda folder: found.append(("count", folder)))
    return found


@pytest.fixture
def given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Given:
    """Sets the environment: ``SECTION_KEY=value``."""

    def give(**values: Any) -> None:
        for name, value in {"DATA": tmp_path, "CONFIG": "/dev/null", **values}.items():
            monkeypatch.setenv(f"DATINGTODAY_{name}", str(value))

    monkeypatch.setenv("LC_ALL", "C")
    give()
    return give


@pytest.fixture
def own(given: Given, tmp_path: Path) -> str:
    """Settings of your own servers, of which Redis is not there; the address of the database."""
    uri = f"sqlite:///{tmp_path}/own.sqlite3"
    bring_up(uri)
    secrets = {"APP_APPKEY": "OWNKEY12", "APP_APPSECRET": "an-own-secret-1", "SECURITY_SECRET_KEY": "ab" * 32}
    given(DATABASE_URI=uri, REDIS_URI="redis://127.0.0.1:1/0", SMS_ALLOW_CONSOLE="1", **secrets)
    return uri


@pytest.fixture
def port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        number: int = free.getsockname()[1]
    return number


@pytest.mark.usefixtures("own")
class TestPush:
    def test_it_serves_where_it_was_told_to(
        self, calls: list[Any], given: Given, port: int, tmp_path: Path, capsys: Capture
    ) -> None:
        given(LOG_LEVEL="warning")
        assert run(["push", "--host", "127.0.0.1", "--port", str(port)]) == 0
        assert calls == [
            ("count", tmp_path / "metrics"),
            ("logs", "warning", None),
            ("push", "127.0.0.1", port),
        ]
        assert capsys.readouterr().out == f"push: listening on 127.0.0.1:{port}\n"

    def test_options_left_out_are_those_of_the_settings(
        self, calls: list[Any], given: Given, port: int
    ) -> None:
        given(PUSH_PORT=port, METRICS_ENABLED="0")
        assert run(["push"]) == 0
        assert calls == [("logs", "info", None), ("push", "127.0.0.1", port)]

    def test_a_taken_port(self, calls: list[Any], capsys: Capture) -> None:
        with closing(socket.create_server(("127.0.0.1", 0))) as taken:
            number = taken.getsockname()[1]
            assert run(["push", "--port", str(number)]) == 1
        assert capsys.readouterr().err == (
            f"datingtoday: cannot listen on 127.0.0.1:{number}: Address already in use; "
            "choose another --host or --port\n"
        )
        assert calls == []

    @pytest.mark.parametrize(
        ("values", "code", "said"),
        [
            ({"REDIS_URI": ""}, 1, "needs [DATABASE] uri and [REDIS] uri"),
            ({"DATABASE_URI": ""}, 1, "needs [DATABASE] uri and [REDIS] uri"),
            ({"APP_APPKEY": "432ABZ"}, 2, "[APP] appkey"),
        ],
    )
    def test_what_it_needs(
        self,
        calls: list[Any],
        monkeypatch: pytest.MonkeyPatch,
        given: Given,
        capsys: Capture,
        values: dict[str, str],
        code: int,
        said: str,
    ) -> None:
        for name, value in values.items():
            if value:
                given(**{name: value})
            else:
                monkeypatch.delenv(f"DATINGTODAY_{name}")
        assert run(["push"]) == code
        assert said in capsys.readouterr().err
        assert calls == []


class TestWorker:
    def test_it_works_on_servers_of_your_own(
        self, own: str, calls: list[Any], tmp_path: Path, capsys: Capture
    ) -> None:
        assert run(["worker"]) == 0
        assert calls == [
            ("logs", "info", None),
            ("count", tmp_path / "metrics"),
            ("worker", "redis://127.0.0.1:1/0"),
        ]
        assert capsys.readouterr().err == "datingtoday: worker: Ctrl-C stops it.\n"

    @pytest.mark.parametrize("running", [None, "unix:///data/redis/redis.sock"])
    def test_beside_the_embedded_default_it_uses_the_redis_that_runs(
        self,
        calls: list[Any],
        given: Given,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        running: str | None,
    ) -> None:
        load_settings("/dev/null", tmp_path, {}, create_secrets=True)
        bring_up(load_settings("/dev/null", tmp_path, {}).database.uri)
        monkeypatch.setattr("datingtoday.infra.server.embedded_redis.running_redis_uri", lambda _: running)
        given(METRICS_ENABLED="0")
        assert run(["worker"]) == 0
        assert calls == [("logs", "info", None), ("worker", running or "unix:///nonexistent")]

    @pytest.mark.usefixtures("given")
    def test_without_a_database_there_is_nothing_to_do(self, calls: list[Any], capsys: Capture) -> None:
        assert run(["worker"]) == 1
        assert "there is no database in" in capsys.readouterr().err
        assert calls == []

    @pytest.mark.usefixtures("own")
    def test_a_library_that_is_missing(
        self, calls: list[Any], given: Given, capsys: Capture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        given(SENTRY_DSN="https://key@127.0.0.1/1")
        monkeypatch.setattr("datingtoday.infra.config.serving.find_spec", lambda _: None)
        assert run(["worker"]) == 2
        assert "[SENTRY] dsn" in capsys.readouterr().err
        assert calls == []
