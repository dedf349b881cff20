"""Cache entries for nearby: places, tile counts and buckets, made from SQL in small pieces on demand.

Three kinds of entries (`infra/cache.py`), each made by statements that look at a bounded number of rows:

    place   of a person: the cell they are in, and what spares a report from writing
    tile    some 256 neighbouring cells: how many people are shown in each
    bucket  some 16 to 32 people of one cell: a crowded cell has many buckets, by the lots that its people drew

Losing any of them, or all, costs nothing but making them again. Whoever changes where people are shown calls `forget`
in the same transaction.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, NamedTuple

import orjson
from sqlalchemy import ColumnElement, Row, and_, or_, select
from sqlalchemy.orm import Session

from datingtoday.discovery.nearby.grid import Grid
from datingtoday.discovery.nearby.models import LOT_BITS, Location, LocationCell
from datingtoday.infra.cache import CacheEntry
from datingtoday.profiles.enumerations import GENDER
from datingtoday.profiles.standing import with_activity

KEPT_S = 600
REMEMBERED = timedelta(hours=1)
"""Time for which a viewer who pages through a list keeps finding people where they were when it began."""
MAX_BUCKET = 32
"""Maximum average number of people in a bucket; at least half of that where a cell has more."""
MAX_BITS = 16
_BITS_ASIDE = 2
"""Readers may know counts of a few minutes ago: buckets of so many more halvings than needed are forgotten, too."""
_CELLS_AT_ONCE = 200
_RANGES_AT_ONCE = 100
_MAX_PLACES_LOADED = 2_000
"""Places that a process keeps: who looks around does so more than once."""


class Counts(NamedTuple):
    """People shown in a cell, by gender."""

    unknown: int
    men: int
    women: int

    def of(self, gender: int | None) -> int:
        """:param gender: None for all."""
        return sum(self) if gender is None else self[gender]


NOBODY = Counts(0, 0, 0)


class Bucket(NamedTuple):
    """Number ``number`` of the ``2 ** bits`` buckets of a cell; ``gender`` None for all."""

    cell: int
    gender: int | None
    bits: int
    number: int

    @property
    def lots(self) -> range:
        shift = LOT_BITS - self.bits
        return range(self.number << shift, (self.number + 1) << shift)


def bits_for(count: int) -> int:
    """Into how many buckets, as a power of two, a cell with so many people is divided."""
    return min(MAX_BITS, max(0, (count - 1) // MAX_BUCKET).bit_length())


class Place(NamedTuple):
    """A person's location."""

    cell: int | None
    last_cell: int | None
    """The cell that was reported last."""
    is_moving: bool
    reported_s: float
    """Time of the report, in seconds since 1970."""
    is_shown: bool
    gender: int
    counts: Counts
    """Counts of the cell, at most some minutes old."""


NO_PLACE = Place(None, None, False, 0.0, False, 0, NOBODY)


class PlaceEntries:
    """Cache entry: user id → `Place`."""

    def __init__(self, grid: Grid) -> None:
        self._grid = grid

    def key(self, what: int) -> str:
        return f"place:{what}"

    def make(self, session: Session, wanted: Sequence[int], now: datetime) -> Mapping[int, CacheEntry]:
        found = {
            row.user_id: (row, counts)
            for row, counts in session.execute(
                select(Location, LocationCell)
                .outerjoin(LocationCell, LocationCell.cell == Location.cell)
                .where(Location.user_id.in_(wanted))
            )
        }
        return {
            user_id: CacheEntry(self._dump(*found.get(user_id, (None, None))), KEPT_S) for user_id in wanted
        }

    def _dump(self, row: Location | None, counts: LocationCell | None) -> bytes:
        if row is None or row.cell is None or not self._grid.knows(row.cell):
            return b"[]"
        last_cell = last_cell_of(row, self._grid)
        reported_s = 0.0 if row.report_time is None else row.report_time.timestamp()
        many = NOBODY if counts is None else counts_of(counts)
        return orjson.dumps(
            [
                row.cell, last_cell, row.pending_cell is not None, reported_s,
                row.shown_cell is not None, row.gender, *many,
            ]
        )  # fmt: skip

    @staticmethod
    @lru_cache(maxsize=_MAX_PLACES_LOADED)
    def load(data: bytes | None) -> Place:
        values = orjson.loads(data or b"[]")
        if not values:
            return NO_PLACE
        cell, last_cell, is_moving, reported_s, is_shown, gender, *many = values
        return Place(cell, last_cell, is_moving, reported_s, is_shown, gender, Counts(*many))


