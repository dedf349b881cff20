"""Pages of the list of people nearby."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

from sqlalchemy.orm import Session

from datingtoday.discovery.nearby.daily_order import Orders, day_of
from datingtoday.discovery.nearby.entries import Counts, Place
from datingtoday.discovery.nearby.errors import page_too_deep, place_unknown
from datingtoday.discovery.nearby.places import Places
from datingtoday.discovery.nearby.walk import START, FoundPerson, View, Walk, WalkPosition
from datingtoday.discovery.nearby.walk_memory import LOOKAHEAD, FirstPage, FirstPageMemory, Page, Question
from datingtoday.infra.bounded_memory import BoundedMemory
from datingtoday.infra.cache_reader import CacheReader
from datingtoday.profiles.cards.entries import Cards
from datingtoday.profiles.cards.finding import Finding
from datingtoday.protocol.envelope import ReadyJson
from datingtoday.protocol.paging import Cursors, PageRequest, Total, page_answer

MAX_NUMBERED = 10_000
"""People that can be reached by the number of a page, without a cursor."""
_NOBODY = 0
_MAX_CELLS = 100_000
_MAX_EXAMINED = 500
"""People who are judged to know whether there is another page, if the viewer may find none of them."""


class NearbyQuery(NamedTuple):
    """Query of a viewer."""

    radius_km: int
    gender: int | None
    """None for all."""
    page: PageRequest

    @property
    def name(self) -> str:
        """The list's name in cursors: one is no cursor of another list."""
        return f"nearby {self.radius_km} {'' if self.gender is None else self.gender}"


class _Start(NamedTuple):
    """Beginning of a page."""

    view: View
    day: int
    began_s: float
    after: WalkPosition
    skip: int
    total: Total | None
    own: Counts | None


class _Reading(NamedTuple):
    """Source of a page."""

    shown: Page
    total: Total
    rest: Iterator[FoundPerson]
    """Everybody after the page and its lookahead."""


