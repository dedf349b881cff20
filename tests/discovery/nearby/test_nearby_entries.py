"""Entries and rows of nearby to the second, the person and the bit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
from sqlalchemy import delete, select, update

from datingtoday.discovery.nearby import jobs
from datingtoday.discovery.nearby.entries import (
    Bucket,
    BucketEntries,
    Counts,
    Members,
    TileEntries,
    bits_for,
    bucket_keys,
    counts_of,
    is_current,
)
from datingtoday.discovery.nearby.grid import Grid
from datingtoday.discovery.nearby.models import Location, LocationCell
from datingtoday.profiles.models import UserInfo
from tests.discovery.locations import crowd, found, neighbour, new_area, person_at, place_row, user_of
from tests.plugins.api import Api

EMBEDDED = pytest.mark.parametrize("shared_backend", ["embedded"], indirect=True)
NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
SECOND, HOUR, MONTH = timedelta(seconds=1), timedelta(hours=1), timedelta(days=30)


@pytest.fixture(autouse=True)
def _true_counts(request: pytest.FixtureRequest) -> Iterator[None]:
    """Wrong counts are not left to other tests of the same application."""
    api: Api | None = request.getfixturevalue("api") if "api" in request.fixturenames else None
    yield
    if api is None:
        return
    with api.parts.base.database.transaction() as session:
        session.execute(delete(LocationCell))
        counts: dict[int, Counter[int]] = {}
        for cell, gender in session.execute(
            select(Location.shown_cell, Location.gender).where(Location.shown_cell.is_not(None))
        ):
            counts.setdefault(int(cell or 0), Counter())[gender] += 1
        session.add_all(
            LocationCell(cell=cell, unknown=it[0], men=it[1], women=it[2], changed_at=NOW)
            for cell, it in counts.items()
        )


@pytest.fixture
def here(api: Api) -> int:
    """A cell of a tile in which nobody ever was."""
    return api.parts.discovery.places.grid.cell_of(*new_area())


def set_columns(api: Api, user_id: int, **columns: Any) -> None:
    with api.parts.base.database.transaction() as session:
        session.execute(update(Location).where(Location.user_id == user_id).values(**columns))


def set_last_active(api: Api, user_id: int, moment: datetime) -> None:
    """Without what follows from it."""
    with api.parts.base.database.transaction() as session:
        session.execute(update(UserInfo).where(UserInfo.id == user_id).values(last_active=moment))


def cell_row(api: Api, cell: int) -> Counts | None:
    with api.parts.base.database.reading() as session:
        row = session.get(LocationCell, cell)
        return None if row is None else Counts(row.unknown, row.men, row.women)


def refresh(api: Api, user_id: int, now: datetime) -> None:
    with api.parts.base.database.transaction() as session:
        api.parts.discovery.places.refresh(session, [user_id], now)


class TestBuckets:
    @pytest.mark.parametrize(
        ("count", "bits"),
        [(0, 0), (1, 0), (32, 0), (33, 1), (64, 1), (65, 2), (128, 2), (129, 3), (2**21, 16), (2**30, 16)],
    )
    def test_hold_16_to_32_people(self, count: int, bits: int) -> None:
        assert bits_for(count) == bits
        # Those that readers of older counts may ask for are up to date, too.
        assert is_current(bits + 2, count) and not is_current(bits + 3, count)

    def test_share_out_the_lots(self) -> None:
        assert Bucket(1, None, 0, 0).lots == range(2**31)
        assert [Bucket(1, None, 2, number).lots for number in range(4)] == [
            range(at << 29, (at + 1) << 29) for at in range(4)
        ]

    def test_of_a_person(self) -> None:
        keys = bucket_keys(BucketEntries(MONTH), 7, 1, 2**31 - 1, 33)
        assert keys == [
            "near:7::0:0", "near:7:1:0:0", "near:7::1:1", "near:7:1:1:1",
            "near:7::2:3", "near:7:1:2:3", "near:7::3:7", "near:7:1:3:7",
        ]  # fmt: skip
        assert len(bucket_keys(BucketEntries(MONTH), 7, 1, 0, 2**30)) == 2 * 17

    def test_for_a_list_that_began_at_a_moment(self) -> None:
        members = Members([1], [(2, 100.0)], [(3, 100.0)])
        assert members.at(None) == [1, 2]
        assert members.at(99.9) == [1, 3]
        assert members.at(100.0) == [1, 2]
        assert members.at(100.1) == [1, 2]

    @EMBEDDED
    def test_who_came_within_the_hour_is_told_with_the_moment(self, api: Api) -> None:
        point = new_area()
        before, within, gone = crowd(api, [point] * 3, now=NOW)
        place = place_row(api, user_of(before))
        assert place is not None and place.cell is not None
        set_columns(api, before, cell_since=NOW - HOUR)
        set_columns(api, within, cell_since=NOW - HOUR + SECOND)
        elsewhere = place.cell + 1
        set_columns(api, gone, shown_cell=elsewhere, left_cell=place.cell, cell_since=NOW - HOUR + SECOND)
        moment_s = (NOW - HOUR + SECOND).timestamp()
        bucket = Bucket(place.cell, None, 0, 0)

        def made() -> tuple[Any, float]:
            with api.parts.base.database.reading() as session:
                entry = BucketEntries(MONTH).make(session, [bucket], NOW)[bucket]
                return orjson.loads(entry.data), entry.life_s

        assert made() == ([[before], [[within, moment_s]], [[gone, moment_s]]], 600)
        set_columns(api, gone, cell_since=NOW - HOUR)
        assert made() == ([[before], [[within, moment_s]], []], 600)
        # An entry lives no longer than all of them are to be found.
        set_last_active(api, before, NOW - MONTH + timedelta(seconds=9))
        assert made() == ([[before], [[within, moment_s]], []], 9)
        set_last_active(api, before, NOW - MONTH)
        assert made() == ([[], [[within, moment_s]], []], 600)


@EMBEDDED
class TestTiles:
    def made(self, api: Api, *tiles: int) -> dict[int, dict[int, Counts]]:
        with api.parts.base.database.reading() as session:
            entries = TileEntries().make(session, tiles, NOW)
        assert {entry.life_s for entry in entries.values()} == {600}
        return {tile: TileEntries.load(entry.data) for tile, entry in entries.items()}

    def test_cells_without_people_are_told_for_an_hour(self, api: Api, here: int) -> None:
        with api.parts.base.database.transaction() as session:
            for cell, people, changed_at in (
                (here, 0, NOW - HOUR), (here + 1, 0, NOW - HOUR + SECOND), (here + 2, 3, NOW - 9 * HOUR),
            ):  # fmt: skip
                session.add(LocationCell(cell=cell, unknown=0, men=people, women=0, changed_at=changed_at))
        tile = Grid.tile_of(here)
        assert self.made(api, tile) == {tile: {here + 1: Counts(0, 0, 0), here + 2: Counts(0, 3, 0)}}

    def test_all_cells_of_a_tile_and_no_other(self, api: Api, here: int) -> None:
        tile = Grid.tile_of(here)
        tiles = [tile, tile + 1, tile + 3, tile + 4]
        # The first and the last cell of each, and those beside them.
        edges = sorted({cell + by for one in tiles for cell in Grid.cells_of(one) for by in (-1, 0)})
        with api.parts.base.database.transaction() as session:
            session.execute(delete(LocationCell).where(LocationCell.cell.in_(edges)))
            session.add_all(
                LocationCell(cell=cell, unknown=1, men=2, women=3, changed_at=NOW) for cell in edges
            )
        for wanted in ([tile], tiles, [tile + 4, tile], [tile + at for at in range(150)]):
            expected = {
                one: {cell: Counts(1, 2, 3) for cell in edges if Grid.tile_of(cell) == one} for one in wanted
            }
            assert self.made(api, *wanted) == expected


def test_wrong_counts_are_none() -> None:
    assert counts_of(LocationCell(cell=1, unknown=-1, men=0, women=2)) == Counts(0, 0, 2)
    assert counts_of(LocationCell(cell=1, unknown=1, men=-1, women=-2)) == Counts(1, 0, 0)


@EMBEDDED
class TestCounts:
    def test_of_all_genders(self, api: Api) -> None:
        here = new_area()
        people = [person_at(api, here, gender=gender) for gender in (0, 1, 1, 2, 2, 2)]
        cell = api.parts.discovery.places.grid.cell_of(*here)
        assert cell_row(api, cell) == Counts(1, 2, 3)
        with api.parts.base.database.transaction() as session:
            assert api.parts.discovery.places.delete_place(session, people[1].user_id)
        assert cell_row(api, cell) == Counts(1, 1, 3)
        assert place_row(api, people[1]) is None
        with api.parts.base.database.transaction() as session:
            assert not api.parts.discovery.places.delete_place(session, people[1].user_id)
            # Also of who was not shown any more.
            api.parts.discovery.places.hide(session, people[0].user_id, True, NOW)
            assert api.parts.discovery.places.delete_place(session, people[0].user_id)
        assert cell_row(api, cell) == Counts(0, 1, 3)

    def test_never_below_nobody(self, api: Api) -> None:
        here = new_area()
        user = person_at(api, here, gender=1)
        cell = api.parts.discovery.places.grid.cell_of(*here)
        with api.parts.base.database.transaction() as session:
            session.execute(update(LocationCell).where(LocationCell.cell == cell).values(men=0))
            api.parts.discovery.places.hide(session, user.user_id, True, datetime.now(UTC))
        assert cell_row(api, cell) == Counts(0, 0, 0)

    def test_rebuilding_removes_cells_that_were_left_an_hour_ago(self, api: Api, here: int) -> None:
        cells = {here: NOW - HOUR - SECOND, here + 1: NOW - HOUR, here + 2: NOW - HOUR - SECOND}
        with api.parts.base.database.transaction() as session:
            for cell, changed_at in cells.items():
                session.add(LocationCell(cell=cell, unknown=0, men=0, women=0, changed_at=changed_at))
        user = person_at(api, new_area(), gender=2)
        set_columns(api, user.user_id, cell=here + 2, shown_cell=here + 2)
        base = api.parts.base
        rebuilding = jobs.Rebuilding(base.database, api.parts.discovery.places, base.cache, NOW)
        with base.database.transaction() as session:
            assert rebuilding._recount(session, list(cells)) == 1
        assert [cell_row(api, cell) for cell in cells] == [None, Counts(0, 0, 0), Counts(0, 0, 1)]


@EMBEDDED
class TestDue:
    def test_moves_take_effect_at_their_moment(self, api: Api) -> None:
        here = new_area()
        (user_id,) = crowd(api, [here], now=NOW)
        user = user_of(user_id)
        with api.parts.base.database.transaction() as session:
            there = neighbour(api.parts.discovery.places.grid, here, north=4)
            api.parts.discovery.places.report(session, user_id, there, NOW)
        row = place_row(api, user)
        assert row is not None and row.pending_due is not None
        self.nothing_before(api, row.pending_due, 1)
        row = place_row(api, user)
        assert row is not None and row.pending_due is None
        assert row.cell == api.parts.discovery.places.grid.cell_of(*there)

    def test_who_was_not_seen_for_30_days_is_taken_off_at_that_moment(self, api: Api) -> None:
        seen = NOW + timedelta(minutes=7)
        (user_id,) = crowd(api, [new_area()], now=seen)
        row = place_row(api, user_of(user_id))
        assert row is not None and row.shown_until == seen + MONTH
        self.nothing_before(api, seen + MONTH, 1)
        row = place_row(api, user_of(user_id))
        assert row is not None and row.shown_cell is None and row.shown_until is None

    def nothing_before(self, api: Api, moment: datetime, people: int) -> None:
        base, places = api.parts.base, api.parts.discovery.places
        # Those of other tests.
        jobs.apply_all_due_moves(base.database, places, moment - SECOND)
        assert not jobs.has_moves(base.database, moment - timedelta(microseconds=1))
        assert jobs.apply_due_moves(base.database, places, moment - timedelta(microseconds=1)) == 0
        assert jobs.has_moves(base.database, moment)
        told: list[int] = []
        assert jobs.apply_all_due_moves(base.database, places, moment, report_progress=told.append) == people
        assert told == [people]
        assert not jobs.has_moves(base.database, moment)

    def test_fifty_of_each_kind_at_once(self, api: Api) -> None:
        base, places = api.parts.base, api.parts.discovery.places
        here = new_area()
        jobs.apply_all_due_moves(base.database, places, NOW + MONTH)
        people = crowd(api, [here] * 102, now=NOW)
        cell = places.grid.cell_of(*here)
        with base.database.transaction() as session:
            rows = update(Location)
            session.execute(
                rows.where(Location.user_id.in_(people[:51])).values(pending_cell=cell + 1, pending_due=NOW)
            )
            session.execute(rows.where(Location.user_id.in_(people[51:])).values(shown_until=NOW))
            seen = update(UserInfo).where(UserInfo.id.in_(people[51:]))
            session.execute(seen.values(last_active=NOW - MONTH))
        told: list[int] = []
        assert jobs.apply_all_due_moves(base.database, places, NOW, report_progress=told.append) == 102
        assert told == [100, 102]

    def test_who_is_shown_at_the_edge_of_30_days(self, api: Api) -> None:
        (user_id,) = crowd(api, [new_area()], now=NOW)
        for last_active, is_shown in ((NOW - MONTH + SECOND, True), (NOW - MONTH, False)):
            set_last_active(api, user_id, last_active)
            refresh(api, user_id, NOW)
            row = place_row(api, user_of(user_id))
            assert row is not None and (row.shown_cell is not None) is is_shown
            assert row.shown_until == (last_active + MONTH if is_shown else None)


@EMBEDDED
class TestPointsOfOtherPrograms:
    @pytest.mark.parametrize("reported", [NOW - 2 * HOUR, None])
    def test_are_shown_since_they_were_reported(self, api: Api, reported: datetime | None) -> None:
        point = new_area()
        (user_id,) = crowd(api, [point], now=NOW - 5 * HOUR)
        grid = api.parts.discovery.places.grid
        set_columns(
            api, user_id, cell=None, cell_since=None, left_cell=5, pending_cell=6, pending_due=NOW,
            report_time=reported, shown_cell=None,
        )  # fmt: skip
        with api.parts.base.database.transaction() as session:
            api.parts.discovery.places.repair(session, [user_id], NOW)
        row = place_row(api, user_of(user_id))
        assert row is not None
        assert (row.cell, row.shown_cell) == (grid.cell_of(*point),) * 2
        assert row.cell_since == (reported or NOW)
        assert (row.left_cell, row.pending_cell, row.pending_due) == (None, None, None)

    def test_who_never_said_where_stays_unknown(self, api: Api) -> None:
        (user_id, other_id) = crowd(api, [new_area()] * 2, now=NOW)
        set_columns(api, user_id, cell=None, latitude=None, longitude=None, shown_cell=None)
        set_columns(api, other_id, shown_cell=None)
        with api.parts.base.database.transaction() as session:
            api.parts.discovery.places.repair(session, [user_id, other_id], NOW)
        row, other = place_row(api, user_of(user_id)), place_row(api, user_of(other_id))
        assert row is not None and row.cell is None and row.shown_cell is None
        assert other is not None and other.shown_cell == other.cell is not None


@EMBEDDED
def test_a_place_is_kept_200_m_beyond_its_cell(api: Api) -> None:
    """Not a metre farther: `nearby_edge_m`."""
    places = api.parts.discovery.places
    cell = places.grid.cell_of(*new_area())
    south, west, north, east = places.grid.bounds(cell)
    degree_m = 111_194.93
    for metres, is_settled in ((0, True), (199, True), (201, False)):
        assert places.is_settled(cell, (north + metres / degree_m, (west + east) / 2)) is is_settled
    assert not Grid(3000).knows(cell)
    assert not places.is_settled(Grid(3000).cell_of((south + north) / 2, (west + east) / 2), (north, east))


@EMBEDDED
def test_a_new_person_is_not_hidden_and_has_no_gender_yet(api: Api) -> None:
    here = new_area()
    viewer = person_at(api, here)
    (user_id,) = crowd(api, [here])
    row = place_row(api, user_of(user_id))
    assert row is not None and (row.hidden, row.gender) == (False, 0)
    assert found(api, viewer, datetime.now(UTC)) == [user_id]
