"""Sending off a request's path: what requests leave in memory goes out in batches, on a thread of the process."""

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


class BackgroundSender(Generic[T]):
    """Items in memory and the thread that sends them; the thread begins with the first item.

    What a process that is killed had not sent is lost; one that ends sends it first.

    :param name: of the thread. :param send: called with a batch, from one thread at a time.
    :param delay_s: time for which items are collected. :param max_unsent: items in memory; more are refused.
    :param max_at_once: items in a batch.
    """

    def __init__(
        self,
        name: str,
        send: Callable[[Sequence[T]], object],
        *,
        delay_s: float,
        max_unsent: int,
        max_at_once: int,
    ) -> None:
        self._name = name
        self._send = send
        self._delay_s = delay_s
        self.max_unsent = max_unsent
        self._max_at_once = max_at_once
        # Appending and taking from the left are atomic: no request waits for a lock.
        self._unsent: deque[T] = deque()
        self._wake = threading.Event()
        self._sending = threading.Lock()
        self._thread: threading.Thread | None = None
        this: weakref.ref[BackgroundSender[Any]] = weakref.ref(self)
        os.register_at_fork(after_in_child=lambda: _after_fork(this()))
        atexit.register(lambda: _at_exit(this()))

    def add(self, item: T) -> bool:
        """Leave an item to be sent soon; costs some microseconds.

        :return: whether it was taken; if not, too many wait already.
        """
        if len(self._unsent) >= self.max_unsent:
            return False
        self._unsent.append(item)
        if not self._wake.is_set():
            self._wake.set()
            if self._thread is None:
                self._begin()
        return True

    def flush(self) -> None:
        """Send now whatever has not been sent."""
        with self._sending:
            while self._unsent:
                count = min(len(self._unsent), self._max_at_once)
                self._send([self._unsent.popleft() for _ in range(count)])

    def forget(self) -> None:
        """Start anew in a forked child: the items are the parent's to send."""
        self._unsent.clear()
        self._wake = threading.Event()
        self._sending = threading.Lock()
        self._thread = None

    def _begin(self) -> None:
        with self._sending:
            if self._thread is None:
                self._thread = threading.Thread(target=self._send_for_ever, name=self._name, daemon=True)
                self._thread.start()

    def _send_for_ever(self) -> None:
        while True:
            self._wake.wait()
            time.sleep(self._delay_s)
            # In this order: whoever adds something from here on wakes the thread again.
            self._wake.clear()
            try:
                self.flush()
            except Exception:
                log.exception("background_sender_failed", sender=self._name)


def _after_fork(sender: BackgroundSender[Any] | None) -> None:
    if sender is not None:
        sender.forget()


def _at_exit(sender: BackgroundSender[Any] | None) -> None:
    if sender is not None:
        sender.flush()