class TileEntries:
    """Cache entry: tile → `Counts` by cell, also of cells that were left within `REMEMBERED`.

    Compressed: readers compare it with what they know far more often than they look inside.
    """

    def key(self, what: int) -> str:
        return f"counts:{what}"

    def make(self, session: Session, wanted: Sequence[int], now: datetime) -> Mapping[int, CacheEntry]:
        cells: dict[int, list[list[int]]] = {tile: [] for tile in wanted}
        ranges = _ranges(wanted)
        for start in range(0, len(ranges), _RANGES_AT_ONCE):
            within = [
                and_(LocationCell.cell >= first, LocationCell.cell < end)
                for first, end in ranges[start : start + _RANGES_AT_ONCE]
            ]
            for row in session.scalars(select(LocationCell).where(or_(*within))):
                counts = counts_of(row)
                if any(counts) or row.changed_at > now - REMEMBERED:
                    cells[Grid.tile_of(row.cell)].append([row.cell, *counts])
        return {
            tile: CacheEntry(zlib.compress(orjson.dumps(rows), level=1), KEPT_S)
            for tile, rows in cells.items()
        }

    @staticmethod
    def load(data: bytes | None) -> dict[int, Counts]:
        rows = orjson.loads(zlib.decompress(data)) if data else ()
        return {cell: Counts(*counts) for cell, *counts in rows}


@dataclass(frozen=True, slots=True)
class Members:
    """The people of a bucket."""

    settled: list[int]
    arrived: list[tuple[int, float]]
    """Those who came within `REMEMBERED`, and when, in seconds since 1970."""
    left: list[tuple[int, float]]
    """Those who were here before, and when they left."""

    def at(self, as_of_s: float | None) -> list[int]:
        """Ids of the people found here, for a list that began at that moment; None: now."""
        if as_of_s is None:
            return [*self.settled, *(user_id for user_id, _ in self.arrived)]
        return [
            *self.settled,
            *(user_id for user_id, since_s in self.arrived if since_s <= as_of_s),
            *(user_id for user_id, left_s in self.left if left_s > as_of_s),
        ]


