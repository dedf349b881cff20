"""The hooks of a reload, on an arbiter of gunicorn's that only remembers what it is told."""

from __future__ import annotations

import importlib
import logging
import os
import queue
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from datingtoday.infra.server import safe_reload

_LONG_AGO, _TIME_OF_DAY = 0.0, time.time() + 1e9


class Heartbeat:
    """A worker's file: its time is the monotonic clock once the worker has begun."""

    def __init__(self, updated: float) -> None:
        self.updated = updated
        self.is_closed = False

    def last_update(self) -> float:
        return self.updated

    def close(self) -> None:
        self.is_closed = True


class Worker:
    """A process that waits, in place of a worker."""

    def __init__(self, age: int, *, has_begun: bool, ends: bool = False) -> None:
        self.age = age
        self.tmp = Heartbeat(_LONG_AGO if has_begun else _TIME_OF_DAY)
        words = [sys.executable, "-I", "-S", "-c", "raise SystemExit(3)" if ends else "input()"]
        self.process = subprocess.Popen(words, stdin=subprocess.PIPE)
        self.pid = self.process.pid

    def end(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        try:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        except (ProcessLookupError, ChildProcessError):
            pass  # ended by the reload
        self.process.returncode = 0


class Arbiter:
    """As gunicorn's `Arbiter.reload` uses it."""

    def __init__(self) -> None:
        self.WORKERS: dict[int, Worker] = {}
        self.SIG_QUEUE: queue.SimpleQueue[int] = queue.SimpleQueue()
        self.worker_age = 0
        self.log = logging.getLogger("test_safe_reload")
        self.managed = 0
        self.all: list[Worker] = []

    def manage_workers(self) -> None:
        self.managed += 1

    def spawn(self, **how: bool) -> Worker:
        self.worker_age += 1
        worker = Worker(self.worker_age, **how)
        self.WORKERS[worker.pid] = worker
        self.all.append(worker)
        return worker


@pytest.fixture
def arbiter() -> Iterator[Arbiter]:
    made = Arbiter()
    made.spawn(has_begun=True)
    yield made
    for worker in made.all:
        worker.end()


def test_old_workers_end_once_all_new_ones_have_begun(arbiter: Arbiter) -> None:
    safe_reload.on_reload(arbiter)
    new = [arbiter.spawn(has_begun=True), arbiter.spawn(has_begun=True)]
    arbiter.manage_workers()
    assert arbiter.managed == 1
    assert all(worker.pid in arbiter.WORKERS for worker in new)
    arbiter.manage_workers()
    assert arbiter.managed == 2, "only one step of gunicorn's is replaced"


def test_a_new_worker_that_ends_leaves_the_old_ones(
    arbiter: Arbiter, caplog: pytest.LogCaptureFixture
) -> None:
    [old] = arbiter.all
    safe_reload.on_reload(arbiter)
    new = [arbiter.spawn(has_begun=False, ends=True), arbiter.spawn(has_begun=False)]
    last_age = arbiter.worker_age
    arbiter.manage_workers()
    assert arbiter.managed == 0
    assert list(arbiter.WORKERS.values()) == [old]
    assert all(worker.tmp.is_closed for worker in new)
    assert old.age > last_age, "gunicorn does not wait for its end"
    assert "Reload failed: the old workers go on." in caplog.text
    assert f"A new worker (pid:{new[0].pid}) ended with status {3 << 8}." in caplog.text
    with pytest.raises(ChildProcessError):
        os.waitpid(new[1].pid, os.WNOHANG)
    arbiter.manage_workers()
    assert arbiter.managed == 1


def test_new_workers_that_hang_are_given_up(
    arbiter: Arbiter, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(safe_reload, "READY_WITHIN_S", 0.2)
    [old] = arbiter.all
    safe_reload.on_reload(arbiter)
    new = [arbiter.spawn(has_begun=True), arbiter.spawn(has_begun=False)]
    arbiter.manage_workers()
    assert (arbiter.managed, list(arbiter.WORKERS.values())) == (0, [old])
    assert "The new workers were not ready within 0.2 s." in caplog.text
    for worker in new:
        assert worker.tmp.is_closed
        with pytest.raises(ChildProcessError):
            os.waitpid(worker.pid, os.WNOHANG)


def test_a_stop_does_not_wait_for_the_reload(arbiter: Arbiter) -> None:
    safe_reload.on_reload(arbiter)
    arbiter.spawn(has_begun=False)
    for number in (signal.SIGCHLD, signal.SIGTERM):
        arbiter.SIG_QUEUE.put_nowait(number)
    begun = time.monotonic()
    arbiter.manage_workers()
    assert time.monotonic() - begun < safe_reload.READY_WITHIN_S / 2
    assert [arbiter.SIG_QUEUE.get_nowait() for _ in range(2)] == [signal.SIGCHLD, signal.SIGTERM]


def test_a_new_worker_forgets_the_program_of_its_parent(monkeypatch: pytest.MonkeyPatch) -> None:
    modules = {"datingtoday": 1, "datingtoday.infra": 2, "datingtodays": 3, "gunicorn": 4}
    monkeypatch.setattr(sys, "modules", modules)
    looked: list[str] = []
    monkeypatch.setattr(importlib, "invalidate_caches", lambda: looked.append("again"))
    safe_reload.post_fork(None, None)
    assert looked == ["again"], "files of the new release are found"
    assert modules == {"datingtodays": 3, "gunicorn": 4}
