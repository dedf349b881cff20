"""Items that requests leave in memory: sent in batches, in order, by a thread that nobody waits for; never too many."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from datingtoday.infra import batches
from datingtoday.infra.batches import Batches
from datingtoday.infra.realtime import PushEvent, Realtime
from datingtoday.infra.redis import RedisRole
from tests.plugins.polling import wait_until

NEVER_S = 3_600.0
"""The thread would send after the end of the test."""


class Sent:
    """Batches that were sent; each may be made to fail."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.failures = 0

    def __call__(self, batch: Sequence[int]) -> None:
        if self.failures:
            self.failures -= 1
            raise OSError("away")
        self.batches.append(list(batch))


Make = Callable[..., Batches[int]]


@pytest.fixture
def sent() -> Sent:
    return Sent()


@pytest.fixture
def make(sent: Sent) -> Make:
    def made(delay_s: float = NEVER_S, **options: Any) -> Batches[int]:
        limits: dict[str, Any] = {"max_items": 100, "max_at_once": 3, **options}
        return Batches("test sender", sent, delay_s=delay_s, **limits)

    return made


def threads() -> int:
    return sum(thread.name == "test sender" for thread in threading.enumerate())


def test_batches_in_order(make: Make, sent: Sent) -> None:
    sender = make()
    assert all(sender.add(number) for number in range(7))
    sender.flush()
    assert sent.batches == [[0, 1, 2], [3, 4, 5], [6]]
    sender.flush()
    assert len(sent.batches) == 3, "each once"


def test_the_thread_ends_when_nobody_holds_the_batches(make: Make, sent: Sent) -> None:
    """A test, or a command, that makes an application leaves nothing of it."""
    before = threads()
    sender = make(delay_s=0)
    sender.add(1)
    wait_until(lambda: sent.batches == [[1]], "the batch")
    assert threads() == before + 1
    del sender
    wait_until(lambda: gc.collect() >= 0 and threads() == before, "the end of the thread")


def test_one_too_many_is_refused_until_there_is_room(make: Make, sent: Sent) -> None:
    sender = make(max_items=2)
    assert [sender.add(number) for number in range(3)] == [True, True, False]
    sender.flush()
    assert sender.add(3)
    sender.flush()
    assert sent.batches == [[0, 1], [3]]


def test_a_thread_sends_again_and_again_and_survives_a_failure(make: Make, sent: Sent) -> None:
    before = threads()
    sender = make(delay_s=0.001)
    assert threads() == before, "none before there is something to send"
    sender.add(1)
    wait_until(lambda: sent.batches == [[1]], "the first")
    sent.failures = 1
    sender.add(2)
    wait_until(lambda: not sent.failures, "the failure")
    sender.add(3)
    wait_until(lambda: sent.batches[-1] == [3], "the next")
    assert threads() == before + 1
    assert all(thread.daemon for thread in threading.enumerate() if thread.name == "test sender")


def test_items_are_collected_for_a_while_and_then_the_thread_waits_for_others(
    make: Make, sent: Sent, monkeypatch: pytest.MonkeyPatch
) -> None:
    sleeps: list[float] = []
    may_go_on = threading.Event()

    def sleep(seconds: float) -> None:
        sleeps.append(seconds)
        may_go_on.wait(60)

    monkeypatch.setattr(batches, "time", SimpleNamespace(sleep=sleep))
    sender = make(delay_s=0.25)
    sender.add(1)
    wait_until(lambda: sleeps == [0.25], "the thread to collect")
    sender.add(2)
    assert sent.batches == []
    may_go_on.set()
    wait_until(lambda: sent.batches == [[1, 2]], "the batch")
    sender.add(3)
    wait_until(lambda: sent.batches == [[1, 2], [3]], "the next")
    assert sleeps == [0.25, 0.25], "in between it slept for nothing"


def test_a_forked_child_sends_only_its_own(make: Make, sent: Sent) -> None:
    sender = make()
    sender.add(1)
    pid = os.fork()
    if pid == 0:
        sender.add(2)
        sender.flush()
        os._exit(0 if (sent.batches, threads()) == ([[2]], 1) else 1)
    assert os.waitpid(pid, 0)[1] == 0
    sender.flush()
    assert sent.batches == [[1]]


def test_a_process_that_ends_sends_first(make: Make, sent: Sent) -> None:
    sender = make()
    sender.add(1)
    batches._at_exit(sender)
    # It may be gone by then, and so may what a fork has left.
    batches._at_exit(None)
    batches._after_fork(None)
    assert sent.batches == [[1]]


def test_events_are_published_five_hundred_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    realtime, published = Realtime(RedisRole("redis://127.0.0.1:1/0")), list[int]()

    def publish(events: Sequence[PushEvent]) -> list[int]:
        published.append(len(events))
        return []

    sender: Any = realtime._unsent
    monkeypatch.setattr(realtime, "publish", publish)
    sender._delay_s = NEVER_S
    for number in range(1_100):
        sender.add(PushEvent(number, "x"))
    sender.flush()
    assert published == [500, 500, 100]


def in_child(run: Callable[[], bool]) -> bool:
    """Result of a function in a forked child."""
    pid = os.fork()
    if pid == 0:
        code = 2
        try:
            code = 0 if run() else 1
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def running(name: str) -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == name]


def test_one_thread_counts_them_all() -> None:
    may_end = threading.Event()

    def count(_: Sequence[int]) -> None:
        may_end.wait(60)

    notes = Batches("one thread", count)
    for number in range(50):
        notes.add(number)
    found = running("one thread")
    may_end.set()
    assert [thread.daemon for thread in found] == [True], "a process may end while it runs"


def test_a_forked_child_counts_only_its_own() -> None:
    """Also where its parent was counting at that moment, whose lock nobody would give back."""
    counted: list[int] = []
    is_counting, may_end = threading.Event(), threading.Event()
    begun: list[int] = []

    def count(notes: Sequence[int]) -> None:
        counted.extend(notes)
        if notes == [1]:
            is_counting.set()
            may_end.wait(60)

    notes = Batches("notes", count, begin=lambda: begun.append(os.getpid()))
    notes.add(1)
    assert is_counting.wait(60)
    notes.add(2)

    def child() -> bool:
        counted.clear()
        notes.flush()
        assert counted == []
        notes.add(3)
        wait_until(lambda: counted == [3], "the child's own thread")
        return begun[1:] == [os.getpid()]

    try:
        assert in_child(child)
    finally:
        may_end.set()
    wait_until(lambda: counted == [1, 2], "the parent's")
    assert begun == [os.getpid()]


def test_a_process_that_ends_handles_what_is_left() -> None:
    code = (
        "from datingtoday.infra.batches import Batches\n"
        "notes = Batches('at the end', print, delay_s=3600)\n"
        "notes.add(1), notes.add(2)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "[1, 2]\n"


def test_an_idle_thread_waits(make: Make, sent: Sent) -> None:
    sender = make(delay_s=0.001)
    sender.add(1)
    wait_until(lambda: sent.batches == [[1]] and not sender._wake.is_set(), "the thread to wait")