class NearbyList:
    """Makes pages."""

    def __init__(
        self, places: Places, orders: Orders, finding: Finding, cards: Cards, cursors: Cursors
    ) -> None:
        self._places = places
        self._orders = orders
        self._finding = finding
        self._cards = cards
        self._cursors = cursors
        self._first_pages = FirstPageMemory(finding.card_keys)
        # Where viewers were the last time: a guess for the next time.
        self._cells = BoundedMemory[int, int]("nearby cells", _MAX_CELLS)

    def place_of(self, user_id: int, cache: CacheReader) -> Place:
        """Location of a person, as all answers have it."""
        return self._places.places.load(cache.fetch_one(self._places.places, user_id))

    def keys_ahead(self, user_id: int, query: NearbyQuery, day: int) -> list[str]:
        """The cache entries that `place_of` and `page` will want, as far as this process can guess."""
        keys = [self._places.places.key(user_id)]
        cell = self._cells.get(user_id)
        page = query.page
        if page.cursor is None and cell is not None:
            question = Question(day, cell, query.radius_km, query.gender, page.offset, page.count)
            known = self._first_pages.remembered(question)
            if known is not None:
                keys += self._keys_of(user_id, known)
        return keys

    def _keys_of(self, user_id: int, known: FirstPage) -> list[str]:
        return [*known.keys, self._finding.viewer_key(user_id), *known.card_keys]

    def page(
        self, session: Session, user_id: int, place: Place, query: NearbyQuery, cache: CacheReader
    ) -> ReadyJson:
        """Cards of the people around a place, the nearest first, each with the upper bound of its distance.

        A page is the next ``count`` people, without those the viewer may not find. A list that is continued by
        cursor is the one that began with its first page, whoever moved meanwhile.

        :raises ParameterError: no place, a page too deep, or a cursor of another list.
        """
        start = self._start(user_id, place, query, cache)
        if start.total is None:
            reading = self._first_page(user_id, start, place, query, cache)
        else:
            reading = self._next_page(start, start.total, query.page.count, cache)
        shown, total = reading.shown, reading.total
        found = self._finding.cards_of(session, user_id, shown.ids, cache)
        has_next = any(person.user_id in found.cards for person in shown.further)
        if shown.further and not has_next:
            has_next = self._is_anybody_findable(session, user_id, reading.rest, cache.fresh())
        next_ = None
        if has_next:
            position = [start.day, start.view.cell, start.began_s, *shown.here[-1].position, *total]
            next_ = self._cursors.write(query.name, user_id, position)
        cards = found.joined(shown.people)
        items = [] if cards is None else [cards.signed(self._cards.signer.for_viewer(user_id))]
        return page_answer(items, total=total, has_next=has_next, next_=next_)

    def _first_page(
        self, user_id: int, start: _Start, place: Place, query: NearbyQuery, cache: CacheReader
    ) -> _Reading:
        """A page by number, of the list as it is now."""
        page = query.page
        question = Question(start.day, start.view.cell, query.radius_km, query.gender, start.skip, page.count)
        first = self._first_pages.remembered(question)
        if first is not None:
            if cache.value(first.keys[0]) is None:
                cache.read_ahead(self._keys_of(user_id, first))
            if not self._first_pages.is_current(first, cache):
                first = None
        if first is None:
            view = start.view._replace(viewer_id=_NOBODY)
            first = self._first_pages.walk(question, self._walk(start, view, cache))
        people = self._met_and_after(start, first, user_id, cache)
        if user_id in first.ids:
            shown = Page.of(people, start.skip, page.count)
        else:
            shown = first.page
            people = islice(people, start.skip + len(shown.ids), None)
        return _Reading(shown, _total(first.count, place, query.gender), people)

    def _next_page(self, start: _Start, total: Total, count: int, cache: CacheReader) -> _Reading:
        """A page by cursor, of the list as it was when it began."""
        walk = self._walk(start, start.view, cache)
        if not total.more:
            walk.know_all()
        people = walk.meet(start.after, count + LOOKAHEAD)
        return _Reading(Page.of(people, start.skip, count), total, people)

    def _walk(self, start: _Start, view: View, cache: CacheReader) -> Walk:
        return Walk(cache, self._places, self._orders.of_day(start.day), view, own=start.own)

    def _met_and_after(
        self, start: _Start, first: FirstPage, user_id: int, cache: CacheReader
    ) -> Iterator[FoundPerson]:
        """Everybody who was met, and then everybody else; never the viewer."""
        yield from (person for person in first.met if person.user_id != user_id)
        if not first.is_all:
            walk = self._walk(start, start.view, cache.fresh())
            yield from walk.meet(first.met[-1].position, LOOKAHEAD)

    def _start(self, user_id: int, place: Place, query: NearbyQuery, cache: CacheReader) -> _Start:
        radius_km, gender, page = query
        if page.cursor is not None:
            position = self._cursors.read(query.name, user_id, page.cursor)
            day, cell, began_s, *after, number, more = position
            # After a change of the grid's size the list begins anew.
            if self._places.grid.knows(cell):
                view = View(user_id, cell, radius_km, gender, began_s)
                return _Start(view, day, began_s, WalkPosition(*after), 0, Total(number, more), None)
        if place.cell is None:
            raise place_unknown()
        self._cells.put(user_id, place.cell)
        skip = page.offset if page.cursor is None else 0
        if skip + page.count > MAX_NUMBERED:
            raise page_too_deep(MAX_NUMBERED)
        view = View(user_id, place.cell, radius_km, gender, None)
        return _Start(view, day_of(cache.now), cache.now.timestamp(), START, skip, None, place.counts)

    def _is_anybody_findable(
        self, session: Session, user_id: int, people: Iterator[FoundPerson], cache: CacheReader
    ) -> bool:
        examined = 0
        while examined < _MAX_EXAMINED and (some := list(islice(people, 100))):
            ids = [person.user_id for person in some]
            if self._finding.cards_of(session, user_id, ids, cache).cards:
                return True
            examined += len(some)
        # After that many people in a row the viewer may not find, the next page will go on looking.
        return examined >= _MAX_EXAMINED


def _total(number: int, place: Place, gender: int | None) -> Total:
    if place.is_shown and gender in (None, place.gender):
        number -= 1
    return Total.of(max(0, number))
