"""The list of who is nearby."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import islice
from typing import NamedTuple

from sqlalchemy.orm import Session

from datingtoday.discovery.nearby.daily_order import Orders, day_of
from datingtoday.discovery.nearby.entries import Counts, Place
from datingtoday.discovery.nearby.errors import page_too_deep, place_unknown
from datingtoday.discovery.nearby.places import Places
from datingtoday.discovery.nearby.walk import START, Met, Step, View, Walk
from datingtoday.discovery.nearby.walk_memory import ASIDE, Look, Looks, Page, Question
from datingtoday.infra.cache import NOTHING_AHEAD, ReadAhead, ReadyCache
from datingtoday.profiles.cards.entries import Cards
from datingtoday.profiles.cards.finding import Finding
from datingtoday.protocol.envelope import ReadyJson
from datingtoday.protocol.paging import MAX_TOTAL, Cursors, PageRequest, Total, page_answer

MAX_NUMBERED = 10_000
"""People that can be reached by the number of a page, without a cursor."""
_NOBODY = 0
_MAX_CELLS = 100_000
_MAX_LOOKED_S__ = 500
"""People who are looked at to know that, if the viewer may find none of them."""


class _Start(NamedTuple):
    """Where a page begins."""

    view: View
    day: int
    began_s: float
    after: Step
    skip: int
    total: Total | None
    own: Counts | None


class NearbyList:
    """Makes pages."""

    def __init__(
        self,
        entries: ReadyCache,
        places: Places,
        orders: Orders,
        finding: Finding,
        cards: Cards,
        cursors: Cursors,
    ) -> None:
        self._cache = entries
        self._places = places
        self._orders = orders
        self._finding = finding
        self._cards = cards
        self._cursors = cursors
        self._looks = Looks(entries, finding.card_keys)
        self._cells: dict[int, int] = {}
        """Where viewers were the last time: for guesses of what they will want."""

    def place_of(self, user_id: int, now: datetime, ahead: ReadAhead = NOTHING_AHEAD) -> Place:
        """Where somebody is, as everybody's answers have it."""
        data = self._cache.fetch_one(self._places.places, user_id, now, ahead)
        return self._places.places.load(data)

    def keys_ahead(
        self, user_id: int, radius_km: int, gender: int | None, page: PageRequest, now: datetime
    ) -> list[str]:
        """The entries of the cache that `place_of` and `page` will want, as far as this process can guess."""
        keys = [self._places.places.key(user_id)]
        cell = self._cells.get(user_id)
        if page.cursor is None and cell is not None:
            question = Question(day_of(now), cell, radius_km, gender, page.offset, page.count)
            keys += self._keys_of(user_id, question)
        return keys

    def look(self, keys: Sequence[str]) -> ReadAhead:
        """Read what is guessed to be wanted in one round trip, where the guard did not."""
        return self._cache.look(keys, NOTHING_AHEAD)

    def _keys_of(self, user_id: int, question: Question) -> list[str]:
        look = self._looks.remembered(question)
        if look is None:
            return []
        return [*look.keys, self._finding.viewer_key(user_id), *look.card_keys]

    def page(
        self,
        session: Session,
        user_id: int,
        place: Place,
        radius_km: int,
        gender: int | None,
        page: PageRequest,
        now: datetime,
        ahead: ReadAhead = NOTHING_AHEAD,
    ) -> ReadyJson:
        """Cards of the people around a place, who are near first, each with the upper bound of its distance.

        A page is the next ``page.count`` people, without those whom the viewer may not find. A list that is gone on
        with by cursor is the one that began with its first page, whoever moved meanwhile.

        :param ahead: what was read of `keys_ahead`.

        :raises ParameterError: no place, a page too deep, or a cursor of another list.
        """
        name = f"nearby {radius_km} {'' if gender is None else gender}"
        start = self._start(user_id, place, radius_km, gender, page, name, now)
        if start.total is None:
            question = Question(start.day, start.view.cell, radius_km, gender, start.skip, page.count)
            known = self._looks.remembered(question)
            if known is not None and known.keys[0] not in ahead:
                ahead = self._cache.look(self._keys_of(user_id, question), ahead)
            look = self._looks.current(question, now, ahead)
            if look is None:
                view = start.view._replace(viewer_id=_NOBODY)
                look = self._looks.walk(question, self._walk(start, view, now, ahead))
            total = _total(look.count, place, gender)
            people = self._behind(start, look, user_id, now)
            if user_id in look.ids:
                shown = Page.of(people, start.skip, page.count)
            else:
                shown = look.page
                people = islice(people, start.skip + len(shown.ids), None)
        else:
            total = start.total
            walk = self._walk(start, start.view, now, ahead)
            if not total.more:
                walk.know_all()
            people = walk.meet(start.after, page.count + ASIDE)
            shown = Page.of(people, start.skip, page.count)
        found = self._finding.cards_of(session, user_id, shown.ids, now, ahead)
        has_next = any(met.user_id in found.cards for met in shown.further)
        if shown.further and not has_next:
            has_next = self._is_anybody_findable(session, user_id, people, now)
        next_ = None
        if has_next:
            view = start.view
            position = [start.day, view.cell, start.began_s, *shown.here[-1].step, total.number, total.more]
            next_ = self._cursors.write(name, user_id, position)
        cards = found.joined(shown.people)
        items = [] if cards is None else [cards.signed(self._cards.signer.for_viewer(user_id))]
        return page_answer(items, total=total, has_next=has_next, next_=next_)

    def _walk(self, start: _Start, view: View, now: datetime, ahead: ReadAhead) -> Walk:
        order = self._orders.of_day(start.day)
        return Walk(self._cache, self._places, order, view, now, own=start.own, ahead=ahead)

    def _behind(self, start: _Start, look: Look, user_id: int, now: datetime) -> Iterator[Met]:
        """Everybody who was met, and then everybody else; never the viewer."""
        yield from (met for met in look.met if met.user_id != user_id)
        if not look.is_all:
            walk = self._walk(start, start.view, now, NOTHING_AHEAD)
            yield from walk.meet(look.met[-1].step, ASIDE)

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
        if len(self._cells) >= _MAX_CELLS:
            self._cells.clear()
        self._cells[user_id] = place.cell
        skip = page.offset if page.cursor is None else 0
        if skip + page.count > MAX_NUMBERED:
            raise page_too_deep(MAX_NUMBERED)
        view = View(user_id, place.cell, radius_km, gender, None)
        return _Start(view, day_of(now), now.timestamp(), START, skip, None, place.counts)

    def _is_anybody_findable(
        self, session: Session, user_id: int, people: Iterator[Met], now: datetime
    ) -> bool:
        looked_at = 0
        while looked_at < _MAX_LOOKED_S__ and (some := list(islice(people, 100))):
            if self._finding.cards_of(session, user_id, [met.user_id for met in some], now).cards:
                return True
            looked_at += len(some)
        # So many whom one may not find in a row: the next page will go on looking.
        return looked_at >= _MAX_LOOKED_S__


def _total(number: int, place: Place, gender: int | None) -> Total:
    if number <= MAX_TOTAL + 1 and place.is_shown and gender in (None, place.gender):
        number -= 1
    return Total.of(max(0, number))
