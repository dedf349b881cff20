"""Rows of places and what is forgotten of them: exactly what a change concerns, at exactly its moment."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import delete, insert, update

from datingtoday.discovery.nearby.entries import Bucket, BucketEntries, Counts, TileEntries
from datingtoday.discovery.nearby.grid import Grid
from datingtoday.discovery.nearby.jobs import Rebuilding, Rebuilt
from datingtoday.discovery.nearby.models import Location, LocationCell
from datingtoday.discovery.nearby.pages import NearbyQuery
from datingtoday.discovery.nearby.places import Places
from datingtoday.profiles.models import UserInfo
from datingtoday.protocol.paging import PageRequest
from tests.discovery.locations import (
    crowd,
    found,
    listed,
    locate,
    neighbour,
    new_area,
    person_at,
    place_row,
    set_place,
    user_of,
)
from tests.plugins.api import Api
from tests.plugins.statements import statements
from tests.profiles.factories import make_user

EMBEDDED = pytest.mark.parametrize("shared_backend", ["embedded"], indirect=True)
NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
SECOND, HOUR, MONTH = timedelta(seconds=1), timedelta(hours=1), timedelta(days=30)


class Forgetful:
    """Places that write down what is forgotten."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._keys: set[str] = set()
        cache: Any = SimpleNamespace(forget=self._forget)
        shipped = api.parts.discovery.places
        self.places = Places(cache, shipped.grid, shipped.rules)

    def _forget(self, _session: Any, keys: Collection[str]) -> None:
        self._keys |= set(keys)

    def after(self, change: Any) -> set[str]:
        self._keys.clear()
        with self._api.parts.base.database.transaction() as session:
            change(session)
        return self._keys - {"place:0"}


def keys_of(cell: int, gender: int, lot: int, bits: int = 2) -> set[str]:
    """Entries of buckets in which a person may be."""
    return {
        f"near:{cell}:{family}:{number}:{lot >> (31 - number)}"
        for number in range(bits + 1)
        for family in ("", gender)
    }


def set_columns(api: Api, user_id: int, **columns: Any) -> None:
    with api.parts.base.database.transaction() as session:
        session.execute(update(Location).where(Location.user_id == user_id).values(**columns))


def set_last_active(api: Api, user_id: int, moment: datetime) -> None:
    with api.parts.base.database.transaction() as session:
        session.execute(update(UserInfo).where(UserInfo.id == user_id).values(last_active=moment))


def row_of(api: Api, user_id: int) -> Location:
    row = place_row(api, user_of(user_id))
    assert row is not None
    return row


@EMBEDDED
class TestWhatIsForgotten:
    def test_of_who_comes_goes_and_moves(self, api: Api) -> None:
        forgetful = Forgetful(api)
        places, grid = forgetful.places, forgetful.places.grid
        point = new_area()
        (user_id,) = crowd(api, [new_area()], now=NOW, gender=1)
        here = row_of(api, user_id)
        assert here.cell is not None
        own, tile = f"place:{user_id}", f"counts:{Grid.tile_of(here.cell)}"
        in_here = keys_of(here.cell, 1, here.lot)
        hidden = forgetful.after(lambda session: places.hide(session, user_id, True, NOW))
        assert hidden == {own, tile} | in_here
        # Once more changes nothing but what their own entry may say.
        assert forgetful.after(lambda session: places.hide(session, user_id, True, NOW)) == {own}
        assert forgetful.after(lambda session: places.hide(session, user_id, False, NOW)) == hidden
        there = grid.cell_of(*point)
        set_columns(api, user_id, pending_cell=there, pending_due=NOW)
        moved = forgetful.after(lambda session: places.take_effect(session, [user_id], NOW))
        in_there = keys_of(there, 1, here.lot)
        both = {own, tile, f"counts:{Grid.tile_of(there)}"} | in_here | in_there
        assert moved == both
        # For an hour lists that began before find them where they were.
        almost = NOW + HOUR - SECOND
        assert forgetful.after(lambda session: places.hide(session, user_id, True, almost)) == both - {tile}
        set_columns(api, user_id, hidden=False)
        refreshed = forgetful.after(lambda session: places.refresh(session, [user_id], almost))
        assert refreshed == both - {tile}
        set_columns(api, user_id, hidden=True)
        late = forgetful.after(lambda session: places.refresh(session, [user_id], NOW + HOUR))
        assert late == both - in_here - {tile}

    def test_of_crowds_only_what_totals_tell(self, api: Api) -> None:
        forgetful = Forgetful(api)
        (user_id,) = crowd(api, [new_area()], now=NOW, gender=1)
        cell = row_of(api, user_id).cell
        assert cell is not None
        for men, is_told in ((1000, True), (1001, True), (1002, False)):
            with api.parts.base.database.transaction() as session:
                session.execute(update(LocationCell).where(LocationCell.cell == cell).values(men=men))
            for hide in (True, False):
                keys = forgetful.after(
                    lambda session, hide=hide: forgetful.places.hide(session, user_id, hide, NOW)
                )
                assert (f"counts:{Grid.tile_of(cell)}" in keys) is is_told
                # Buckets of two more halvings than a thousand people need.
                assert len(keys & keys_of(cell, 1, row_of(api, user_id).lot, 8)) == 2 * 8

    def test_of_who_comes_back_before_being_taken_off(self, api: Api) -> None:
        """At the moment at which they are not found any more, and later."""
        for since in (timedelta(0), SECOND):
            point = new_area()
            viewer = person_at(api, point)
            (user_id,) = crowd(api, [point], now=NOW)
            now = NOW + MONTH + since
            set_last_active(api, viewer.user_id, now)
            assert found(api, viewer, now) == []
            assert row_of(api, user_id).shown_cell is not None
            with api.parts.base.database.transaction() as session:
                api.parts.profiles.service.note_active(session, user_id, now)
            assert found(api, viewer, now) == [user_id]


