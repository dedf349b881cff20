"""Lag of pushes: the time from publishing an event to its receipt in this process's event loop, measured by probes."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable

PROBE_S = 5.0
"""Between two probes."""


class LagProbe:
    """One probe under way at a time; for one event loop."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._id = secrets.token_hex(8).encode()
        self._clock = clock
        self._number = 0
        self._sent_at: float | None = None
        self._next_at = clock()
        self._lag_s = 0.0

    def next_message(self) -> bytes | None:
        """The probe to publish now; None while one is under way, or it is too early."""
        now = self._clock()
        if self._sent_at is not None or now < self._next_at:
            return None
        self._number += 1
        self._sent_at, self._next_at = now, now + PROBE_S
        return b"%b %d" % (self._id, self._number)

    def not_published(self) -> None:
        """Redis did not take it: others tell that it is down."""
        self._sent_at = None

    def receive(self, message: bytes) -> None:
        """Take a message of the processes' channel; those of other processes are left alone."""
        if self._sent_at is not None and message == b"%b %d" % (self._id, self._number):
            self._lag_s = self._clock() - self._sent_at
            self._sent_at = None

    @property
    def lag_s(self) -> float:
        """Seconds of the last probe; of one that is under way for longer, its time so far."""
        under_way_s = 0.0 if self._sent_at is None else self._clock() - self._sent_at
        return max(self._lag_s, under_way_s)
