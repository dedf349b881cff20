"""Pages of the hot list: people of the newest edition who fit the viewer, without those the viewer may not find.

The way from attention to a page:

    something happens   `scores.AttentionListener` hears of visits, follows and first messages
    attention           `scores.HotScores.note` counts it in SQL, at most once a day for each pair of people
    score               `ranking.ForwardDecay`: attention that halves with age, plus a bonus for a complete profile
    order               `editions.Editions`: the best scores by gender and wanted gender, copied to Redis every minute
    page                `HotList.page`: a stretch of the edition; `profiles/cards/finding.py` decides who is shown

`docs/hot-list.md` explains the ranking.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from datingtoday.discovery.hot.editions import KINDS, Edition, EditionLost, Editions, Ranked
from datingtoday.discovery.hot.models import HotPerson
from datingtoday.discovery.hot.ranking import shelves_for
from datingtoday.infra.bounded_memory import BoundedMemory
from datingtoday.infra.cache_reader import CacheReader
from datingtoday.infra.redis import RedisDown
from datingtoday.profiles.cards.entries import Cards
from datingtoday.profiles.cards.finding import Finding
from datingtoday.profiles.cards.found import Found
from datingtoday.protocol.envelope import ReadyJson
from datingtoday.protocol.errors import ParameterError
from datingtoday.protocol.paging import Cursors, PageRequest, Total, count_up_to_most, page_answer

_NAME = "hot"
_LOOKAHEAD = 2
"""People after a page who are judged together with it, to know whether there is another page."""
_MAX_REFILLED = 100
"""People the viewer may not find who are replaced on a page that was asked for by cursor."""
_MAX_EXAMINED = 500
"""People who are judged to know whether there is another page."""
_BATCH = 50
"""People who are judged together after those of the page."""
_EVERYBODY = 0
_MAX_KINDS = 100_000


_Position = tuple[str, int, float, int]
"""The place after a person: edition ("" for SQL), rank, score, user id."""


class _Stretch(NamedTuple):
    """Consecutive people of the list."""

    edition: str
    """"" for SQL."""
    rank: int
    """Rank of the first person in the edition, from 0."""
    people: Sequence[Ranked]

    def after(self, at: int) -> _Position:
        """The position after one of them."""
        person = self.people[at]
        return self.edition, self.rank + at + 1 if self.edition else 0, person.score, person.user_id

    @property
    def end(self) -> _Position:
        """The position after the last one."""
        return self.after(len(self.people) - 1)


_Judged = tuple[_Stretch, Found]
"""Some people, and the cards of those among them the viewer may find."""


class _Reading(NamedTuple):
    """Source of a page."""

    edition: Edition | None
    kind: int
    total: Total
    stretches: Iterator[_Stretch]
    wanted: int
    """People who are judged at most to fill the page."""


class _Filled(NamedTuple):
    """The cards of a page."""

    cards: list[ReadyJson]
    end: _Position | None
    """Position at which the next page begins; None if there is none."""


class HotList:
    """Makes pages.

    :param personal: False: the same order for everybody, whatever their preferences.
    """

    def __init__(
        self, editions: Editions, finding: Finding, cards: Cards, cursors: Cursors, *, personal: bool
    ) -> None:
        self._editions = editions
        self._finding = finding
        self._cards = cards
        self._cursors = cursors
        self._personal = personal
        # The kind of list that a viewer got last: a guess for the next time.
        self._kinds = BoundedMemory[int, int]("hot kinds", _MAX_KINDS)

    def keys_ahead(self, user_id: int, page: PageRequest) -> list[str]:
        """The cache entries that `page` will want, as far as this process can guess."""
        name: str | None = None
        kind: int | None = None
        if page.cursor is None:
            kind, rank = self._kinds.get(user_id), page.offset
        else:
            try:
                name, kind, _, rank, *_ = self._cursors.read(_NAME, user_id, page.cursor)
            except ParameterError:
                return []
        people = (
            self._editions.remembered(name, kind, rank, page.count + _LOOKAHEAD) if kind is not None else []
        )
        keys = self._finding.keys(user_id, [ranked.user_id for ranked in people])
        return keys if page.cursor is not None else [self._cards.preferences_key(user_id), *keys]

    def page(self, session: Session, user_id: int, page: PageRequest, cache: CacheReader) -> ReadyJson:
        """Cards of the hottest people who fit the viewer.

        Page ``number`` is that stretch of the newest edition without people the viewer may not find. A page by
        cursor goes on in the edition in which the reading began, and is filled up. With Redis down, or its edition
        lost, SQL serves from the same score on: nobody comes twice, but people who rose meanwhile are passed over.

        :raises ParameterError: the cursor is not one of this list and person.
        """
        if cache.is_empty:
            cache.read_ahead(self.keys_ahead(user_id, page))
        reading = self._reading(session, user_id, page, cache)
        filled = self._fill(session, user_id, reading, page.count, cache)
        next_ = None
        if filled.end is not None:
            name, rank, score, last_id = filled.end
            size = 0 if reading.edition is None else reading.edition.sizes[reading.kind]
            position = [name, reading.kind, size, rank, score, last_id, *reading.total]
            next_ = self._cursors.write(_NAME, user_id, position)
        return page_answer(filled.cards, total=reading.total, has_next=next_ is not None, next_=next_)

    def _reading(self, session: Session, user_id: int, page: PageRequest, cache: CacheReader) -> _Reading:
        if page.cursor is None:
            edition = self._editions.newest(cache.now)
            kind = self._kind_of(user_id, cache)
            total = self._total(session, edition, kind)
            return _Reading(edition, kind, total, self._from(session, edition, kind, page), page.count)
        name, kind, size, rank, score, last_id, number, more = self._cursors.read(_NAME, user_id, page.cursor)
        edition = Edition(name, cache.now, (size,) * len(KINDS)) if name else None
        stretches = self._after(session, edition, kind, (name, rank, score, last_id), page.count)
        return _Reading(edition, kind, Total(number, more), stretches, page.count + _MAX_REFILLED)

    def _fill(
        self, session: Session, user_id: int, reading: _Reading, count: int, cache: CacheReader
    ) -> _Filled:
        """The first ``count`` people the viewer may find, and whether there are more after them."""
        judged = self._judged(session, user_id, reading.stretches, cache)
        signature_of = self._cards.signer.for_viewer(user_id)
        shown: list[ReadyJson] = []
        missing, wanted = count, reading.wanted
        for stretch, found in judged:
            people, examined = _first_found(stretch.people[:wanted], found, missing)
            cards = found.joined(people)
            if cards is not None:
                shown.append(cards.signed(signature_of))
            missing -= len(people)
            wanted -= examined
            if not missing or not wanted:
                # With a page's number the stretch counts, visible or not.
                follows = any(person.user_id in found.cards for person in stretch.people[examined:])
                goes_on = follows or self._goes_on(judged)
                return _Filled(shown, stretch.after(examined - 1) if goes_on else None)
        return _Filled(shown, None)

    def _kind_of(self, user_id: int, cache: CacheReader) -> int:
        preferences = self._cards.preferences_of(user_id, cache)
        is_personal = self._personal and preferences.personal
        kind = KINDS.index((preferences.gender, preferences.sexual)) if is_personal else _EVERYBODY
        self._kinds.put(user_id, kind)
        return kind

    @staticmethod
    def _goes_on(judged: Iterator[_Judged]) -> bool:
        examined = 0
        for stretch, found in judged:
            examined += len(stretch.people)
            # After that many people in a row the viewer may not find, the next page will go on looking.
            if found.cards or examined >= _MAX_EXAMINED:
                return True
        return False

    def _judged(
        self, session: Session, user_id: int, stretches: Iterator[_Stretch], cache: CacheReader
    ) -> Iterator[_Judged]:
        for stretch in stretches:
            ids = [person.user_id for person in stretch.people]
            yield stretch, self._finding.cards_of(session, user_id, ids, cache)

    def _total(self, session: Session, edition: Edition | None, kind: int) -> Total:
        if edition is not None:
            return Total.of(edition.sizes[kind])
        some = select(HotPerson.user_id).where(HotPerson.shelf.in_(shelves_for(*KINDS[kind])))
        return count_up_to_most(session, some)

    # --- where people come from

    def _from(
        self, session: Session, edition: Edition | None, kind: int, page: PageRequest
    ) -> Iterator[_Stretch]:
        """The people from a page's first one on."""
        if edition is not None:
            stretches = self._in_edition(edition, kind, page.offset, page.count + _LOOKAHEAD)
            try:
                first = next(stretches, None)
            except EditionLost:
                self._forget(edition)
            else:
                if first is not None:
                    yield first
                    yield from self._or_sql(session, stretches, kind, first.end)
                return
        if page.offset < self._editions.size:
            yield from self._in_sql(session, kind, None, page.offset)

    def _after(
        self, session: Session, edition: Edition | None, kind: int, position: _Position, count: int
    ) -> Iterator[_Stretch]:
        """The people after a position."""
        _, rank, score, user_id = position
        if edition is None:
            return self._in_sql(session, kind, Ranked(user_id, score), 0)
        stretches = self._in_edition(edition, kind, rank, count + _LOOKAHEAD)
        return self._or_sql(session, stretches, kind, position)

    def _or_sql(
        self, session: Session, stretches: Iterator[_Stretch], kind: int, last: _Position
    ) -> Iterator[_Stretch]:
        """Read these people; if they are lost on the way, SQL goes on after the last one."""
        try:
            for stretch in stretches:
                last = stretch.end
                yield stretch
        except EditionLost:
            _, _, score, user_id = last
            yield from self._in_sql(session, kind, Ranked(user_id, score), 0)

    def _forget(self, edition: Edition) -> None:
        try:
            self._editions.forget(edition.name)
        except RedisDown:
            # Then there is nothing to forget: whoever reads next asks SQL.
            return

    def _in_edition(self, edition: Edition, kind: int, rank: int, first: int) -> Iterator[_Stretch]:
        """From a rank on; :param first: how many in the first stretch."""
        size, count = edition.sizes[kind], first
        while rank < size:
            people = self._editions.read(edition.name, kind, size, rank, count)
            yield _Stretch(edition.name, rank, people)
            rank += len(people)
            count = _BATCH

    @staticmethod
    def _in_sql(session: Session, kind: int, after: Ranked | None, skip: int) -> Iterator[_Stretch]:
        shelves = shelves_for(*KINDS[kind])
        while True:
            rows: list[Any] = []
            for shelf in shelves:
                # One shelf at a time: each is one walk of an index.
                best = select(HotPerson.score, HotPerson.user_id).where(HotPerson.shelf == shelf)
                if after is not None:
                    is_after = or_(HotPerson.score < after.score, HotPerson.user_id < after.user_id)
                    best = best.where(HotPerson.score <= after.score, is_after)
                best = best.order_by(HotPerson.score.desc(), HotPerson.user_id.desc())
                rows += session.execute(best.limit(skip + _BATCH))
            rows = sorted(map(tuple, rows), reverse=True)[skip : skip + _BATCH]
            people = [Ranked(user_id, score) for score, user_id in rows]
            if people:
                yield _Stretch("", 0, people)
            if len(people) < _BATCH:
                return
            after, skip = people[-1], 0


def _first_found(
    people: Sequence[Ranked], found: Found, most: int
) -> tuple[tuple[tuple[int, bytes], ...], int]:
    """The first of these people who are found, for `Found.joined`, and how many were examined for that."""
    chosen: list[tuple[int, bytes]] = []
    for at, person in enumerate(people):
        if person.user_id in found.cards:
            chosen.append((person.user_id, b""))
            if len(chosen) == most:
                return tuple(chosen), at + 1
    return tuple(chosen), len(people)
