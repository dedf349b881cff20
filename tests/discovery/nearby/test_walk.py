"""The walk outward on entries made by hand: who is met, what is asked for, and what a process remembers of it."""

from __future__ import annotations

import zlib
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import orjson
import pytest

from datingtoday.discovery.nearby.daily_order import Orders
from datingtoday.discovery.nearby.entries import (
    NO_PLACE,
    Bucket,
    Counts,
    Place,
    PlaceEntries,
    last_cell_of,
)
from datingtoday.discovery.nearby.grid import Grid
from datingtoday.discovery.nearby.models import Location
from datingtoday.discovery.nearby.places import PlaceRules, Places
from datingtoday.discovery.nearby.walk import START, _by_band
from datingtoday.discovery.nearby.walk_memory import FirstPageMemory, Question
from tests.discovery.locations import neighbour
from tests.discovery.worlds import ANYTHING, GRID, HERE, ORDER, MadeWalk, World, east


@pytest.fixture
def world() -> World:
    """A crowd here, in four buckets, some cells within 5, 10 and 20 km."""
    return World({HERE: 100, east(2): 3, east(3): 2, east(4): 40, east(7): 3})


def test_a_walk_goes_on_after_any_person(world: World) -> None:
    everybody = list(world.walk().meet(START, 10))
    assert sorted(person.user_id for person in everybody) == list(world.cell_of)
    assert [person.position for person in everybody] == sorted(person.position for person in everybody)
    for at, person in enumerate(everybody):
        assert list(world.walk().meet(person.position, 10)) == everybody[at + 1 :]
    assert [person.distance_km for person in everybody if person.position.band == 0] == [2] * 100


def test_a_walk_goes_on_in_the_buckets_in_which_it_began() -> None:
    """Also when the cell has more people by now, for whom there are more buckets."""
    few, many = (World({HERE: 64, east(2): 9}, counts={HERE: count}) for count in (64, 100))
    everybody = list(few.walk().meet(START, 10))
    for at, person in enumerate(everybody):
        if person.position.band == 0:
            assert list(many.walk().meet(person.position, 10)) == everybody[at + 1 :]
    many.asked.clear()
    assert list(many.walk().meet(everybody[-1].position, 10)) == []
    assert many.buckets_asked() == [1], "no bucket of who was met before"


def test_nobody_is_met_twice(world: World) -> None:
    """Whoever moved meanwhile may be found in two places."""
    world.met_in = {1: east(2), 2: east(7)}
    met = [person.user_id for person in world.walk().meet(START, 10)]
    assert sorted(met) == list(world.cell_of)


def test_tiles_are_looked_for_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[float] = []
    around = GRID.tiles_around

    def noted(cell: int, radius_m: float) -> list[int]:
        looked.append(radius_m)
        return around(cell, radius_m)

    monkeypatch.setattr(GRID, "tiles_around", noted)
    walk = world.walk(radius_km=20)
    list(walk.meet(START, 10))
    list(walk.meet(START, 10))
    assert looked == [2_000, 5_000, 10_000, 20_000]
    looked.clear()
    walk = world.walk(radius_km=20)
    walk.know_all()
    list(walk.meet(START, 10))
    assert looked == [20_000]


def test_the_viewer_is_never_met(world: World) -> None:
    met = [person.user_id for person in world.walk(viewer_id=7).meet(START, 10)]
    assert sorted(met) == [it for it in world.cell_of if it != 7]


def test_nothing_is_asked_for_twice(world: World) -> None:
    walk = world.walk(own=Counts(0, 100, 0))
    first, *_ = walk.meet(START, 30)
    # The first bucket came together with the tile of the viewer's cell.
    assert world.asked[0] == [Grid.tile_of(HERE), Bucket(HERE, None, 2, ORDER.bucket(HERE, 2, 0))]
    assert first.position.turn == 0
    asked = [what for each in world.asked for what in each]
    assert len(asked) == len(set(asked))
    requests, entries = walk.entries_used()
    assert [request.what for request in requests] == asked
    assert entries == [world._entry(what) for what in asked]
    # Every tile within the radius, and no empty cell.
    tiles = {what for what in asked if not isinstance(what, Bucket)}
    assert tiles == set(GRID.tiles_around(HERE, 50_000))
    assert {what.cell for what in asked if isinstance(what, Bucket)} == set(world.cell_of.values())


