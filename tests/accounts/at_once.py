"""Several threads that begin at the same moment."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
_DEADLINE_S = 60


def at_once(work: Sequence[Callable[[], T]]) -> list[T]:
    """Run all of it at the same time; the results in the order of the work. The first exception is raised."""
    start = threading.Barrier(len(work))

    def run(one: Callable[[], T]) -> T:
        start.wait(_DEADLINE_S)
        return one()

    with ThreadPoolExecutor(len(work)) as threads:
        running = [threads.submit(run, one) for one in work]
        return [one.result(_DEADLINE_S) for one in running]
