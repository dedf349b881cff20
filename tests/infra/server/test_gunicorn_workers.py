"""The end of a worker, and the log of gunicorn where nobody has set up another."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from gunicorn.arbiter import Arbiter
from gunicorn.config import Config

from datingtoday.infra.config.settings import load_settings
from datingtoday.infra.server import gunicorn_server
from datingtoday.infra.server.gunicorn_log import JsonLog
from datingtoday.infra.server.gunicorn_server import HttpServer

PARENT, CHILD = 100, 101


class Left(Exception):
    """The process has ended, with this status."""


class TestEnd:
    @pytest.fixture
    def arbiter(self) -> Any:
        made: Any = gunicorn_server._Arbiter.__new__(gunicorn_server._Arbiter)
        made.calls = []
        made.app = SimpleNamespace(
            hooks=SimpleNamespace(on_worker_exit=lambda: made.calls.append("exit hook"))
        )
        return made

    @staticmethod
    def spawn(
        arbiter: Any, monkeypatch: pytest.MonkeyPatch, ends: BaseException | None, pids: list[int]
    ) -> int:
        """Spawn a worker; each look at the number of the process takes the next of these."""

        def spawn_worker(_: Arbiter) -> int:
            if ends is not None:
                raise ends
            return CHILD

        def leave(code: int) -> None:
            raise Left(code)

        system = SimpleNamespace(**{**vars(os), "getpid": lambda: pids.pop(0), "_exit": leave})
        monkeypatch.setattr(gunicorn_server, "os", system)
        monkeypatch.setattr(Arbiter, "spawn_worker", spawn_worker)
        flushed = SimpleNamespace(flush=lambda: arbiter.calls.append("flush"), write=lambda _: None)
        with monkeypatch.context() as streams:
            streams.setattr(sys, "stdout", flushed)
            streams.setattr(sys, "stderr", flushed)
            found: int = arbiter.spawn_worker()
        return found

    def test_the_parent_goes_on_with_its_number(self, arbiter: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        assert self.spawn(arbiter, monkeypatch, None, [PARENT]) == CHILD
        assert arbiter.calls == []

    def test_the_parents_own_end_is_left_to_gunicorn(
        self, arbiter: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with pytest.raises(SystemExit):
            self.spawn(arbiter, monkeypatch, SystemExit(3), [PARENT, PARENT])
        assert arbiter.calls == []

    @pytest.mark.parametrize(("code", "status"), [(0, 0), (3, 3), ("a text", 1), (None, 1)])
    def test_a_worker_that_is_done_unwinds_nothing(
        self, arbiter: Any, monkeypatch: pytest.MonkeyPatch, code: Any, status: int
    ) -> None:
        with pytest.raises(Left) as left:
            self.spawn(arbiter, monkeypatch, SystemExit(code), [PARENT, CHILD])
        assert left.value.args == (status,)
        assert arbiter.calls == ["exit hook", "flush", "flush"]

    def test_a_hook_that_fails_keeps_none_from_ending(
        self, arbiter: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail() -> None:
            raise ValueError("no Redis")

        arbiter.app.hooks.on_worker_exit = fail
        with pytest.raises(Left):
            self.spawn(arbiter, monkeypatch, SystemExit(0), [PARENT, CHILD])
        assert arbiter.calls[-2:] == ["flush", "flush"]


def test_its_times(tmp_path: Path) -> None:
    listener: Any = SimpleNamespace(detach=lambda: 99)
    hooks: Any = SimpleNamespace()
    environ = {"DATINGTODAY_SERVER_TRUSTED_PROXIES": "127.0.0.1, 10.0.0.0/8"}
    cfg = HttpServer(lambda *_: [], load_settings("/dev/null", tmp_path, environ), listener, hooks).cfg
    assert (cfg.timeout, cfg.graceful_timeout, cfg.keepalive) == (60, 15, 5)
    assert cfg.settings["bind"].value == ["fd://99"]
    assert cfg.settings["forwarded_allow_ips"].value == ["127.0.0.1", "10.0.0.0/8"]
    assert cfg.settings["control_socket_disable"].value is True


class TestLog:
    @staticmethod
    @contextmanager
    def root() -> Iterator[logging.Logger]:
        """The root logger without the handlers that are there."""
        root, error_log = logging.getLogger(), logging.getLogger("gunicorn.error")
        before = list(root.handlers), list(error_log.handlers), list(error_log.filters), error_log.propagate
        root.handlers[:] = []
        try:
            yield root
        finally:
            root.handlers[:], error_log.handlers[:], error_log.filters[:], error_log.propagate = before

    def test_the_first_process_writes_lines_as_all_others_do(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with self.root() as root:
            log = JsonLog(Config())
            assert len(root.handlers) == 1
            log.error("坏了 %s", 7)
            try:
                raise ValueError("its own text")
            except ValueError:
                log.exception("failed")
        first, second = capsys.readouterr().err.splitlines()
        assert '"event": "坏了 7"' in first, "people read it"
        line = json.loads(first)
        at = datetime.fromisoformat(line.pop("timestamp"))
        assert line == {"event": "坏了 7", "logger": "gunicorn.error", "level": "error"}
        assert abs((datetime.now(UTC) - at).total_seconds()) < 60
        assert "ValueError: its own text" in json.loads(second)["exception"]

    def test_where_there_are_handlers_none_is_added(self) -> None:
        own = logging.NullHandler()
        with self.root() as root:
            root.addHandler(own)
            JsonLog(Config())
            assert root.handlers == [own]