def test_cells_without_people_are_asked_for_by_lists_that_began_before_they_left() -> None:
    world = World({HERE: 2}, counts={HERE: 2, east(2): 0})
    list(world.walk().meet(START, 10))
    assert world.buckets_asked() == [1]
    list(world.walk(began_s=100.0).meet(START, 10))
    assert world.buckets_asked() == [1, 1, 1] or world.buckets_asked() == [1, 2]


@pytest.mark.parametrize(
    ("people", "at_once", "sizes"),
    [
        # Ten are expected in each: two cells are enough for twenty, and not for twenty-one.
        ({2: 10, 3: 10, 0: 0, 1: 0}, 20, [2]),
        ({2: 10, 3: 10, 1: 10, 0: 0}, 20, [2, 1]),
        ({2: 10, 3: 10, 1: 10, 0: 0}, 21, [3]),
        # 64 in two buckets.
        ({0: 64}, 32, [1, 1]),
        ({0: 64}, 33, [2]),
    ],
)
def test_buckets_are_asked_for_until_enough_people_are_expected(
    people: dict[int, int], at_once: int, sizes: list[int]
) -> None:
    world = World({east(cells): number for cells, number in people.items()})
    list(world.walk(radius_km=10).meet(START, at_once))
    assert world.buckets_asked() == sizes


def test_at_most_64_buckets_are_asked_for_at_once() -> None:
    square = [(north, east_) for north in range(-8, 9) for east_ in range(-8, 9)]
    around = [GRID.cell_of(*neighbour(GRID, GRID.centre(HERE), north=n, east=e)) for n, e in square]
    near = [cell for cell in dict.fromkeys(around) if GRID.band(HERE, cell) == 3][:65]
    world = World(dict.fromkeys(near, 1))
    assert len(list(world.walk().meet(START, 1_000))) == 65
    assert world.buckets_asked() == [64, 1]


@pytest.mark.parametrize(
    ("people", "count", "is_all_asked"),
    [
        # The viewer may be one of them: with 1001 there may be exactly 1000 others.
        ({0: 1001, 8: 5}, 1006, True),
        ({0: 1002, 2: 7}, 1002, False),
        ({0: 1000}, 1000, True),
        ({0: 3, 2: 4, 4: 5, 8: 100}, 12, True),
    ],
)
def test_counting_ends_where_the_total_is_told_no_further(
    people: dict[int, int], count: int, is_all_asked: bool
) -> None:
    world = World({}, counts={east(cells): number for cells, number in people.items()})
    walk = world.walk(radius_km=10 if 4 in people else 20, own=Counts(0, people[0], 0))
    assert walk.count() == count
    assert (len(world.asked) > 1) is is_all_asked


def test_cells_beyond_the_last_band_are_left_out() -> None:
    tile = zlib.compress(orjson.dumps([[HERE, 1, 2, 3], [east(60), 0, 1, 0]]))
    assert _by_band(GRID, HERE, tile) == ({HERE: Counts(1, 2, 3)}, {}, {}, {}, {}, {})
    assert _by_band.cache_info().maxsize == 256


# --- the order of a day


def test_the_order_of_a_day_is_the_same_in_every_release() -> None:
    """Cursors of a day hold it, and servers of two releases answer side by side."""
    order = Orders(b"k" * 32).of_day(739_000)
    assert [order.person(user_id) for user_id in (1, 2, 2**31 - 1)] == [
        184_802_780_289_403, 74_188_903_666_388, 219_348_647_534_358,
    ]  # fmt: skip
    assert [order.cell(cell) for cell in (1, HERE)] == [219_615_027_661_961, 247_984_126_472_568]
    assert [order.bucket(HERE, 3, turn) for turn in range(8)] == [2, 3, 4, 5, 6, 7, 0, 1]
    assert [order.bucket(1, 2, turn) for turn in range(4)] == [3, 0, 1, 2]
    assert order.bucket(HERE, 0, 0) == 0
    assert [order.bucket(HERE, 16, turn) for turn in (0, 1, 65_535)] == [9_954, 55_387, 30_057]


