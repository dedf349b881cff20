"""What the first page from a cell came to, remembered by a process while nothing that it was made of changes.

Within a day all who look around from the same cell meet the same people in the same order. What was met is kept with
the cache's entries that it follows from; whoever looks next compares these entries, byte by byte, instead of walking.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from datingtoday.discovery.nearby_walk import START, Met, Walk
from datingtoday.infra.cache import ReadAhead, ReadyCache, Wish
from datingtoday.protocol.paging import TOTAL_MOST

_LOOKS_MOST = 1_000
_SHARED_MOST = 5_000


class Question(NamedTuple):
    """What decides who is met, beside the entries."""

    day: int
    cell: int
    radius_km: int
    gender: int | None
    most: int
    """How many people are wanted, whoever looks among them."""


@dataclass(frozen=True, slots=True)
class Look:
    """The answer to a question."""

    wishes: tuple[Wish[Any], ...]
    """The entries that it follows from …"""
    entries: tuple[bytes | None, ...]
    """… as they were."""
    met: tuple[Met, ...]
    is_all: bool
    """Nobody else is within the radius."""
    count: int
    """People shown within the radius; some number above `TOTAL_MOST` where there are more."""

    @property
    def keys(self) -> list[str]:
        return [wish.source.key(wish.what) for wish in self.wishes]


class Looks:
    """Safe for threads."""

    def __init__(self, cache: ReadyCache) -> None:
        self._cache = cache
        self._looks: dict[Question, Look] = {}
        # The same tiles are seen from many cells.
        self._shared: dict[str, bytes] = {}
        self._lock = threading.Lock()

    def remembered(self, question: Question) -> Look | None:
        """What came out the last time; for guesses of what will be wanted."""
        return self._looks.get(question)

    def current(self, question: Question, now: datetime, ahead: ReadAhead) -> Look | None:
        """What comes out now, if it is known."""
        look = self._looks.get(question)
        if look is None or tuple(self._cache.fetch(look.wishes, now, ahead)) != look.entries:
            return None
        return look

    def walk(self, question: Question, walk: Walk) -> Look:
        """Answer a question by walking, and remember it. :param walk: one that began nowhere yet, of nobody."""
        count = walk.count()
        if count <= TOTAL_MOST:
            walk.know_all()
        met: list[Met] = []
        is_all = True
        for person in walk.meet(START, question.most):
            if len(met) == question.most:
                is_all = False
                break
            met.append(person)
        wishes, entries = walk.looked_at()
        look = Look(tuple(wishes), self._share(wishes, entries), tuple(met), is_all, count)
        with self._lock:
            if len(self._looks) >= _LOOKS_MOST:
                self._looks.clear()
            self._looks[question] = look
        return look

    def _share(
        self, wishes: Sequence[Wish[Any]], entries: Sequence[bytes | None]
    ) -> tuple[bytes | None, ...]:
        shared: list[bytes | None] = []
        with self._lock:
            if len(self._shared) >= _SHARED_MOST:
                self._shared.clear()
            for wish, entry in zip(wishes, entries, strict=True):
                if entry is not None:
                    key = wish.source.key(wish.what)
                    if self._shared.get(key) != entry:
                        self._shared[key] = entry
                    entry = self._shared[key]
                shared.append(entry)
        return tuple(shared)
