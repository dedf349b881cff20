"""Batches that a thread of each process handles later."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence

from datingtoday.infra.batches import Batches
from tests.plugins.polling import wait_until


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


def test_a_thread_counts_notes_in_their_order() -> None:
    counted: list[int] = []
    notes = Batches("notes in order", counted.extend)
    for number in range(100):
        notes.add(number)
    wait_until(lambda: counted == list(range(100)), "the notes to be counted")
    notes.add(100)
    wait_until(lambda: counted == list(range(101)), "one that comes later")
    assert len(running("notes in order")) == 1


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


def test_flushing_counts_each_note_once() -> None:
    counted: list[int] = []
    notes = Batches("notes", counted.extend)
    notes.add(1)
    notes.flush()
    notes.add(2)
    notes.flush()
    notes.flush()
    assert counted == [1, 2]


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


def test_batches_are_bounded_in_memory_and_in_size() -> None:
    handled: list[Sequence[int]] = []
    notes = Batches("bounded", handled.append, delay_s=3600, max_items=5, max_at_once=2)
    assert [notes.add(number) for number in range(7)] == [True] * 5 + [False] * 2
    notes.flush()
    assert handled == [[0, 1], [2, 3], [4]]
    assert notes.add(7)


def test_one_that_fails_keeps_no_other_from_being_handled() -> None:
    handled: list[int] = []

    def handle(notes: Sequence[int]) -> None:
        if notes[0] == 0:
            raise ValueError
        handled.extend(notes)

    notes = Batches("failing", handle, delay_s=0.001, max_at_once=1)
    notes.add(0)
    wait_until(lambda: not notes._items, "the first to be handled")
    notes.add(1)
    wait_until(lambda: handled == [1], "the second")


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
