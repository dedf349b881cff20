"""Work off a request's path: what requests leave in memory is handled in batches, by a thread of the process."""

from __future__ import annotations

import atexit
import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

import structlog

log = structlog.get_logger(__name__)

T = TypeVar("T")

DELAY_S = 0.5
"""Time for which items are collected where nobody waits for them."""
MAX_ITEMS = 50_000
"""Items in a process's memory; more are refused."""


class Batches(Generic[T]):
    """Items in memory, and the thread that handles them, which begins with the first one.

    A process that is killed loses what it had not handled; one that ends handles it first. A forked child begins with
    nothing: the items from before are its parent's.

    :param name: of the thread. :param handle: called with items in their order, by one thread at a time.
    :param delay_s: time for which items are collected. :param max_items: items in memory.
    :param max_at_once: items in a batch.
    :param begin: called when a process begins: now, and in a forked child.
    """

    def __init__(
        self,
        name: str,
        handle: Callable[[Sequence[T]], object],
        *,
        delay_s: float = DELAY_S,
        max_items: int = MAX_ITEMS,
        max_at_once: int = MAX_ITEMS,
        begin: Callable[[], None] | None = None,
    ) -> None:
        self._name = name
        self._handle = handle
        self._delay_s = delay_s
        self._max_items = max_items
        self._max_at_once = max_at_once
        self._begin = begin
        self.begin_empty()
        this: weakref.ref[Batches[Any]] = weakref.ref(self)
        os.register_at_fork(after_in_child=lambda: _after_fork(this()))
        atexit.register(lambda: _at_exit(this()))

    def begin_empty(self) -> None:
        """Forget the items, and a thread that another process has."""
        # Appending and taking from the left are atomic: no request waits for a lock.
        self._items: deque[T] = deque()
        self._wake = threading.Event()
        self._handling = threading.Lock()
        self._thread: threading.Thread | None = None
        if self._begin is not None:
            self._begin()

    def add(self, item: T) -> bool:
        """Leave an item to be handled soon; costs some microseconds.

        :return: whether it was taken; if not, too many wait already.
        """
        if len(self._items) >= self._max_items:
            return False
        self._items.append(item)
        if not self._wake.is_set():
            self._wake.set()
            if self._thread is None:
                self._start()
        return True

    def flush(self) -> None:
        """Handle all items that were added before this call."""
        with self._handling:
            while self._items:
                count = min(len(self._items), self._max_at_once)
                self._handle([self._items.popleft() for _ in range(count)])

    def _start(self) -> None:
        with self._handling:
            if self._thread is None:
                of = (weakref.ref(self), self._wake)
                self._thread = threading.Thread(target=_run, args=of, name=self._name, daemon=True)
                self._thread.start()

    def _handle_next(self) -> None:
        time.sleep(self._delay_s)
        # In this order: whoever adds something from here on wakes the thread again.
        self._wake.clear()
        try:
            self.flush()
        except Exception:
            log.exception("batch_failed", batches=self._name)

    def __del__(self) -> None:
        self._wake.set()


def _run(this: weakref.ref[Batches[Any]], wake: threading.Event) -> None:
    """The thread's work: it ends when nobody holds the batches any more, and does not hold them while it waits."""
    while True:
        wake.wait()
        batches = this()
        if batches is None:
            return
        batches._handle_next()
        del batches


def _after_fork(batches: Batches[Any] | None) -> None:
    if batches is not None:
        batches.begin_empty()


def _at_exit(batches: Batches[Any] | None) -> None:
    if batches is not None:
        batches.flush()
