"""What the first page from a cell came to, remembered by a process while nothing that it was made of changes.

Within a day all who look around from the same cell meet the same people in the same order. What was met is kept with
the cache's entries that it follows from; whoever looks next compares these entries, byte by byte, instead of walking.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any, NamedTuple

from datingtoday.discovery.nearby.grid import BANDS_KM
from datingtoday.discovery.nearby.walk import START, Met, Walk
from datingtoday.infra.cache import CacheRequest, ReadAhead, ReadyCache, value_of
from datingtoday.protocol.paging import MAX_TOTAL

ASIDE = 2
"""People behind a page who are looked at together with it, to know whether there is another one."""
_DISTANCES = {km: b',"distance_km":%d' % km for km in BANDS_KM}
"""What a card gets at its end."""
_MAX_LOOKS = 1_000
_MAX_SHARED = 5_000
_MAX_MET = 150
_MAX_ENTRIES = 150
"""What took more to find out is not remembered: its keys would be too many for one command."""


class Question(NamedTuple):
    """What decides who is met, beside the entries."""

    day: int
    cell: int
    radius_km: int
    gender: int | None
    skip: int
    page_count: int
    """People before the page, and on it."""

    @property
    def most(self) -> int:
        """How many people are wanted, the viewer perhaps among them."""
        return self.skip + self.page_count + ASIDE + 1


class Page(NamedTuple):
    """A page, and who is looked at together with it."""

    here: Sequence[Met]
    further: Sequence[Met]
    ids: Sequence[int]
    """Of both."""
    people: tuple[tuple[int, bytes], ...]
    """Those on the page, and what their cards get at the end."""

    @classmethod
    def of(cls, met: Iterable[Met], skip: int, count: int) -> Page:
        """:param met: who is met in order, of whom no more are asked for than needed."""
        people = iter(met)
        here = list(islice(people, skip, skip + count))
        further = list(islice(people, ASIDE)) if len(here) == count else []
        ids = [person.user_id for person in (*here, *further)]
        return cls(here, further, ids, tuple([(met.user_id, _DISTANCES[met.distance_km]) for met in here]))


@dataclass(frozen=True, slots=True)
class Look:
    """The answer to a question."""

    wishes: tuple[CacheRequest[Any], ...]
    """The entries that it follows from …"""
    keys: tuple[str, ...]
    """… their keys …"""
    values: tuple[bytes | None, ...]
    """… and what these held."""
    met: tuple[Met, ...]
    ids: frozenset[int]
    page: Page
    """For a viewer who is not among those who are met."""
    card_keys: Sequence[str]
    """The entries of the page's cards, from which nothing follows here."""
    is_all: bool
    """Nobody else is within the radius."""
    count: int
    """People shown within the radius; some number above `MAX_TOTAL` where there are more."""


class Looks:
    """Safe for threads.

    :param card_keys: the entries of people's cards.
    """

    def __init__(self, cache: ReadyCache, card_keys: Callable[[Sequence[int]], Sequence[str]]) -> None:
        self._cache = cache
        self._card_keys = card_keys
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
        if look is None or tuple(map(ahead.get, look.keys)) == look.values:
            return look
        entries = self._cache.fetch(look.wishes, now, ahead)
        return look if tuple(map(value_of, entries)) == look.values else None

    def walk(self, question: Question, walk: Walk) -> Look:
        """Answer a question by walking, and remember it if it is a small one.

        :param walk: one that began nowhere yet, of nobody.
        """
        count = walk.count()
        if count <= MAX_TOTAL:
            walk.know_all()
        met: list[Met] = []
        is_all = True
        for person in walk.meet(START, question.most):
            if len(met) == question.most:
                is_all = False
                break
            met.append(person)
        wishes, entries = walk.looked_at()
        keys = tuple(wish.source.key(wish.what) for wish in wishes)
        look = Look(
            wishes=tuple(wishes),
            keys=keys,
            values=self._share(keys, entries),
            met=tuple(met),
            ids=frozenset(person.user_id for person in met),
            page=Page.of(met, question.skip, question.page_count),
            card_keys=self._card_keys([person.user_id for person in met[question.skip :]]),
            is_all=is_all,
            count=count,
        )
        if len(met) > _MAX_MET or len(wishes) > _MAX_ENTRIES:
            return look
        with self._lock:
            if len(self._looks) >= _MAX_LOOKS:
                self._looks.clear()
            self._looks[question] = look
        return look

    def _share(self, keys: Sequence[str], entries: Sequence[bytes | None]) -> tuple[bytes | None, ...]:
        """What the keys hold; the same objects as in other looks, where it is the same."""
        shared: list[bytes | None] = []
        with self._lock:
            if len(self._shared) >= _MAX_SHARED:
                self._shared.clear()
            for key, entry in zip(keys, entries, strict=True):
                value = value_of(entry)
                if value is not None and self._shared.setdefault(key, value) != value:
                    self._shared[key] = value
                shared.append(None if value is None else self._shared[key])
        return tuple(shared)
