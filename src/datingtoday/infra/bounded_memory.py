"""Memory of one process for values that are quicker to keep than to make again; bounded, and counted.

What is remembered is never the only copy and never decides alone: callers compare it with what it follows from, or
use it as a guess.
"""

from __future__ import annotations

import threading
from collections.abc import Hashable
from itertools import islice
from typing import Any, Generic, NamedTuple, TypeVar
from weakref import WeakSet

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

_FORGOTTEN_SHARE = 4
"""A full memory forgets its oldest quarter at once: forgetting one by one would cost every further value a search."""


class Reads(NamedTuple):
    """Reads since the process began."""

    hits: int
    misses: int


class ReadCount:
    """Reads of something else that is remembered, counted beside the memories. Two reads at once may count as one.

    :param name: what is remembered, in the metrics.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.hits = self.misses = 0
        with _all_lock:
            _all.add(self)

    @property
    def reads(self) -> Reads:
        return Reads(self.hits, self.misses)


class BoundedMemory(Generic[K, V]):
    """At most ``most`` values by key; a full memory forgets the oldest. Safe for threads.

    Reading takes no lock: looking into a dict is one step of the interpreter. Two reads at once may be counted as one.

    :param name: what is remembered, in the metrics; memories of the same name are counted together.
    """

    def __init__(self, name: str, most: int) -> None:
        if most < 1:
            raise ValueError("a memory holds at least one value")
        self.name = name
        self._most = most
        self._values: dict[K, V] = {}
        self._lock = threading.Lock()
        self._hits = self._misses = 0
        with _all_lock:
            _all.add(self)

    def __len__(self) -> int:
        return len(self._values)

    @property
    def reads(self) -> Reads:
        return Reads(self._hits, self._misses)

    def get(self, key: K) -> V | None:
        """The value; None if it is not remembered."""
        value = self._values.get(key)
        if value is None:
            self._misses += 1
        else:
            self._hits += 1
        return value

    def put(self, key: K, value: V) -> None:
        """Remember a value, in place of the one that the key may have."""
        with self._lock:
            if len(self._values) >= self._most and key not in self._values:
                for old in list(islice(self._values, max(1, self._most // _FORGOTTEN_SHARE))):
                    del self._values[old]
            self._values[key] = value

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._values.clear()


_all: WeakSet[BoundedMemory[Any, Any] | ReadCount] = WeakSet()
_all_lock = threading.Lock()


def reads_by_name() -> dict[str, Reads]:
    """Reads of all memories of this process that are still in use."""
    with _all_lock:
        memories = list(_all)
    found: dict[str, Reads] = {}
    for memory in memories:
        hits, misses = found.get(memory.name, Reads(0, 0))
        found[memory.name] = Reads(hits + memory.reads.hits, misses + memory.reads.misses)
    return found
