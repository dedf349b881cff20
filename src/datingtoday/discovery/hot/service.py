"""The hot list as a viewer gets it: the edition's people who fit, without those whom the viewer may not find.

`docs/hot-list.md` tells why somebody is on top.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from datingtoday.discovery.hot.editions import KINDS, Edition, EditionLost, Editions, Ranked
from datingtoday.discovery.hot.models import HotPerson
from datingtoday.discovery.hot.ranking import shelves_for
from datingtoday.infra.cache import NOTHING_AHEAD, ReadAhead
from datingtoday.infra.redis import RedisDown
from datingtoday.profiles.cards.entries import Cards
from datingtoday.profiles.cards.finding import Finding
from datingtoday.profiles.cards.found import Found
from datingtoday.protocol.envelope import ReadyJson
from datingtoday.protocol.errors import ParameterError
from datingtoday.protocol.paging import MAX_TOTAL, Cursors, PageRequest, Total, page_answer

_NAME = "hot"
_ASIDE = 2
"""People behind a page who are looked at together with it, to know whether there is another one."""
_MAX_REFILLED = 100
"""People whom the viewer may not find who are replaced on a page that was asked for by cursor."""
_MAX_AHEAD = 500
"""People who are looked at to know whether there is another page."""
_BATCH = 50
"""People who are looked at at once behind a page's own."""
_EVERYBODY = 0
_MAX_KINDS = 100_000


_Position = tuple[str, int, float, int]
"""Behind somebody in the list: edition ("" for SQL), rank, score, id."""


class _Stretch(NamedTuple):
    """Some people of the list, one behind the other."""

    edition: str
    """"" for SQL."""
    rank: int
    """Of the first one in the edition, from 0."""
    people: Sequence[Ranked]

    def behind(self, at: int) -> _Position:
        """The position behind one of them."""
        person = self.people[at]
        return self.edition, self.rank + at + 1 if self.edition else 0, person.score, person.user_id

    @property
    def end(self) -> _Position:
        """The position behind the last one."""
        return self.behind(len(self.people) - 1)


_Judged = tuple[_Stretch, Found]
"""Some people, and the cards of those among them whom the viewer may find."""


