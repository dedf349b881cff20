"""First pages by cell, remembered by a process while nothing that they were made of changes.

Within a day all viewers in the same cell meet the same people in the same order. A first page is kept with the cache
entries that it follows from; the next viewer compares these entries, byte by byte, instead of walking.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple

from datingtoday.discovery.nearby.grid import BANDS_KM
from datingtoday.discovery.nearby.walk import START, FoundPerson, Walk
from datingtoday.infra.bounded_memory import BoundedMemory
from datingtoday.infra.cache import CacheRequest, value_of
from datingtoday.infra.cache_reader import CacheReader
from datingtoday.infra.paired import paired

LOOKAHEAD = 2
"""People after a page who are judged together with it, to know whether there is another page."""
_DISTANCES = {km: b',"distance_km":%d' % km for km in BANDS_KM}
"""Ends of cards, by distance."""
_MAX_PAGES = 1_000
_MAX_SHARED = 5_000
_MAX_MET = 150
_MAX_ENTRIES = 150
"""Pages that needed more entries are not remembered: too many keys for one command."""


class Question(NamedTuple):
    """Inputs that decide who is met, beside the entries."""

    day: int
    cell: int
    radius_km: int
    gender: int | None
    skip: int
    page_count: int
    """People before the page, and on it."""

    @property
    def most(self) -> int:
        """Number of people wanted, the viewer perhaps among them."""
        return self.skip + self.page_count + LOOKAHEAD + 1


class Page(NamedTuple):
    """A page, and the people who are judged together with it."""

    here: Sequence[FoundPerson]
    further: Sequence[FoundPerson]
    ids: Sequence[int]
    """User ids of both."""
    people: tuple[tuple[int, bytes], ...]
    """People on the page, and what is appended to their cards."""

    @classmethod
    def of(cls, met: Iterable[FoundPerson], skip: int, count: int) -> Page:
        """:param met: who is met in order, of whom no more are asked for than needed."""
        people = iter(met)
        here = list(islice(people, skip, skip + count))
        further = list(islice(people, LOOKAHEAD)) if len(here) == count else []
        ids = [person.user_id for person in (*here, *further)]
        return cls(here, further, ids, tuple([(met.user_id, _DISTANCES[met.distance_km]) for met in here]))


@dataclass(frozen=True, slots=True)
class FirstPage:
    """The answer to a question."""

    requests: tuple[CacheRequest[Any], ...]
    """The entries that it follows from …"""
    keys: tuple[str, ...]
    """… their keys …"""
    values: tuple[bytes | None, ...]
    """… and what these held."""
    met: tuple[FoundPerson, ...]
    ids: frozenset[int]
    page: Page
    """For a viewer who is not among those who are met."""
    card_keys: Sequence[str]
    """The entries of the page's cards, from which nothing follows here."""
    is_all: bool
    """Nobody else is within the radius."""
    count: int
    """People shown within the radius; some number above `MAX_TOTAL` where there are more."""


class FirstPageMemory:
    """Remembers first pages. Safe for threads.

    :param card_keys: the cache entries of people's cards.
    """

    def __init__(self, card_keys: Callable[[Sequence[int]], Sequence[str]]) -> None:
        self._card_keys = card_keys
        self._pages = BoundedMemory[Question, FirstPage]("nearby pages", _MAX_PAGES)
        # The same tiles are seen from many cells.
        self._shared = BoundedMemory[str, bytes]("nearby entries", _MAX_SHARED)

    def remembered(self, question: Question) -> FirstPage | None:
        """The last answer, which may be out of date; for guesses of what will be wanted."""
        return self._pages.get(question)

    @staticmethod
    def is_current(page: FirstPage, cache: CacheReader) -> bool:
        """True if the entries that a remembered page follows from are unchanged."""
        if tuple(cache.values(page.keys)) == page.values:
            return True
        return tuple(map(value_of, cache.fetch(page.requests))) == page.values

    def walk(self, question: Question, walk: Walk) -> FirstPage:
        """Answer a question by walking, and remember the answer if it is a small one.

        :param walk: a new one, without a viewer.
        """
        count = walk.count()
        met: list[FoundPerson] = []
        is_all = True
        for person in walk.meet(START, question.most):
            if len(met) == question.most:
                is_all = False
                break
            met.append(person)
        requests, entries = walk.entries_used()
        keys = tuple(request.source.key(request.what) for request in requests)
        page = FirstPage(
            requests=tuple(requests),
            keys=keys,
            values=self._share(keys, entries),
            met=tuple(met),
            ids=frozenset(person.user_id for person in met),
            page=Page.of(met, question.skip, question.page_count),
            card_keys=self._card_keys([person.user_id for person in met[question.skip :]]),
            is_all=is_all,
            count=count,
        )
        if len(met) <= _MAX_MET and len(requests) <= _MAX_ENTRIES:
            self._pages.put(question, page)
        return page

    def _share(self, keys: Sequence[str], entries: Sequence[bytes | None]) -> tuple[bytes | None, ...]:
        """Values of the keys; objects equal to those of other pages are shared."""
        shared: list[bytes | None] = []
        for key, entry in paired(keys, entries):
            value = value_of(entry)
            known = self._shared.get(key)
            if value is not None and value != known:
                self._shared.put(key, value)
                known = value
            shared.append(None if value is None else known)
        return tuple(shared)
