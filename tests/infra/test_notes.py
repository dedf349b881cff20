"""Notes that a thread of each process counts later."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

from datingtoday.infra.notes import Notes
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
    notes = Notes("notes in order", counted.extend)
    for number in range(100):
        notes.add(number)
    wait_until(lambda: counted == list(range(100)), "the notes to be counted")
    wait_until(lambda: not running("notes in order"), "the thread to end")
    notes.add(100)
    wait_until(lambda: counted == list(range(101)), "a thread to begin again")


def running(name: str) -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == name]


def test_one_thread_counts_them_all() -> None:
    may_end = threading.Event()

    def count(_: list[int]) -> None:
        may_end.wait(60)

    notes = Notes("one thread", count)
    for number in range(50):
        notes.add(number)
    found = running("one thread")
    may_end.set()
    assert [thread.daemon for thread in found] == [True], "a process may end while it runs"


def test_flushing_counts_each_note_once() -> None:
    counted: list[int] = []
    notes = Notes("notes", counted.extend)
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

    def count(notes: list[int]) -> None:
        counted.extend(notes)
        if notes == [1]:
            is_counting.set()
            may_end.wait(60)

    notes = Notes("notes", count, lambda: begun.append(os.getpid()))
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
