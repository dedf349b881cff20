"""Entries of nearby that are made by hand, and walks over them."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

import orjson

from datingtoday.discovery.nearby.daily_order import DailyOrder
from datingtoday.discovery.nearby.entries import Bucket, TileEntries
from datingtoday.discovery.nearby.grid import Grid
from datingtoday.discovery.nearby.places import PlaceRules, Places
from datingtoday.discovery.nearby.walk import FoundPerson, View, Walk, WalkPosition
from datingtoday.infra.cache import CacheRequest

ANYTHING: Any = None
GRID = Grid(2200)
PLACES = Places(ANYTHING, GRID, PlaceRules(edge_m=200, move_delay_s=600, active=timedelta(days=30)))
HERE = GRID.cell_of(31.23, 121.47)
ORDER = DailyOrder(b"k" * 32, 739_000)


def east(cells: int) -> int:
    """A cell so many to the east."""
    latitude, longitude = GRID.centre(HERE)
    west, right = GRID.bounds(HERE)[1::2]
    return GRID.cell_of(latitude, longitude + cells * (right - west))


class World:
    """The cache's entries: people by cell, each with a lot; the user ids are their numbers."""

    def __init__(self, people: Mapping[int, int], counts: Mapping[int, int] | None = None) -> None:
        self.cell_of: dict[int, int] = {}
        for cell, number in people.items():
            for _ in range(number):
                self.cell_of[len(self.cell_of) + 1] = cell
        self.counts = {**people, **(counts or {})}
        self.met_in: dict[int, int] = {}
        """Further cells in which people are met."""
        self.asked: list[list[Any]] = []

    def fetch(self, requests: Sequence[CacheRequest[Any]]) -> list[bytes]:
        if requests:
            self.asked.append([request.what for request in requests])
        return [self._entry(request.what) for request in requests]

    def _entry(self, what: Any) -> bytes:
        if isinstance(what, Bucket):
            # Everybody's lot is the id, turned around: spread over all buckets.
            lots = {user_id: int(f"{user_id:031b}"[::-1], 2) for user_id in self.cell_of}
            here = [it for it, cell in self.cell_of.items() if cell == what.cell and lots[it] in what.lots]
            here += [it for it, cell in self.met_in.items() if cell == what.cell]
            return orjson.dumps([here, [], []])
        rows = [[cell, 0, many, 0] for cell, many in self.counts.items() if Grid.tile_of(cell) == what]
        return zlib.compress(orjson.dumps(rows))

    def walk(
        self, *, viewer_id: int = 0, radius_km: int = 50, began_s: float | None = None, own: Any = None
    ) -> Walk:
        cache: Any = self
        return Walk(cache, PLACES, ORDER, View(viewer_id, HERE, radius_km, None, began_s), own=own)

    def buckets_asked(self) -> list[int]:
        """Number of buckets in each conversation."""
        sizes = [sum(isinstance(what, Bucket) for what in asked) for asked in self.asked]
        return [size for size in sizes if size]


class MadeWalk:
    """A walk that meets so many people after asking for so many entries."""

    def __init__(self, people: int, entries: int, value: bytes | None = b"+1") -> None:
        self._people = people
        requests = [CacheRequest(TileEntries(), number) for number in range(entries)]
        self.used = requests, [value] * entries

    def count(self) -> int:
        return self._people

    def meet(self, after: WalkPosition, at_once: int) -> Iterator[FoundPerson]:
        for number in range(self._people):
            yield FoundPerson(number, 2, WalkPosition(0, 0, 0, 0, number))

    def entries_used(self) -> tuple[Any, Any]:
        return self.used
