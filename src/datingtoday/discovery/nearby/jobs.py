"""Work on places without a request, or beside one, in small transactions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import delete, exists, func, or_, select
from sqlalchemy.orm import Session

from datingtoday.discovery.nearby.entries import NOBODY, REMEMBERED, Bucket, Counts, bits_for, counts_of
from datingtoday.discovery.nearby.grid import Grid
from datingtoday.discovery.nearby.models import Location, LocationCell
from datingtoday.discovery.nearby.places import Places
from datingtoday.infra.cache import CacheRequest, ReadyCache
from datingtoday.infra.db import Database
from datingtoday.profiles.enumerations import GENDER

MAX_MOVED_AT_ONCE = 50
"""People of one kind whom one tending changes."""
_PEOPLE_AT_ONCE = 500
_CELLS_AT_ONCE = 100
_COUNTED_AT_ONCE = 20_000
_FETCHED_AT_ONCE = 64


MOVES_EVERY_S = 1.0
"""Maximum delay of a move after it is due."""


def has_moves(database: Database, now: datetime) -> bool:
    """True if `tend` has something to do."""
    with database.reading() as session:
        due, lapsed = exists().where(Location.pending_due <= now), exists().where(Location.shown_until <= now)
        return bool(session.scalar(select(or_(due, lapsed))))


def apply_all_due_moves(
    database: Database,
    places: Places,
    now: datetime,
    *,
    report_progress: Callable[[int], None] = lambda done: None,
) -> int:
    """Call `apply_due_moves` until nothing is due; the number of people.

    :param report_progress: called after every step with the number of people so far.
    """
    done = 0
    while some := apply_due_moves(database, places, now):
        done += some
        report_progress(done)
    return done


def apply_due_moves(database: Database, places: Places, now: datetime) -> int:
    """Let moves that are due take effect, and take off who was not seen for long; how many people it was.

    May run in any number of processes at once: each move takes effect once.
    """
    with database.reading() as session:
        moving = session.scalars(
            select(Location.user_id)
            .where(Location.pending_due <= now)
            .order_by(Location.pending_due)
            .limit(MAX_MOVED_AT_ONCE)
        ).all()
        lapsed = session.scalars(
            select(Location.user_id)
            .where(Location.shown_until <= now)
            .order_by(Location.shown_until)
            .limit(MAX_MOVED_AT_ONCE)
        ).all()
    if moving:
        database.retried(lambda session: places.take_effect(session, moving, now))
    if lapsed:
        database.retried(lambda session: places.refresh(session, lapsed, now))
    return len(moving) + len(lapsed)


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """Result of a rebuilding."""

    people: int
    cells: int
    corrected: int
    """Cells whose count was wrong."""
    buckets: int
    """Entries that were put into the cache."""


class Rebuilding:
    """Puts right in SQL who is shown where, from what was reported and from the profiles, and fills the cache.

    May run beside servers, be stopped, and run twice: each step is a transaction of its own.

    :param report_progress: called after every step with what is being done and how much of it is done so far.
    """

    def __init__(
        self,
        database: Database,
        places: Places,
        cache: ReadyCache,
        now: datetime,
        report_progress: Callable[[str, int], None] = lambda what, done: None,
    ) -> None:
        self._database = database
        self._places = places
        self._cache = cache
        self._now = now
        self._tell = report_progress

    def run(self) -> Rebuilt:
        """:raises DatabaseDown: what was done until then stays done."""
        people = self._people()
        cells, corrected = self._count()
        return Rebuilt(people, cells, corrected, self.fill())

    # --- people

    def _people(self) -> int:
        done = last = 0
        while user_ids := self._next_people(last):
            self._database.retried(
                lambda session, chosen=user_ids: self._places.repair(session, chosen, self._now),  # type: ignore[misc]
            )
            last = user_ids[-1]
            done += len(user_ids)
            self._tell("people", done)
        return done

    def _next_people(self, last: int) -> Sequence[int]:
        with self._database.reading() as session:
            return session.scalars(
                select(Location.user_id)
                .where(Location.user_id > last)
                .order_by(Location.user_id)
                .limit(_PEOPLE_AT_ONCE)
            ).all()

    # --- counts

    def _count(self) -> tuple[int, int]:
        done = corrected = 0
        for cells in self._cells():
            corrected += self._database.retried(
                lambda session, chosen=cells: self._recount(session, chosen),  # type: ignore[misc]
            )
            done += len(cells)
            self._tell("cells", done)
        return done, corrected

    def _cells(self) -> Iterator[list[int]]:
        """All cells that have or had people, a few at once."""
        last = 0
        while True:
            with self._database.reading() as session:
                counted = {
                    row.cell: sum(counts_of(row))
                    for row in session.scalars(
                        select(LocationCell)
                        .where(LocationCell.cell > last)
                        .order_by(LocationCell.cell)
                        .limit(_CELLS_AT_ONCE)
                    )
                }
                shown = session.scalars(
                    select(Location.shown_cell)
                    .where(Location.shown_cell > last)
                    .distinct()
                    .order_by(Location.shown_cell)
                    .limit(_CELLS_AT_ONCE)
                ).all()
            found = sorted(counted.keys() | {cell for cell in shown if cell is not None})[:_CELLS_AT_ONCE]
            if not found:
                return
            group: list[int] = []
            people = 0
            for cell in found:
                group.append(cell)
                people += counted.get(cell, 0)
                if people >= _COUNTED_AT_ONCE:
                    break
            last = group[-1]
            yield group

    def _recount(self, session: Session, cells: Sequence[int]) -> int:
        """Whoever comes or goes meanwhile has been counted here, or waits for these rows and counts afterwards."""
        rows = {
            row.cell: row
            for row in session.scalars(
                select(LocationCell)
                .where(LocationCell.cell.in_(cells))
                .order_by(LocationCell.cell)
                .with_for_update()
            )
        }
        for cell in cells:
            if cell not in rows:
                rows[cell] = LocationCell(cell=cell, **NOBODY._asdict(), changed_at=self._now)
                session.add(rows[cell])
        people: Any = session.execute(
            select(Location.shown_cell, Location.gender, func.count())
            .where(Location.shown_cell.in_(cells))
            .group_by(Location.shown_cell, Location.gender)
        )
        true = {cell: [0, 0, 0] for cell in cells}
        for cell, gender, number in people:
            true[cell][gender] = number
        corrected = 0
        keys: set[str] = set()
        for cell, row in rows.items():
            now_is = Counts(*true[cell])
            corrected += Counts(row.unknown, row.men, row.women) != now_is
            row.unknown, row.men, row.women = now_is
            keys.add(self._places.tiles.key(Grid.tile_of(cell)))
            keys.update(self._places.buckets.key(bucket) for bucket in _buckets_of(cell, now_is))
        session.execute(
            delete(LocationCell).where(
                LocationCell.cell.in_(cells),
                LocationCell.unknown + LocationCell.men + LocationCell.women == 0,
                LocationCell.changed_at < self._now - REMEMBERED,
            )
        )
        self._cache.forget(session, keys)
        return corrected

    # --- cache

    def fill(self) -> int:
        """Only the cache, where SQL is right as it is; how many entries that were. :raises DatabaseDown:"""
        done = 0
        for cells in self._cells():
            tiles = sorted({Grid.tile_of(cell) for cell in cells if self._places.grid.knows(cell)})
            found = self._cache.fetch([CacheRequest(self._places.tiles, tile) for tile in tiles], self._now)
            known: dict[int, Counts] = {}
            for data in found:
                known.update(self._places.tiles.load(data))
            buckets = [bucket for cell in cells for bucket in _buckets_of(cell, known.get(cell, NOBODY))]
            for start in range(0, len(buckets), _FETCHED_AT_ONCE):
                part = buckets[start : start + _FETCHED_AT_ONCE]
                self._cache.fetch([CacheRequest(self._places.buckets, bucket) for bucket in part], self._now)
                done += len(part)
                self._tell("entries", done)
        return done


def _buckets_of(cell: int, counts: Counts) -> Iterator[Bucket]:
    """Every bucket with people in it, as the lists ask for them."""
    for gender in (None, *GENDER.numbers):
        count = counts.of(gender)
        if count:
            bits = bits_for(count)
            yield from (Bucket(cell, gender, bits, number) for number in range(1 << bits))
