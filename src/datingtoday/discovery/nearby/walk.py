"""The walk outward from a cell, over whom one finds on the way: nearest band first, within a band in the daily order.

It asks for the tiles of the next band only when the bands before it did not yield enough, and within a band for a few
buckets at a time: how much it looks at does not depend on how many people there are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from datingtoday.discovery.nearby.daily_order import DailyOrder
from datingtoday.discovery.nearby.entries import Bucket, Counts, TileEntries, bits_for, is_current
from datingtoday.discovery.nearby.grid import BANDS_KM, BANDS_M, Grid
from datingtoday.discovery.nearby.places import Places
from datingtoday.infra.cache import CacheRequest
from datingtoday.infra.cache_reader import CacheReader
from datingtoday.infra.paired import paired
from datingtoday.protocol.paging import MAX_TOTAL

BUCKETS_AT_ONCE = 64


class WalkPosition(NamedTuple):
    """Position of a walk: a person's place in it."""

    band: int
    cell: int
    """By its daily order, not its number."""
    bits: int
    turn: int
    person: int
    """By the daily order."""


START = WalkPosition(0, -1, 0, 0, -1)


class FoundPerson(NamedTuple):
    """A person met on the way."""

    user_id: int
    distance_km: int
    """The upper bound of the band."""
    position: WalkPosition


class _Piece(NamedTuple):
    """A bucket that comes next."""

    band: int
    cell: int
    bits: int
    turn: int
    bucket: Bucket
    expected: float


class View(NamedTuple):
    """Viewer, location and filters of a walk."""

    viewer_id: int
    cell: int
    radius_km: int
    gender: int | None
    as_of_s: float | None
    """Moment at which the list began, in seconds since 1970; None: now."""


class Walk:
    """One walk, used once.

    :param own: counts of the viewer's cell, known beforehand: its first bucket is then fetched together with its tile.
    """

    def __init__(
        self,
        cache: CacheReader,
        places: Places,
        order: DailyOrder,
        view: View,
        *,
        own: Counts | None = None,
    ) -> None:
        self._cache = cache
        self._places = places
        self._grid: Grid = places.grid
        self._order = order
        self._view = view
        self._last_band = BANDS_KM.index(view.radius_km)
        self._known = -1
        """Up to this band all tiles were asked for."""
        self._tiles: set[int] = set()
        self._cells: list[dict[int, Counts]] = [{} for _ in BANDS_KM]
        """Cells of the tiles known so far, by band."""
        self._fetched: dict[Bucket, bytes | None] = {}
        self._requests: list[CacheRequest[Any]] = []
        self._entries: list[bytes | None] = []
        if own is not None:
            bits = bits_for(own.of(view.gender))
            first = Bucket(view.cell, view.gender, bits, order.bucket(view.cell, bits, 0))
            self._fetch([Grid.tile_of(view.cell)], [first])

    def meet(self, after: WalkPosition, at_once: int) -> Iterator[FoundPerson]:
        """Everybody after a position, in order; never the viewer, and nobody twice.

        :param at_once: about how many will be wanted.
        """
        met = {self._view.viewer_id}
        waiting: list[_Piece] = []
        expected = 0.0
        for piece in self._pieces(after):
            waiting.append(piece)
            expected += piece.expected
            if expected >= at_once or len(waiting) >= BUCKETS_AT_ONCE:
                yield from self._people(waiting, after, met)
                waiting, expected = [], 0.0
        yield from self._people(waiting, after, met)

    def count(self) -> int:
        """Number of people shown within the radius, perhaps with the viewer; more than `MAX_TOTAL` is enough."""
        number = self._count_known()
        if number <= MAX_TOTAL + 1:
            self.know_all()
            number = self._count_known()
        return number

    def entries_used(self) -> tuple[list[CacheRequest[Any]], list[bytes | None]]:
        """The entries that all answers so far follow from."""
        return self._requests, self._entries

    def know_all(self) -> None:
        """Ask for all tiles within the radius together: for walks that will go far, because few people are near."""
        self._know(self._last_band)

    def _count_known(self) -> int:
        number = 0
        for cells in self._cells[: self._last_band + 1]:
            for counts in cells.values():
                number += counts.of(self._view.gender)
                if number > MAX_TOTAL + 1:
                    return number
        return number

    # --- the order

    def _pieces(self, after: WalkPosition) -> Iterator[_Piece]:
        for band in range(after.band, self._last_band + 1):
            self._know(band)
            in_order = sorted((self._order.cell(cell), cell) for cell in self._cells[band])
            for place, cell in in_order:
                if band == after.band and place < after.cell:
                    continue
                count = self._cells[band][cell].of(self._view.gender)
                is_begun = band == after.band and place == after.cell
                bits, turn = (after.bits, after.turn) if is_begun else (bits_for(count), 0)
                if not is_current(bits, count) or (count == 0 and self._view.as_of_s is None):
                    continue
                for number in range(turn, 1 << bits):
                    bucket = Bucket(cell, self._view.gender, bits, self._order.bucket(cell, bits, number))
                    yield _Piece(band, place, bits, number, bucket, count / (1 << bits))

    def _people(self, pieces: Sequence[_Piece], after: WalkPosition, met: set[int]) -> Iterator[FoundPerson]:
        self._fetch([], [piece.bucket for piece in pieces])
        buckets = self._places.buckets
        for piece in pieces:
            members = buckets.load(self._fetched.pop(piece.bucket)).at(self._view.as_of_s)
            distance_km = BANDS_KM[piece.band]
            for person, user_id in sorted((self._order.person(user_id), user_id) for user_id in members):
                position = WalkPosition(*piece[:4], person)
                if position > after and user_id not in met:
                    met.add(user_id)
                    yield FoundPerson(user_id, distance_km, position)

    # --- what is known

    def _know(self, band: int) -> None:
        """The cells of a band, and of all before it."""
        if band > self._known:
            self._known = band
            tiles = self._grid.tiles_around(self._view.cell, BANDS_M[band])
            self._fetch([tile for tile in tiles if tile not in self._tiles], [])

    def _fetch(self, tiles: Sequence[int], buckets: Sequence[Bucket]) -> None:
        """Tiles and buckets in one round trip; what is known already is not asked for again."""
        places = self._places
        new = [bucket for bucket in buckets if bucket not in self._fetched]
        requests: list[CacheRequest[Any]] = [CacheRequest(places.tiles, tile) for tile in tiles]
        requests += [CacheRequest(places.buckets, bucket) for bucket in new]
        found = self._cache.fetch(requests)
        self._requests += requests
        self._entries += found
        self._fetched.update(paired(new, found[len(tiles) :]))
        self._tiles.update(tiles)
        for data in found[: len(tiles)]:
            for known, cells in paired(self._cells, _by_band(self._grid, self._view.cell, data)):
                known.update(cells)


@lru_cache(maxsize=256)
def _by_band(grid: Grid, here: int, tile: bytes | None) -> tuple[dict[int, Counts], ...]:
    """The cells of a tile's entry, by their band as seen from a cell; those beyond the last one are left out.

    Remembered, since whoever goes on in a list, or looks around from the same cell, meets the same tiles.
    """
    bands: tuple[dict[int, Counts], ...] = tuple({} for _ in BANDS_KM)
    for cell, counts in TileEntries.load(tile).items():
        band = grid.band(here, cell)
        if band < len(BANDS_KM):
            bands[band][cell] = counts
    return bands
