"""The list of who is nearby."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from sqlalchemy.orm import Session

from datingtoday.discovery.errors import page_too_deep, place_unknown
from datingtoday.discovery.nearby_index import Counts, Place
from datingtoday.discovery.nearby_order import Orders, day_of
from datingtoday.discovery.nearby_walk import START, Met, Step, View, Walk
from datingtoday.discovery.places import Places
from datingtoday.infra.cache import ReadyCache, Wish
from datingtoday.profiles.cards import Cards
from datingtoday.profiles.visibility import Action, Visibility
from datingtoday.protocol.envelope import ReadyJson
from datingtoday.protocol.paging import TOTAL_MOST, Cursors, PageRequest, Total, page_answer

NUMBERED_MOST = 10_000
"""People that can be reached by the number of a page, without a cursor."""
_ASIDE = 8
"""People behind a page who are looked at together with it, to know whether there is another one."""
_LOOKED_AT_MOST = 500
"""People who are looked at to know that, if the viewer may find none of them."""


@dataclass(frozen=True, slots=True)
class _Start:
    """Where a page begins."""

    view: View
    day: int
    began_s: float
    after: Step
    skip: int
    total: Total | None
    ahead: Counts | None


class NearbyList:
    """Makes pages."""

    def __init__(
        self,
        entries: ReadyCache,
        places: Places,
        orders: Orders,
        visibility: Visibility,
        cards: Cards,
        cursors: Cursors,
    ) -> None:
        self._cache = entries
        self._places = places
        self._orders = orders
        self._visibility = visibility
        self._cards = cards
        self._cursors = cursors

    def place_of(self, user_id: int, now: datetime) -> Place:
        """Where somebody is, as everybody's answers have it."""
        (data,) = self._cache.fetch([Wish(self._places.places, user_id)], now)
        return self._places.places.load(data)

    def page(
        self,
        session: Session,
        user_id: int,
        place: Place,
        radius_km: int,
        gender: int | None,
        page: PageRequest,
        now: datetime,
    ) -> ReadyJson:
        """Cards of the people around a place, who are near first, each with the upper bound of its distance.

        A page is the next ``page.count`` people, without those whom the viewer may not find. A list that is gone on
        with by cursor is the one that began with its first page, whoever moved meanwhile.

        :raises ParameterError: no place, a page too deep, or a cursor of another list.
        """
        name = f"nearby {radius_km} {'' if gender is None else gender}"
        start = self._start(user_id, place, radius_km, gender, page, name, now)
        walk = Walk(
            self._cache, self._places, self._orders.of_day(start.day), start.view, now, ahead=start.ahead
        )
        total = start.total or self._total(walk, place, gender)
        if not total.more:
            walk.know_all()
        wanted = start.skip + page.count + _ASIDE
        people = walk.meet(start.after, wanted)
        here = list(islice(people, start.skip, start.skip + page.count))
        further = list(islice(people, _ASIDE)) if len(here) == page.count else []
        visible = self._findable(session, user_id, [*here, *further], now)
        has_next = any(met.user_id in visible for met in further)
        if further and not has_next:
            has_next = self._is_anybody_findable(session, user_id, people, now)
        next_ = None
        if has_next:
            view = start.view
            position = [start.day, view.cell, start.began_s, *here[-1].step, total.number, total.more]
            next_ = self._cursors.write(name, user_id, position)
        shown = [met for met in here if met.user_id in visible]
        cards = self._cards.of(user_id, [met.user_id for met in shown], now)
        items = [_with_distance(card, met.distance_km) for card, met in zip(cards, shown, strict=True)]
        return page_answer(items, total=total, has_next=has_next, next_=next_)

    def _start(
        self,
        user_id: int,
        place: Place,
        radius_km: int,
        gender: int | None,
        page: PageRequest,
        name: str,
        now: datetime,
    ) -> _Start:
        if page.cursor is not None:
            position = self._cursors.read(name, user_id, page.cursor)
            day, cell, began_s, *step, number, more = position
            # After a change of the grid's size the list begins anew.
            if self._places.grid.knows(cell):
                view = View(user_id, cell, radius_km, gender, began_s)
                return _Start(view, day, began_s, Step(*step), 0, Total(number, more), None)
        if place.cell is None:
            raise place_unknown()
        skip = page.offset if page.cursor is None else 0
        if skip + page.count > NUMBERED_MOST:
            raise page_too_deep(NUMBERED_MOST)
        view = View(user_id, place.cell, radius_km, gender, None)
        return _Start(view, day_of(now), now.timestamp(), START, skip, None, place.counts)

    def _findable(self, session: Session, user_id: int, people: list[Met], now: datetime) -> set[int]:
        if not people:
            return set()
        user_ids = [met.user_id for met in people]
        return self._visibility.allowed(session, user_id, user_ids, Action.FIND, now)

    def _is_anybody_findable(
        self, session: Session, user_id: int, people: Iterator[Met], now: datetime
    ) -> bool:
        looked_at = 0
        while looked_at < _LOOKED_AT_MOST and (some := list(islice(people, 100))):
            if self._findable(session, user_id, some, now):
                return True
            looked_at += len(some)
        # So many whom one may not find in a row: the next page will go on looking.
        return looked_at >= _LOOKED_AT_MOST

    @staticmethod
    def _total(walk: Walk, place: Place, gender: int | None) -> Total:
        number = walk.count()
        if number <= TOTAL_MOST + 1 and place.is_shown and gender in (None, place.gender):
            number -= 1
        return Total.of(max(0, number))


def _with_distance(card: ReadyJson, distance_km: int) -> bytes:
    return card[:-1] + b',"distance_km":%d}' % distance_km
