"""Moving: what others can notice of it, and when."""

from __future__ import annotations

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import func, select

from datingtoday.discovery.nearby.models import Location, LocationCell
from tests.discovery.locations import (
    Point,
    apply_due_moves,
    crowd,
    found,
    goes_to,
    listed,
    locate,
    moved,
    neighbour,
    new_area,
    person_at,
    place_row,
    seen_by,
    set_place,
    text_of,
    user_of,
)
from tests.plugins.api import Api, User
from tests.profiles.factories import make_user

DELAY_S = 600
LATEST = timedelta(seconds=DELAY_S * 1.5)
EARLIEST = timedelta(seconds=DELAY_S * 0.5)


def answers(api: Api, viewer: User, now: datetime) -> list[Any]:
    """Everything that the viewer can ask about who is nearby."""
    return [
        listed(api, viewer, now, radius=radius, gender=gender, count=count)
        for radius in (5, 10, 20, 50, 100)
        for gender in (None, 1)
        for count in (1, 50)
    ]


class TestWithinACell:
    def test_changes_no_byte_of_anyones_answers(self, api: Api) -> None:
        """Also not of your own: total, order, bands and cursors stay as they are."""
        here, now = new_area(), datetime.now(UTC)
        grid = api.parts.discovery.places.grid
        target = person_at(api, here, gender=1)
        crowd(api, [here] * 3 + [neighbour(grid, here, east=3)] * 2, gender=[1, 2])
        viewers = [person_at(api, neighbour(grid, here, north=cells)) for cells in (0, 1, 4)] + [target]
        before = [answers(api, viewer, now) for viewer in viewers]
        for north_m in (-1050, 0, 1050):
            for east_m in (-1050, 1050):
                set_place(api, target, moved(here, north_m=north_m, east_m=east_m), now)
                assert [answers(api, viewer, now) for viewer in viewers] == before

    def test_leaves_nothing_of_the_point_in_the_database(self, api: Api) -> None:
        here, now = new_area(), datetime.now(UTC)
        target = person_at(api, here)
        first = _columns(place_row(api, target))
        set_place(api, target, moved(here, north_m=700, east_m=-400), now)
        second = _columns(place_row(api, target))
        del first["report_time"], second["report_time"]
        assert first == second
        assert (first["latitude"], first["longitude"]) == pytest.approx(here, abs=1e-9)

    def test_the_point_is_in_no_log(self, api: Api, capfd: pytest.CaptureFixture[str]) -> None:
        here = new_area()
        point = moved(here, north_m=123.4, east_m=56.7)
        user = api.new_user(latlng=text_of(point))
        goes_to(api, user, moved(point, north_m=5000))
        output = "".join(capfd.readouterr())
        assert text_of(point).split(",")[0][:7] not in output


