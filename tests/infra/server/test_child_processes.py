"""Processes beside the workers: how each begins, is started again, and is ended."""

from __future__ import annotations

import ctypes
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from datingtoday.infra.server import child_processes
from datingtoday.infra.server.child_processes import ChildProcess, ChildProcesses

pytestmark = pytest.mark.long
# Forks of a process that has run thousands of tests take seconds each: `make test` runs these in a process of their own
# (`test_children_in_a_fresh_process`).

Made = Callable[..., ChildProcesses]


class Clock:
    """Time that passes when the test says so.

    :attr obedient: ends during the next sleep.
    """

    def __init__(self) -> None:
        self.now = 1_000.0
        self.obedient: ChildProcess | None = None

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        if self.obedient is not None and self.obedient.pid is not None:
            kill(self.obedient.pid)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(child_processes, "time", made)
    return made


@pytest.fixture
def made(clock: Clock) -> Iterator[Made]:
    children: list[ChildProcess] = []

    def make(*those: ChildProcess, in_child: Callable[[], Any] = lambda: None) -> ChildProcesses:
        children.extend(those)
        return ChildProcesses(those, in_child=in_child)

    yield make
    for child in children:
        if child.pid is not None:
            os.kill(child.pid, signal.SIGKILL)
            os.waitpid(child.pid, 0)


def end_of(pid: int) -> None:
    """Waits for the end of a child, which stays for its parent to be noted."""
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    end_of(pid)


def started(child: ChildProcess) -> int:
    assert child.pid is not None
    return child.pid


def hang() -> None:
    while True:
        signal.pause()


def leave(code: Any) -> None:
    raise SystemExit(code)


def fail() -> None:
    raise ValueError("it broke")


@pytest.mark.parametrize(
    ("run", "status"),
    [
        (lambda: None, 0),
        (lambda: leave(0), 0),
        (lambda: leave(3), 3),
        (lambda: leave("a text"), 1),
        (lambda: leave(None), 1),
        (fail, 1),
    ],
)
def test_a_child_ends_with_its_status_and_never_returns(made: Made, run: Any, status: int) -> None:
    child = ChildProcess("dt-ends", run)
    made(child).tend()
    _, found = os.waitpid(started(child), 0)
    child.pid = None
    assert os.waitstatus_to_exitcode(found) == status


def test_a_child_has_its_own_name_and_signals_and_dies_with_its_parent(made: Made) -> None:
    reading, writing = os.pipe()
    called: list[str] = []

    def tell() -> None:
        handlers = [signal.getsignal(it) for it in (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD)]
        with_parent = ctypes.c_int()
        ctypes.CDLL(None).prctl(2, ctypes.byref(with_parent), 0, 0, 0)
        name = Path("/proc/self/comm").read_text(encoding="ascii").strip()
        names = [signal.Handlers(it).name for it in handlers if isinstance(it, int)]
        os.write(writing, " ".join([name, *called, *names, str(with_parent.value)]).encode())

    before = {it: signal.signal(it, lambda *_: None) for it in (signal.SIGTERM, signal.SIGCHLD)}
    try:
        child = ChildProcess("dt-named", tell)
        made(child, in_child=lambda: called.append("forked")).tend()
        end_of(started(child))
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    assert os.read(reading, 1_000) == b"dt-named forked SIG_IGN SIG_DFL SIG_DFL 9"
    assert called == [], "not in the parent"
    os.close(reading)
    os.close(writing)


def test_pauses_double_up_to_half_a_minute_and_begin_anew_after_a_steady_minute(
    made: Made, clock: Clock
) -> None:
    child = ChildProcess("dt-dies", lambda: None)
    processes = made(child)
    processes.tend()
    for pause_s in (1, 2, 4, 8, 16, 30, 30):
        end_of(started(child))
        clock.now += 59.5
        processes.tend()
        assert child.pid is None
        clock.now += pause_s - 0.25
        processes.tend()
        assert child.pid is None, "not before its pause is over"
        clock.now += 0.25
        processes.tend()
        assert child.pid is not None
    end_of(started(child))
    clock.now += 60
    processes.tend()
    assert child.pid is None
    clock.now += 0.5
    processes.tend()
    assert child.pid is not None


def test_one_that_runs_is_left_alone_and_one_that_another_reaped_is_started_again(
    made: Made, clock: Clock
) -> None:
    steady, reaped = ChildProcess("dt-steady", hang), ChildProcess("dt-reaped", lambda: None)
    processes = made(steady, reaped)
    processes.tend()
    pids = started(steady), started(reaped)
    os.waitpid(pids[1], 0)
    clock.now += 10
    processes.tend()
    assert (steady.pid, reaped.pid) == (pids[0], None)
    clock.now += 10
    processes.tend()
    assert steady.pid == pids[0]
    assert started(reaped) != pids[1]
    end_of(started(reaped))


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Signals that were sent; only SIGKILL arrives."""
    found: list[tuple[int, int]] = []

    def send(pid: int, number: int) -> None:
        found.append((pid, number))
        if number == signal.SIGKILL:
            os.kill(pid, number)

    monkeypatch.setattr(child_processes, "os", SimpleNamespace(**{**vars(os), "kill": send}))
    return found


def test_those_that_are_told_to_stop_are_not_started_again(
    made: Made, clock: Clock, sent: list[tuple[int, int]]
) -> None:
    child = ChildProcess("dt-obeys", hang)
    processes = made(child)
    processes.tend()
    pid = started(child)
    processes.request_stop()
    assert sent == [(pid, signal.SIGTERM)]
    kill(pid)
    clock.now += 100
    processes.tend()
    assert child.pid == pid
    began = clock.now
    processes.stop()
    assert (clock.now, len(sent)) == (began, 1), "nobody is waited for or told"
    assert processes._running() == []


def test_one_that_does_not_obey_is_killed_after_five_seconds(
    made: Made, clock: Clock, sent: list[tuple[int, int]]
) -> None:
    stubborn, obedient = ChildProcess("dt-refuses", hang), ChildProcess("dt-obeys", hang)
    processes = made(stubborn, obedient)
    processes.tend()
    pids = started(stubborn), started(obedient)
    began, clock.obedient = clock.now, obedient
    processes.stop()
    assert sent == [(pids[0], signal.SIGTERM), (pids[1], signal.SIGTERM), (pids[0], signal.SIGKILL)]
    assert 5 <= clock.now - began < 5.1
    stubborn.pid = None
    assert os.waitstatus_to_exitcode(os.waitpid(pids[0], 0)[1]) == -signal.SIGKILL


def test_a_forked_copy_of_the_parent_touches_nobody(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    child, other = ChildProcess("dt-runs", hang), ChildProcess("dt-late", hang)
    processes = made(child, other)
    processes.tend()
    pid, other_pid = started(child), started(other)
    kill(other_pid)
    with monkeypatch.context() as copy:
        copy.setattr(child_processes, "os", SimpleNamespace(**{**vars(os), "getpid": lambda: 1}))
        processes.tend()
        processes.request_stop()
        processes.stop()
    assert (child.pid, other.pid) == (pid, other_pid)
    assert os.waitpid(pid, os.WNOHANG) == (0, 0), "it runs"
    processes.tend()
    assert other.pid is None, "and the parent still looks after it"
