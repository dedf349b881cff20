"""The end of a gunicorn worker: a forked copy of its parent, which must not undo what the parent has built up."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from gunicorn.arbiter import Arbiter

from datingtoday.infra.server import gunicorn_server


class ProcessEnded(Exception):
    pass


@pytest.mark.parametrize(("code", "status"), [(0, 0), (3, 3), (None, 1), ("text", 1)])
@pytest.mark.parametrize("hook_fails", [False, True])
def test_a_worker_ends_at_once_after_its_hook(
    monkeypatch: pytest.MonkeyPatch, code: Any, status: int, hook_fails: bool
) -> None:
    called = []

    def hook() -> None:
        called.append("hook")
        if hook_fails:
            raise OSError

    def end(status: int) -> None:
        called.append(f"end {status}")
        raise ProcessEnded

    pids = iter([100, 101])
    spawn(monkeypatch, pids, code, hook, end, ProcessEnded)
    assert called == ["hook", f"end {status}"]


def test_the_parent_itself_unwinds(monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[Any] = []
    spawn(monkeypatch, iter([100, 100]), 4, lambda: called.append("hook"), called.append, SystemExit)
    assert called == []


def spawn(
    monkeypatch: pytest.MonkeyPatch, pids: Any, code: Any, hook: Any, end: Any, expected: type[BaseException]
) -> None:
    def leave(_: Arbiter) -> int:
        raise SystemExit(code)

    arbiter = gunicorn_server._Arbiter.__new__(gunicorn_server._Arbiter)
    arbiter.app = SimpleNamespace(hooks=SimpleNamespace(on_worker_exit=hook))  # type: ignore[assignment]
    with monkeypatch.context() as patched, pytest.raises(expected):
        patched.setattr(Arbiter, "spawn_worker", leave)
        patched.setattr(gunicorn_server, "os", SimpleNamespace(getpid=lambda: next(pids), _exit=end))
        arbiter.spawn_worker()