def test_what_is_remembered_of_orders_and_places() -> None:
    orders = Orders(b"k" * 32)
    assert orders.of_day(1) is orders.of_day(1) is not orders.of_day(2)
    assert orders.of_day.cache_info().maxsize == 4
    assert orders.of_day(1).cell.cache_info().maxsize == 16_384
    assert PlaceEntries.load.cache_info().maxsize == 2_000


def test_a_place_that_is_not_known() -> None:
    assert PlaceEntries.load(None) == PlaceEntries.load(b"[]") == NO_PLACE
    assert Place(None, None, False, 0.0, False, 0, Counts(0, 0, 0)) == NO_PLACE
    for point in ((None, 1.0), (1.0, None), (None, None)):
        row = Location(user_id=1, latitude=point[0], longitude=point[1])
        assert last_cell_of(row, GRID) is None


@pytest.mark.parametrize("edge_m", [0, 200])
def test_who_is_within_the_cell_is_settled(edge_m: int) -> None:
    places = Places(ANYTHING, GRID, PlaceRules(edge_m, move_delay_s=0, active=timedelta(days=1)))
    assert places.is_settled(HERE, GRID.centre(HERE))


# --- first pages


def memory() -> FirstPageMemory:
    return FirstPageMemory(lambda user_ids: [f"card:{user_id}" for user_id in user_ids])


def question(skip: int, count: int) -> Question:
    return Question(739_000, HERE, 50, None, skip, count)


def test_a_first_page_wants_itself_two_more_people_and_one_in_place_of_the_viewer() -> None:
    asked = question(10, 5)
    assert asked.most == 18
    walk: Any = MadeWalk(20, 1)
    page = memory().walk(asked, walk)
    assert [person.user_id for person in page.met] == list(range(18)) and not page.is_all
    assert [person.user_id for person in page.page.here] == [10, 11, 12, 13, 14]
    assert [person.user_id for person in page.page.further] == [15, 16]
    assert page.page.ids == [10, 11, 12, 13, 14, 15, 16]
    assert page.page.people == tuple((number, b',"distance_km":2') for number in range(10, 15))
    assert page.card_keys == [f"card:{number}" for number in range(10, 18)]
    assert (page.keys, page.count) == (("counts:0",), 20)
    few: Any = MadeWalk(18, 1)
    assert memory().walk(asked, few).is_all
    fewer: Any = MadeWalk(13, 1)
    assert memory().walk(asked, fewer).page.further == []


@pytest.mark.parametrize(
    ("people", "entries", "is_kept"),
    [(150, 150, True), (151, 150, False), (150, 151, False), (151, 151, False)],
)
def test_first_pages_of_up_to_150_people_and_entries_are_kept(
    people: int, entries: int, is_kept: bool
) -> None:
    pages, asked = memory(), question(140, 50)
    walk: Any = MadeWalk(people, entries)
    page = pages.walk(asked, walk)
    assert pages.remembered(asked) is (page if is_kept else None)
    assert pages.remembered(question(0, 50)) is None


def test_a_page_is_current_while_its_entries_are() -> None:
    fetched: list[Any] = []

    def cache(values: list[bytes | None], entries: list[bytes]) -> Any:
        def fetch(requests: Any) -> list[bytes]:
            fetched.append(requests)
            return entries

        return SimpleNamespace(values=lambda keys: values, fetch=fetch)

    walk: Any = MadeWalk(3, 2, b"7")
    page = memory().walk(question(0, 2), walk)
    held = list(page.values)
    assert FirstPageMemory.is_current(page, cache(held, [])) and fetched == []
    # What was not read ahead is fetched, and compared then.
    assert FirstPageMemory.is_current(page, cache([None, None], [b"7", b"7"]))
    assert fetched == [page.requests]
    assert not FirstPageMemory.is_current(page, cache([None, None], [b"7", b"8"]))


def test_entries_of_several_pages_are_kept_once() -> None:
    pages = memory()
    values = []
    for number, value in enumerate((b"tile 1", None, b"tile 1", b"tile 2")):
        walk: Any = MadeWalk(1, 1, value)
        values.append(pages.walk(question(number, 1), walk).values[0])
    assert values[0] == values[2] and values[0] is values[2]
    assert values[1] is None
    assert values[3] not in (None, values[0])