class BucketEntries:
    """Cache entry: `Bucket` → `Members`.

    :param active: who has not been seen for longer is not to be found.
    """

    def __init__(self, active: timedelta) -> None:
        self._active = active

    def key(self, what: Bucket) -> str:
        gender = "" if what.gender is None else what.gender
        return f"near:{what.cell}:{gender}:{what.bits}:{what.number}"

    def make(self, session: Session, wanted: Sequence[Bucket], now: datetime) -> Mapping[Bucket, CacheEntry]:
        found: dict[Bucket, tuple[list[Row[Any]], list[Row[Any]]]] = {bucket: ([], []) for bucket in wanted}
        for group in _groups(wanted):
            by_cell = {bucket.cell: bucket for bucket in group}
            for row in self._rows(session, group, now):
                here = by_cell.get(row.shown_cell)
                if here is not None and _holds(here, row):
                    found[here][0].append(row)
            for row in self._left(session, group, now):
                there = by_cell.get(row.left_cell)
                if there is not None and _holds(there, row):
                    found[there][1].append(row)
        return {bucket: self._made(here, left, now) for bucket, (here, left) in found.items()}

    def _rows(self, session: Session, group: Sequence[Bucket], now: datetime) -> Sequence[Row[Any]]:
        lots = group[0].lots
        here = [Location.shown_cell.in_([bucket.cell for bucket in group]), _of_gender(group[0].gender)]
        if group[0].bits:
            here += [Location.lot.between(lots[0], lots[-1])]
        return self._select(session, here, now)

    def _left(self, session: Session, group: Sequence[Bucket], now: datetime) -> Sequence[Row[Any]]:
        gone = [
            Location.left_cell.in_([bucket.cell for bucket in group]),
            Location.cell_since > now - REMEMBERED,
            Location.shown_cell.is_not(None),
        ]
        return self._select(session, gone, now)

    def _select(
        self, session: Session, where: Sequence[ColumnElement[bool]], now: datetime
    ) -> Sequence[Row[Any]]:
        rows = select(
            Location.user_id,
            Location.shown_cell,
            Location.left_cell,
            Location.cell_since,
            Location.gender,
            Location.lot,
        ).where(*where)
        return session.execute(with_activity(rows, Location.user_id, now - self._active)).all()

    def _made(self, here: Sequence[Row[Any]], left: Sequence[Row[Any]], now: datetime) -> CacheEntry:
        remembered_s = (now - REMEMBERED).timestamp()
        settled: list[int] = []
        arrived: list[tuple[int, float]] = []
        for row in here:
            since_s = row.cell_since.timestamp()
            if since_s > remembered_s:
                arrived.append((row.user_id, since_s))
            else:
                settled.append(row.user_id)
        gone = [(row.user_id, row.cell_since.timestamp()) for row in left]
        first_out = min((row.last_active + self._active for row in (*here, *left)), default=None)
        life_s = KEPT_S if first_out is None else min(KEPT_S, (first_out - now).total_seconds())
        return CacheEntry(orjson.dumps([settled, arrived, gone]), life_s)

    @staticmethod
    def load(data: bytes | None) -> Members:
        settled, arrived, left = orjson.loads(data or b"[[],[],[]]")
        return Members(settled, arrived, left)


def bucket_keys(entries: BucketEntries, cell: int, gender: int, lot: int, count: int) -> list[str]:
    """Every entry in which this person may be, in a cell with so many people."""
    return [
        entries.key(Bucket(cell, family, bits, lot >> (LOT_BITS - bits)))
        for bits in range(min(MAX_BITS, bits_for(count) + _BITS_ASIDE) + 1)
        for family in (None, gender)
    ]


def is_current(bits: int, count: int) -> bool:
    """True if buckets of ``bits`` bits are invalidated on a change, in a cell of ``count`` people."""
    return bits <= bits_for(count) + _BITS_ASIDE


def counts_of(row: LocationCell) -> Counts:
    return Counts(max(0, row.unknown), max(0, row.men), max(0, row.women))


def last_cell_of(row: Location, grid: Grid) -> int | None:
    """The cell that the person reported last."""
    if row.latitude is None or row.longitude is None:
        return None
    return grid.cell_of(row.latitude, row.longitude)


def _ranges(tiles: Iterable[int]) -> list[tuple[int, int]]:
    """The ranges of cells of these tiles; those of neighbours within a row are one."""
    ranges: list[tuple[int, int]] = []
    for first, end in map(Grid.cells_of, sorted(tiles)):
        if ranges and ranges[-1][1] == first:
            ranges[-1] = (ranges[-1][0], end)
        else:
            ranges.append((first, end))
    return ranges


def _groups(wanted: Iterable[Bucket]) -> Iterator[list[Bucket]]:
    """Buckets that one statement can read: single ones of crowded cells, and undivided cells together."""
    undivided: dict[int | None, list[Bucket]] = {}
    for bucket in wanted:
        if bucket.bits:
            yield [bucket]
        else:
            undivided.setdefault(bucket.gender, []).append(bucket)
    for group in undivided.values():
        for start in range(0, len(group), _CELLS_AT_ONCE):
            yield group[start : start + _CELLS_AT_ONCE]


def _of_gender(gender: int | None) -> ColumnElement[bool]:
    # Of all: named one by one, so that the index is walked by lots.
    return Location.gender.in_(GENDER.numbers if gender is None else (gender,))


def _holds(bucket: Bucket, row: Row[Any]) -> bool:
    return row.lot in bucket.lots and bucket.gender in (None, row.gender)