class HotList:
    """Makes pages.

    :param personal: False: the same order for everybody, whatever they want.
    """

    def __init__(
        self, editions: Editions, finding: Finding, cards: Cards, cursors: Cursors, *, personal: bool
    ) -> None:
        self._editions = editions
        self._finding = finding
        self._cards = cards
        self._cursors = cursors
        self._personal = personal
        self._kinds: dict[int, int] = {}
        """What kind viewers were the last time: for guesses of what they will want."""

    def keys_ahead(self, user_id: int, page: PageRequest) -> list[str]:
        """The entries of the cache that `page` will want, as far as this process can guess."""
        name: str | None = None
        kind: int | None = None
        if page.cursor is None:
            kind, rank = self._kinds.get(user_id), page.offset
        else:
            try:
                name, kind, _, rank, *_ = self._cursors.read(_NAME, user_id, page.cursor)
            except ParameterError:
                return []
        people = self._editions.remembered(name, kind, rank, page.count + _ASIDE) if kind is not None else []
        keys = self._finding.keys(user_id, [ranked.user_id for ranked in people])
        return keys if page.cursor is not None else [self._cards.wishes_key(user_id), *keys]

    def page(
        self,
        session: Session,
        user_id: int,
        page: PageRequest,
        now: datetime,
        ahead: ReadAhead = NOTHING_AHEAD,
    ) -> ReadyJson:
        """Cards of the hottest people who fit the viewer.

        Page ``number`` is that stretch of the newest edition without those whom the viewer may not find. A page by
        cursor goes on in the edition in which the reading began, and is filled up. With Redis down, or its edition
        lost, SQL serves from the same score on: nobody comes twice, but who rose meanwhile is passed over.

        :param ahead: what was read of `keys_ahead`.
        :raises ParameterError: the cursor is not one of this list and person.
        """
        if not ahead:
            ahead = self._finding.look(self.keys_ahead(user_id, page))
        if page.cursor is None:
            edition = self._editions.newest(now)
            kind = self._kind_of(user_id, now, ahead)
            total = self._total(session, edition, kind)
            stretches = self._from(session, edition, kind, page)
            wanted = page.count
        else:
            name, kind, size, rank, score, last_id, number, more = self._cursors.read(
                _NAME, user_id, page.cursor
            )
            total = Total(number, more)
            edition = Edition(name, now, (size,) * len(KINDS)) if name else None
            stretches = self._behind(session, edition, kind, (name, rank, score, last_id), page.count)
            wanted = page.count + _MAX_REFILLED
        judged = self._judged(session, user_id, stretches, now, ahead)
        signature_of = self._cards.signer.for_viewer(user_id)
        shown: list[ReadyJson] = []
        missing = page.count
        last: tuple[_Stretch, int] | None = None
        has_more = False
        for stretch, found in judged:
            people, looked_at = _first_found(stretch.people[:wanted], found, missing)
            cards = found.joined(people)
            if cards is not None:
                shown.append(cards.signed(signature_of))
            missing -= len(people)
            wanted -= looked_at
            last = stretch, looked_at - 1
            if not missing or not wanted:
                # With a page's number the stretch counts, visible or not.
                behind = any(person.user_id in found.cards for person in stretch.people[looked_at:])
                has_more = behind or self._goes_on(judged)
                break
        next_ = None
        if has_more and last is not None:
            stretch, at = last
            name, rank, score, last_id = stretch.behind(at)
            size = edition.sizes[kind] if name and edition is not None else 0
            position = [name, kind, size, rank, score, last_id, total.number, total.more]
            next_ = self._cursors.write(_NAME, user_id, position)
        return page_answer(shown, total=total, has_next=has_more, next_=next_)

    def _kind_of(self, user_id: int, now: datetime, ahead: ReadAhead) -> int:
        wishes = self._cards.wishes_of(user_id, now, ahead)
        is_personal = self._personal and wishes.personal
        kind = KINDS.index((wishes.gender, wishes.sexual)) if is_personal else _EVERYBODY
        if len(self._kinds) >= _MAX_KINDS:
            self._kinds.clear()
        self._kinds[user_id] = kind
        return kind

    @staticmethod
    def _goes_on(judged: Iterator[_Judged]) -> bool:
        looked_at = 0
        for stretch, found in judged:
            looked_at += len(stretch.people)
            # So many whom one may not find in a row: the next page will go on looking.
            if found.cards or looked_at >= _MAX_AHEAD:
                return True
        return False

    def _judged(
        self,
        session: Session,
        user_id: int,
        stretches: Iterator[_Stretch],
        now: datetime,
        ahead: ReadAhead,
    ) -> Iterator[_Judged]:
        for stretch in stretches:
            ids = [person.user_id for person in stretch.people]
            yield stretch, self._finding.cards_of(session, user_id, ids, now, ahead)

    def _total(self, session: Session, edition: Edition | None, kind: int) -> Total:
        if edition is not None:
            return Total.of(edition.sizes[kind])
        some = select(HotPerson.user_id).where(HotPerson.shelf.in_(shelves_for(*KINDS[kind])))
        counted = select(func.count()).select_from(some.limit(MAX_TOTAL + 1).subquery())
        return Total.of(session.scalar(counted) or 0)

    # --- where people come from

    def _from(
        self, session: Session, edition: Edition | None, kind: int, page: PageRequest
    ) -> Iterator[_Stretch]:
        """The people from a page's first one on."""
        if edition is not None:
            stretches = self._in_edition(edition, kind, page.offset, page.count + _ASIDE)
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

    def _behind(
        self, session: Session, edition: Edition | None, kind: int, position: _Position, count: int
    ) -> Iterator[_Stretch]:
        """The people behind a position."""
        _, rank, score, user_id = position
        if edition is None:
            return self._in_sql(session, kind, Ranked(user_id, score), 0)
        stretches = self._in_edition(edition, kind, rank, count + _ASIDE)
        return self._or_sql(session, stretches, kind, position)

    def _or_sql(
        self, session: Session, stretches: Iterator[_Stretch], kind: int, last: _Position
    ) -> Iterator[_Stretch]:
        """These people; if they are lost on the way, SQL goes on behind the last one."""
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
                    is_behind = or_(HotPerson.score < after.score, HotPerson.user_id < after.user_id)
                    best = best.where(HotPerson.score <= after.score, is_behind)
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
    """The first of these people who are found, for `Found.joined`, and how many were looked at for them."""
    chosen: list[tuple[int, bytes]] = []
    for at, person in enumerate(people):
        if person.user_id in found.cards:
            chosen.append((person.user_id, b""))
            if len(chosen) == most:
                return tuple(chosen), at + 1
    return tuple(chosen), len(people)