class TestToAnotherCell:
    def test_shows_after_a_random_delay(self, api: Api) -> None:
        here, now = new_area(), datetime.now(UTC)
        there = neighbour(api.parts.discovery.places.grid, here, north=4)
        viewer = person_at(api, here)
        people = crowd(api, [here] * 12)
        for user_id in people:
            set_place(api, user_of(user_id), there, now)
        due = [_row(api, user_id).pending_due for user_id in people]
        assert all(moment is not None and EARLIEST <= moment - now <= LATEST for moment in due)
        assert len(set(due)) == len(people)
        apply_due_moves(api, now + EARLIEST - timedelta(seconds=1))
        assert _bands(api, viewer, now) == dict.fromkeys(people, 2)
        apply_due_moves(api, now + LATEST)
        assert _bands(api, viewer, now + LATEST) == dict.fromkeys(people, 10)

    def test_takes_effect_by_the_workers_job(self, api: Api) -> None:
        here, now = new_area(), datetime.now(UTC)
        viewer, mover = person_at(api, here), person_at(api, here)
        set_place(api, mover, neighbour(api.parts.discovery.places.grid, here, north=4), now - LATEST)
        assert seen_by(api, viewer)[mover.user_id] in (2, 10)
        job = api.parts.base.jobs["nearby_moves"]
        assert job.has_work is not None and job.has_work(now)
        job.run(now)
        assert seen_by(api, viewer) == {mover.user_id: 10}
        assert not job.has_work(now)

    def test_the_viewers_own_answers_wait_as_well(self, api: Api) -> None:
        """Else attackers could feel their way along the edges of cells."""
        here, now = new_area(), datetime.now(UTC)
        there = neighbour(api.parts.discovery.places.grid, here, north=4)
        viewer, other = person_at(api, here), person_at(api, here)
        assert seen_by(api, viewer, latlng=text_of(there)) == {other.user_id: 2}
        apply_due_moves(api, now + LATEST + timedelta(seconds=5))
        assert seen_by(api, viewer) == {other.user_id: 10}

    def test_who_turns_back_has_never_been_away(self, api: Api) -> None:
        here, now = new_area(), datetime.now(UTC)
        grid = api.parts.discovery.places.grid
        viewer, mover = person_at(api, here), person_at(api, here)
        set_place(api, mover, neighbour(grid, here, north=4), now)
        set_place(api, mover, here, now + timedelta(minutes=1))
        apply_due_moves(api, now + LATEST)
        assert _bands(api, viewer, now + LATEST) == {mover.user_id: 2}
        row = place_row(api, mover)
        assert row is not None and row.pending_cell is None and row.left_cell is None

    def test_who_moves_on_is_always_shown_with_the_delay(self, api: Api) -> None:
        """Never where they are now: the second move begins when the first has taken effect."""
        here, now = new_area(), datetime.now(UTC)
        grid = api.parts.discovery.places.grid
        mover = person_at(api, here)
        first, second = (neighbour(grid, here, north=cells) for cells in (4, 9))
        set_place(api, mover, first, now)
        row = place_row(api, mover)
        assert row is not None and row.pending_due is not None
        due = row.pending_due
        # On the way it is not put off, whatever is reported.
        set_place(api, mover, second, due - timedelta(seconds=1))
        apply_due_moves(api, due)
        row = place_row(api, mover)
        assert row is not None and row.cell == grid.cell_of(*first)
        assert row.pending_cell == grid.cell_of(*second)
        assert row.pending_due is not None and EARLIEST <= row.pending_due - due <= LATEST
        apply_due_moves(api, due + LATEST)
        row = place_row(api, mover)
        assert row is not None and row.cell == grid.cell_of(*second)

    def test_a_first_place_shows_at_once(self, api: Api) -> None:
        here = new_area()
        viewer, other = person_at(api, here), make_user(api)
        assert seen_by(api, viewer) == {}
        goes_to(api, other, here)
        assert seen_by(api, viewer) == {other.user_id: 2}

    def test_a_move_while_hidden_waits_too(self, api: Api) -> None:
        here, now = new_area(), datetime.now(UTC)
        viewer, mover = person_at(api, here), person_at(api, here)
        api.post("/api/user/location", mover, hide=1).data  # noqa: B018
        set_place(api, mover, neighbour(api.parts.discovery.places.grid, here, north=4), now)
        api.post("/api/user/location", mover, hide=0).data  # noqa: B018
        assert _bands(api, viewer, now) == {mover.user_id: 2}
        apply_due_moves(api, now + LATEST)
        assert _bands(api, viewer, now + LATEST) == {mover.user_id: 10}

    def test_without_delay_it_shows_at_once(self, app_of: Callable[..., Api]) -> None:
        api = app_of(DISCOVERY_NEARBY_MOVE_DELAY_S=0)
        here = new_area()
        viewer, mover = person_at(api, here), person_at(api, here)
        goes_to(api, mover, neighbour(api.parts.discovery.places.grid, here, north=4))
        assert seen_by(api, viewer) == {mover.user_id: 10}


class TestAtAnEdge:
    @pytest.mark.parametrize("bearing", [0, 90, 180, 270])
    def test_hovering_is_no_move(self, app_of: Callable[..., Api], bearing: int) -> None:
        api = app_of(DISCOVERY_NEARBY_MOVE_DELAY_S=0)
        here, now = new_area(), datetime.now(UTC)
        edge = _edge(api, here, bearing)
        viewer, mover = person_at(api, here), person_at(api, _towards(edge, bearing, -50))
        before = listed(api, viewer, now)
        for beyond_m in (50, -50, 120, -10, 190, 30):
            set_place(api, mover, _towards(edge, bearing, beyond_m), now)
            assert listed(api, viewer, now) == before
        set_place(api, mover, _towards(edge, bearing, 260), now)
        assert _bands(api, viewer, now) == {mover.user_id: 5}
        # And back again not before it is clear.
        set_place(api, mover, _towards(edge, bearing, -150), now)
        assert _bands(api, viewer, now) == {mover.user_id: 5}
        set_place(api, mover, _towards(edge, bearing, -260), now)
        assert _bands(api, viewer, now) == {mover.user_id: 2}


