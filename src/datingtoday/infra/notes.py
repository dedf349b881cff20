"""Notes that requests leave and a thread of their process counts a moment later.

For counts that no request waits for: a request only appends, which takes no lock.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from typing import Any, Generic, TypeVar

Note = TypeVar("Note")

FLUSH_S = 0.5
"""Maximum time until the thread counts a note."""


class Notes(Generic[Note]):
    """Notes of one process. A forked child begins with none: its parent counts those from before.

    :param name: of the thread, which runs only while there are notes.
    :param count: called with the notes in their order, by one thread at a time; must not raise.
    :param begin: called when a process begins: now, and in a forked child.
    """

    def __init__(
        self, name: str, count: Callable[[list[Note]], None], begin: Callable[[], None] | None = None
    ) -> None:
        self._name = name
        self._count = count
        self._begin = begin
        self.begin_empty()
        this = weakref.ref(self)
        os.register_at_fork(after_in_child=lambda: _after_fork(this()))

    def begin_empty(self) -> None:
        """Forget the notes, and a thread that another process has."""
        # Appending and taking from the left are atomic.
        self._notes: deque[Note] = deque()
        self._counting = threading.Lock()
        self._is_running = False
        if self._begin is not None:
            self._begin()

    def add(self, note: Note) -> None:
        self._notes.append(note)
        if not self._is_running:
            self._is_running = True
            threading.Thread(target=self._run, name=self._name, daemon=True).start()

    def flush(self) -> None:
        """Count all that was noted before this call."""
        with self._counting:
            self._count([self._notes.popleft() for _ in range(len(self._notes))])

    def _run(self) -> None:
        time.sleep(FLUSH_S)
        while self._notes:
            self.flush()
            time.sleep(FLUSH_S)
        self._is_running = False
        # A note that came between these two lines has started no other thread.
        self.flush()


def _after_fork(notes: Notes[Any] | None) -> None:
    if notes is not None:
        notes.begin_empty()
