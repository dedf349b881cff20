"""Pages of who is nearby on entries made by hand: what is read for them, and at once."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from datingtoday.discovery.nearby.daily_order import Orders
from datingtoday.discovery.nearby.entries import NO_PLACE, Bucket, Counts, Place
from datingtoday.discovery.nearby.grid import Grid
from datingtoday.discovery.nearby.pages import NearbyList, NearbyQuery, _Start
from datingtoday.discovery.nearby.walk import START, View
from datingtoday.discovery.nearby.walk_memory import FirstPage, Question
from datingtoday.protocol.paging import PageRequest, Total
from tests.discovery.worlds import ANYTHING, GRID, HERE, PLACES, MadeWalk, World, east

DAY = 739_000


def cards(user_ids: Any) -> list[str]:
    return [f"card:{user_id}" for user_id in user_ids]


@pytest.fixture
def pages() -> NearbyList:
    finding: Any = SimpleNamespace(card_keys=cards, viewer_key=lambda user_id: f"circle:{user_id}")
    return NearbyList(PLACES, Orders(b"k" * 32), finding, ANYTHING, ANYTHING)


def query(count: int) -> NearbyQuery:
    return NearbyQuery(50, None, PageRequest(1, count, None))


def start(viewer_id: int, began_s: float | None = None) -> _Start:
    view = View(viewer_id, HERE, 50, None, began_s)
    return _Start(view, DAY, 0.0, START, 0, None, None)


class Held:
    """A reader of entries that a page follows from, held by the cache."""

    def __init__(self, first: FirstPage) -> None:
        self._first = first
        self._read: dict[str, bytes | None] = {}
        self.ahead: list[list[str]] = []

    def value(self, key: str) -> bytes | None:
        return self._read.get(key)

    def values(self, keys: Any) -> list[bytes | None]:
        return [self._read.get(key) for key in keys]

    def read_ahead(self, keys: list[str]) -> None:
        self.ahead.append(keys)
        self._read.update(zip(self._first.keys, self._first.values, strict=True))


def test_a_page_that_others_got_is_compared_with_one_look_at_the_cache(pages: NearbyList) -> None:
    made: Any = MadeWalk(9, 2)
    first = pages._first_pages.walk(Question(DAY, HERE, 50, None, 0, 5), made)
    cache: Any = Held(first)
    for _ in range(2):
        reading = pages._first_page(99, start(99), NO_PLACE, query(5), cache)
        assert reading.shown == first.page and reading.shown.ids == [0, 1, 2, 3, 4, 5, 6]
        assert reading.total == (9, False)
        # Its entries, the viewer's circle, and the cards of whoever may be shown.
        assert cache.ahead == [["counts:0", "counts:1", "circle:99", *cards(range(8))]]
    # Whoever is among those who are met sees the others.
    place = Place(HERE, HERE, False, 0.0, True, 1, Counts(0, 9, 0))
    reading = pages._first_page(3, start(3), place, query(5), cache)
    assert reading.shown.ids == [0, 1, 2, 4, 5, 6, 7]
    assert reading.total == (8, False)


@pytest.mark.parametrize(("total", "is_all_asked"), [(Total(1000, True), False), (Total(8), True)])
def test_a_page_by_cursor_asks_for_its_people_at_once(
    pages: NearbyList, total: Total, is_all_asked: bool
) -> None:
    """And for all tiles, where few people are within the radius."""
    world: Any = World({HERE: 2, east(2): 2, east(3): 2, east(4): 2, east(5): 2})
    reading = pages._next_page(start(99, 5.0), total, 3, world)
    assert (len(reading.shown.here), len(reading.shown.further), reading.total) == (3, 2, total)
    tiles = [{what for what in asked if not isinstance(what, Bucket)} for asked in world.asked]
    everywhere = set(GRID.tiles_around(HERE, 50_000))
    assert (tiles[0] == everywhere) is is_all_asked
    if is_all_asked:
        # Three people and two more are expected in three cells.
        assert world.buckets_asked() == [3]
        assert tiles[1:] == [set()]
    assert Grid.tile_of(HERE) in tiles[0]
    assert len(list(reading.rest)) == 5
