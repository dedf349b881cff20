"""Waiting for something to become true: the only place in the tests that sleeps."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_until(
    condition: Callable[[], T], what: str, *, deadline_s: float = 30.0, every_s: float = 0.01
) -> T:
    """Ask until the answer is true, and return it.

    :param what: completes the sentence "waited in vain for …" of the failure.
    :raises AssertionError: at the deadline. What `condition` itself raises is passed on at once.
    """
    give_up_at = time.monotonic() + deadline_s
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() >= give_up_at:
            raise AssertionError(f"waited in vain for {what} ({deadline_s:g} s)")
        time.sleep(every_s)