class TestAtTheSameTime:
    def test_many_move_and_every_count_is_right(self, app_of: Callable[..., Api]) -> None:
        api = app_of(DISCOVERY_NEARBY_MOVE_DELAY_S=0)
        here, now = new_area(), datetime.now(UTC)
        grid = api.parts.discovery.places.grid
        cells = [neighbour(grid, here, north=cells) for cells in range(3)]
        people = crowd(api, [here] * 12, gender=[1, 2])
        viewer = person_at(api, here)

        def wander(user_id: int) -> None:
            for step in range(6):
                where = cells[(user_id + step * step) % 3]
                locate(api, user_id, now, latlng=where)
                found(api, viewer, now)

        with ThreadPoolExecutor(6) as pool:
            for done in [pool.submit(wander, user_id) for user_id in people]:
                done.result()
        _hold_counts(api)
        assert sorted(found(api, viewer, now)) == people
        ends = {user_id: cells[(user_id + 25) % 3] for user_id in people}
        assert {user_id: _row(api, user_id).cell for user_id in people} == {
            user_id: grid.cell_of(*point) for user_id, point in ends.items()
        }

    def test_two_first_reports_make_one_row(self, api: Api) -> None:
        here, now = new_area(), datetime.now(UTC)
        users = [make_user(api) for _ in range(4)]
        with ThreadPoolExecutor(8) as pool:
            for done in [pool.submit(locate, api, user.user_id, now, latlng=here) for user in users * 3]:
                done.result()
        _hold_counts(api)
        assert sorted(found(api, person_at(api, here), now)) == [user.user_id for user in users]

    def test_a_due_move_takes_effect_once(self, api: Api) -> None:
        here, now = new_area(), datetime.now(UTC)
        grid = api.parts.discovery.places.grid
        people = crowd(api, [here] * 6)
        for user_id in people:
            set_place(api, user_of(user_id), neighbour(grid, here, north=4), now)
        with ThreadPoolExecutor(4) as pool:
            for done in [pool.submit(apply_due_moves, api, now + LATEST) for _ in range(4)]:
                done.result()
        _hold_counts(api)
        assert {_row(api, user_id).cell for user_id in people} == {
            grid.cell_of(*neighbour(grid, here, north=4))
        }


class TestReports:
    def test_the_same_place_is_not_written_again_for_some_minutes(self, api: Api) -> None:
        here = new_area()
        user = make_user(api)
        goes_to(api, user, here)
        first = place_row(api, user)
        seen_by(api, user, latlng=text_of(moved(here, north_m=400)))
        second = place_row(api, user)
        assert first is not None and second is not None and first.report_time == second.report_time
        locate(api, user.user_id, datetime.now(UTC) + timedelta(minutes=11), latlng=here)
        third = place_row(api, user)
        assert third is not None and first.report_time is not None and third.report_time is not None
        assert third.report_time > first.report_time

    def test_a_login_leaves_its_address_and_its_place(self, api: Api) -> None:
        here = new_area()
        user = api.new_user(latlng=text_of(moved(here, north_m=300)))
        row = place_row(api, user)
        assert row is not None and row.ip_addr is not None and row.ip_addr.startswith("10.")
        assert (row.latitude, row.longitude) == pytest.approx(here)
        silent = place_row(api, api.new_user())
        assert silent is not None and silent.ip_addr is not None and silent.cell is None

    def test_a_later_login_replaces_the_address_only(self, api: Api) -> None:
        here = new_area()
        user = api.new_user(latlng=text_of(here))
        first = place_row(api, user)
        with api.parts.base.database.transaction() as session:
            api.parts.discovery.places.note_login(
                session, user.user_id, "203.0.113.9", None, datetime.now(UTC)
            )
        second = place_row(api, user)
        assert first is not None and second is not None
        assert second.ip_addr == "203.0.113.9" and second.cell == first.cell


def _columns(row: Location | None) -> dict[str, Any]:
    assert row is not None
    return {column.key: getattr(row, column.key) for column in Location.__mapper__.column_attrs}


def _row(api: Api, user_id: int) -> Location:
    row = place_row(api, user_of(user_id))
    assert row is not None
    return row


def _bands(api: Api, viewer: User, now: datetime) -> dict[int, int]:
    return {card["user_id"]: card["distance_km"] for card in listed(api, viewer, now)["list"]}


def _edge(api: Api, here: Point, bearing: int) -> Point:
    """The middle of an edge of the cell."""
    south, west, north, east = api.parts.discovery.places.grid.bounds(
        api.parts.discovery.places.grid.cell_of(*here)
    )
    middle = ((south + north) / 2, (west + east) / 2)
    return {
        0: (north, middle[1]), 90: (middle[0], east), 180: (south, middle[1]), 270: (middle[0], west)
    }[bearing]  # fmt: skip


def _towards(point: Point, bearing: int, far_m: float) -> Point:
    angle = math.radians(bearing)
    return moved(point, north_m=math.cos(angle) * far_m, east_m=math.sin(angle) * far_m)


def _hold_counts(api: Api) -> None:
    """Every cell counts exactly those who are shown in it."""
    with api.parts.base.database.transaction(write=False) as session:
        shown = session.execute(
            select(Location.shown_cell, Location.gender, func.count())
            .where(Location.shown_cell.is_not(None))
            .group_by(Location.shown_cell, Location.gender)
        ).all()
        true: dict[int, list[int]] = {}
        for cell, gender, number in shown:
            assert cell is not None
            true.setdefault(cell, [0, 0, 0])[gender] = number
        counted = {
            row.cell: [row.unknown, row.men, row.women] for row in session.scalars(select(LocationCell))
        }
    assert {cell: counts for cell, counts in counted.items() if any(counts)} == true