@EMBEDDED
class TestMoves:
    def test_which_are_due_take_effect_with_the_next_report(self, api: Api) -> None:
        grid = api.parts.discovery.places.grid
        here = new_area()
        there, beyond = (neighbour(grid, here, north=cells) for cells in (4, 9))
        for is_login in (False, True):
            (user_id,) = crowd(api, [here], now=NOW)
            set_columns(
                api, user_id, pending_cell=grid.cell_of(*there), pending_due=NOW + SECOND,
                latitude=there[0], longitude=there[1],
            )  # fmt: skip
            with api.parts.base.database.transaction() as session:
                assert api.parts.discovery.places.take_effect(session, [user_id], NOW) == 0
                now = NOW + SECOND
                if is_login:
                    api.parts.discovery.places.note_login(session, user_id, "10.1.2.3", beyond, now)
                else:
                    api.parts.discovery.places.report(session, user_id, beyond, now)
            row = row_of(api, user_id)
            assert (row.cell, row.cell_since, row.report_time) == (grid.cell_of(*there), now, now)
            assert (row.left_cell, row.pending_cell) == (grid.cell_of(*here), grid.cell_of(*beyond))
            assert row.ip_addr == ("10.1.2.3" if is_login else None)
            assert row.pending_due is not None
            with api.parts.base.database.transaction() as session:
                due = row.pending_due
                assert api.parts.discovery.places.take_effect(session, [user_id], due) == 1

    def test_a_report_after_the_grid_became_another_one_begins_anew(self, api: Api) -> None:
        here = new_area()
        (user_id,) = crowd(api, [here], now=NOW)
        old = Grid(3000).cell_of(*here)
        set_columns(
            api, user_id, cell=old, shown_cell=None, left_cell=old + 1, pending_cell=old + 2, pending_due=NOW + HOUR
        )  # fmt: skip
        set_place(api, user_of(user_id), here, NOW + SECOND)
        row = row_of(api, user_id)
        assert row.cell == row.shown_cell == api.parts.discovery.places.grid.cell_of(*here)
        assert (row.cell_since, row.left_cell) == (NOW + SECOND, None)
        assert (row.pending_cell, row.pending_due) == (None, None)

    def test_rows_are_read_anew_when_they_are_locked(self, api: Api) -> None:
        """Whatever the session knew of them before."""
        here = new_area()
        (user_id,) = crowd(api, [here], now=NOW)
        cell = row_of(api, user_id).cell
        with api.parts.base.database.transaction() as session:
            known = session.get_one(Location, user_id), session.get_one(LocationCell, cell)
            changed = {"synchronize_session": False}
            session.execute(
                update(Location).where(Location.user_id == user_id).values(ip_addr="10.9.9.9", gender=2),
                execution_options=changed,
            )
            session.execute(
                update(LocationCell).where(LocationCell.cell == cell).values(women=7, men=5),
                execution_options=changed,
            )
            api.parts.discovery.places.hide(session, user_id, True, NOW)
            # The counted one is of the gender that the row has.
            assert known[0].ip_addr == "10.9.9.9"
            assert (known[1].unknown, known[1].men, known[1].women) == (1, 5, 6)

    def test_two_first_reports_at_once(self, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
        """The second one finds the row that the first one made meanwhile."""
        places = api.parts.discovery.places
        (user_id, other_id) = crowd(api, [new_area()] * 2, now=NOW)
        looks = [0]
        lock = places._lock_existing

        def lock_late(session: Any, user_ids: Any) -> Any:
            looks[0] += 1
            return [] if looks[0] == 1 else lock(session, [*user_ids])

        with monkeypatch.context() as patch, api.parts.base.database.transaction() as session:
            patch.setattr(places, "_lock_existing", lock_late)
            places.hide(session, user_id, True, NOW)
        assert looks == [2]
        assert row_of(api, user_id).hidden and not row_of(api, other_id).hidden

    def test_the_same_place_is_written_again_after_ten_minutes(self, api: Api) -> None:
        here = new_area()
        user = make_user(api)
        locate(api, user.user_id, NOW, latlng=here)
        for later_s, reported_s in ((599, 0), (600, 600)):
            locate(api, user.user_id, NOW + timedelta(seconds=later_s), latlng=here)
            assert row_of(api, user.user_id).report_time == NOW + timedelta(seconds=reported_s)

    def test_without_a_profile_nobody_is_shown(self, api: Api) -> None:
        cell = api.parts.discovery.places.grid.cell_of(*new_area())
        with api.parts.base.database.transaction() as session:
            session.add(Location(user_id=900_000_001, lot=1, cell=cell, shown_cell=cell, gender=1))
            session.flush()
            api.parts.discovery.places.refresh(session, [900_000_001], NOW)
            row = session.get_one(Location, 900_000_001)
            assert (row.shown_cell, row.shown_until, row.gender) == (None, None, 0)
            session.delete(row)


@EMBEDDED
def test_a_bucket_holds_its_first_and_its_last_lot(api: Api) -> None:
    people = crowd(api, [new_area()] * 4, now=NOW)
    for user_id, lot in zip(people, (0, 2**30 - 1, 2**30, 2**31 - 1), strict=True):
        set_columns(api, user_id, lot=lot, cell_since=NOW - HOUR)
    cell = row_of(api, people[0]).cell
    assert cell is not None
    buckets = [Bucket(cell, None, 1, number) for number in (0, 1)]
    with api.parts.base.database.reading() as session:
        made = BucketEntries(MONTH).make(session, buckets, NOW)
    members = [BucketEntries.load(made[bucket].data).settled for bucket in buckets]
    assert [sorted(of_bucket) for of_bucket in members] == [people[:2], people[2:]]


@EMBEDDED
def test_entries_are_made_a_few_at_once(api: Api) -> None:
    """200 cells, or 100 ranges of them, in one statement."""
    database = api.parts.base.database
    with database.reading() as session, statements(database) as ran:
        BucketEntries(MONTH).make(session, [Bucket(cell, None, 0, 0) for cell in range(201)], NOW)
        # Each reads those who are there, and those who left.
        assert len(ran) == 4
        BucketEntries(MONTH).make(session, [Bucket(cell, None, 0, 0) for cell in range(200)], NOW)
        assert len(ran) == 6
        for tiles, more in ((101, 2), (100, 1)):
            before = len(ran)
            TileEntries().make(session, [2 * tile for tile in range(tiles)], NOW)
            assert len(ran) - before == more


# --- rebuilding


def rebuilt(api: Api, now: datetime, told: list[tuple[str, int]] | None = None) -> Rebuilt:
    tell = (lambda what, done: None) if told is None else (lambda what, done: told.append((what, done)))
    return Rebuilding(
        api.parts.base.database, api.parts.discovery.places, api.parts.base.cache, now, tell
    ).run()


@pytest.fixture
def fresh(app_of: Any) -> Iterator[Api]:
    api = app_of()
    yield api
    api.parts.base.database.dispose()


@pytest.mark.parametrize("backend", ["embedded"], indirect=True)
class TestRebuilding:
    def test_goes_in_steps(self, fresh: Api) -> None:
        """Of 500 people, and of 100 cells or those that 20 000 people are said to be in."""
        (one,) = crowd(fresh, [new_area()], now=NOW)
        cell = row_of(fresh, one).cell
        assert cell is not None
        # The one who is shown is counted nowhere.
        counts = {cell - 1: 19_999, cell + 1: 1} | {cell + at: 0 for at in range(2, 103)}
        with fresh.parts.base.database.transaction() as session:
            session.execute(delete(LocationCell))
            session.execute(
                insert(Location), [{"user_id": one + at, "lot": at, "hidden": False} for at in range(1, 501)]
            )
            session.execute(
                insert(LocationCell),
                [
                    {"cell": number, "unknown": 0, "men": men, "women": 0, "changed_at": NOW}
                    for number, men in counts.items()
                ],
            )
        told: list[tuple[str, int]] = []
        assert rebuilt(fresh, NOW, told) == Rebuilt(people=501, cells=104, corrected=3, buckets=2)
        assert told == [
            ("people", 500), ("people", 501), ("cells", 3), ("cells", 103), ("cells", 104), ("entries", 2),
        ]  # fmt: skip

    def test_counts_cells_without_a_row(self, fresh: Api) -> None:
        (user_id, _) = crowd(fresh, [new_area()] * 2, now=NOW, gender=[0, 1])
        cell = row_of(fresh, user_id).cell
        with fresh.parts.base.database.transaction() as session:
            session.execute(delete(LocationCell))
        told: list[tuple[str, int]] = []
        # One bucket of all, and one of each gender.
        assert rebuilt(fresh, NOW + 2 * HOUR, told) == Rebuilt(people=2, cells=1, corrected=1, buckets=3)
        assert told == [("people", 2), ("cells", 1), ("entries", 3)]
        with fresh.parts.base.database.reading() as session:
            row = session.get_one(LocationCell, cell)
            assert Counts(row.unknown, row.men, row.women) == Counts(1, 1, 0)

    @pytest.mark.parametrize("genders", [(0, 1), (0, 2), (1, 2)])
    def test_cells_with_people_stay(self, fresh: Api, genders: tuple[int, int]) -> None:
        crowd(fresh, [new_area()] * 2, now=NOW, gender=list(genders))
        assert rebuilt(fresh, NOW + 2 * HOUR) == Rebuilt(people=2, cells=1, corrected=0, buckets=3)
        with fresh.parts.base.database.reading() as session:
            assert session.query(LocationCell).count() == 1

    def test_fills_64_entries_at_once(self, fresh: Api) -> None:
        crowd(fresh, [new_area()] * 65, now=NOW)
        crowd(fresh, [neighbour(fresh.parts.discovery.places.grid, new_area(), east=cells) for cells in range(30)],
              now=NOW)  # fmt: skip
        told: list[tuple[str, int]] = []
        # Four of all and four of one gender in the crowd, two elsewhere.
        assert rebuilt(fresh, NOW, told) == Rebuilt(people=95, cells=31, corrected=0, buckets=68)
        assert [done for what, done in told if what == "entries"] == [64, 68]

    def test_forgets_what_another_program_made_wrong(self, fresh: Api) -> None:
        here = new_area()
        viewer = person_at(fresh, here)
        people = crowd(fresh, [here] * 3, now=NOW)
        set_last_active(fresh, viewer.user_id, NOW)
        row = row_of(fresh, people[0])
        with fresh.parts.base.database.transaction() as session:
            session.execute(delete(Location).where(Location.user_id == people[0]))
        rebuilt(fresh, NOW)
        assert listed(fresh, viewer, NOW)["total"] == 2
        with fresh.parts.base.database.transaction() as session:
            columns = {column.key: getattr(row, column.key) for column in Location.__mapper__.column_attrs}
            session.execute(insert(Location), [columns])
        assert sorted(found(fresh, viewer, NOW)) == people[1:]
        rebuilt(fresh, NOW)
        assert (sorted(found(fresh, viewer, NOW)), listed(fresh, viewer, NOW)["total"]) == (people, 3)


# --- the list


@EMBEDDED
def test_a_list_of_another_grid_begins_anew(api: Api) -> None:
    here = new_area()
    viewer = person_at(api, here)
    crowd(api, [here] * 3)
    now = datetime.now(UTC)
    old = [740_000, Grid(3000).cell_of(*here), now.timestamp(), 0, 5, 0, 0, 7, 3, False]
    name = NearbyQuery(50, None, PageRequest(1, 2, None)).name
    cursor = api.parts.protocol.cursors.write(name, viewer.user_id, old)
    assert listed(api, viewer, now, count=2, cursor=cursor) == listed(api, viewer, now, count=2)


@pytest.mark.parametrize("backend", ["embedded"], indirect=True)
def test_the_first_user_is_found_as_well(fresh: Api) -> None:
    here = new_area()
    assert crowd(fresh, [here], id=1) == [1]
    assert found(fresh, person_at(fresh, here), datetime.now(UTC)) == [1]
