"""The list of who is nearby: its order, its pages, its total, and its parameters."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from datingtoday.discovery.nearby.entries import MAX_BUCKET
from datingtoday.discovery.nearby.models import LocationCell
from tests.discovery.locations import (
    all_pages,
    crowd,
    found,
    goes_to,
    listed,
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
from tests.plugins.api import Api
from tests.profiles.factories import make_block, make_user


class TestOrder:
    def test_the_nearest_band_comes_first(self, api: Api) -> None:
        here = new_area()
        viewer = person_at(api, here)
        grid = api.parts.discovery.places.grid
        crowd(api, [neighbour(grid, here, north=cells) for cells in (8, 0, 4, 2, 22, 1, 9, 3)])
        distances = list(seen_by(api, viewer).values())
        assert distances == sorted(distances) and len(distances) == 8

    def test_within_a_band_everybody_sees_the_same_order(self, api: Api) -> None:
        """Two who look from opposite sides: distances have no part in it."""
        here = new_area()
        grid = api.parts.discovery.places.grid
        people = set(
            crowd(
                api, [neighbour(grid, here, north=row, east=at) for row in range(-3, 4) for at in (-1, 0, 1)]
            )
        )
        orders = []
        for side in (-7, 7):
            viewer = person_at(api, neighbour(grid, here, east=side))
            seen = seen_by(api, viewer, radius=20)
            # All of them lie in one band, seen from there.
            orders.append([user_id for user_id, band in seen.items() if band == 20 and user_id in people])
        assert len(orders[0]) >= 15
        common = set(orders[0]) & set(orders[1])
        assert [it for it in orders[0] if it in common] == [it for it in orders[1] if it in common]

    def test_the_order_is_another_one_every_day(self, api: Api) -> None:
        here, now = new_area(), datetime.now(UTC)
        viewer = person_at(api, here)
        people = set(crowd(api, [here] * 8))
        orders = {tuple(found(api, viewer, now + timedelta(days=days))) for days in range(5)}
        assert len(orders) >= 4 and all(set(order) == people for order in orders)

    def test_who_comes_first_has_nothing_to_do_with_ids(self, api: Api) -> None:
        here, now = new_area(), datetime.now(UTC)
        viewer = person_at(api, here)
        people = crowd(api, [here] * 3)
        first = {found(api, viewer, now + timedelta(days=days))[0] for days in range(25)}
        assert first == set(people)


class TestPages:
    def test_by_cursor_everybody_comes_once(self, api: Api) -> None:
        here = new_area()
        viewer = person_at(api, here)
        grid = api.parts.discovery.places.grid
        people = set(crowd(api, [neighbour(grid, here, north=number % 9) for number in range(40)]))
        pages = all_pages(api, viewer, 7)
        assert len(pages) == len(set(pages)) and set(pages) == people

    def test_by_number_too(self, api: Api) -> None:
        here = new_area()
        viewer = person_at(api, here)
        people = set(crowd(api, [here] * 11))
        pages = []
        for number in (1, 2, 3, 4):
            data = api.get("/api/user/nearby/list", viewer, page=number, pageCount=4).data
            pages += [card["user_id"] for card in data["list"]]
            assert data["has_next"] == (number < 3) and data["total"] == 11
        assert len(pages) == 11 and set(pages) == people

    def test_pages_are_full_wherever_the_viewer_stands_among_them(self, api: Api) -> None:
        here, now = new_area(), datetime.now(UTC)
        viewer = person_at(api, here)
        people = set(crowd(api, [here] * 6))
        for days in range(4):
            on_day = now + timedelta(days=days)
            for count in range(1, 7):
                assert len(found(api, viewer, on_day, count=count)) == count
            assert set(found(api, viewer, on_day, count=6)) == people

    def test_a_crowded_cell_is_read_bucket_by_bucket(self, api: Api) -> None:
        here = new_area()
        viewer = person_at(api, here)
        people = set(crowd(api, [here] * (5 * MAX_BUCKET), gender=[0, 1, 2]))
        pages = all_pages(api, viewer, 13)
        assert len(pages) == len(set(pages)) and set(pages) == people
        by_gender = [all_pages(api, viewer, 20, gender=gender) for gender in (0, 1, 2)]
        assert sum(map(len, by_gender)) == len(people) and set().union(*map(set, by_gender)) == people

    def test_people_who_move_meanwhile_are_neither_repeated_nor_skipped(
        self, app_of: Callable[..., Api]
    ) -> None:
        """From anywhere to anywhere within the radius, in the middle of paging."""
        api = app_of(DISCOVERY_NEARBY_MOVE_DELAY_S=0)
        here, now = new_area(), datetime.now(UTC)
        grid = api.parts.discovery.places.grid
        viewer = person_at(api, here)
        people = crowd(api, [neighbour(grid, here, north=number % 7) for number in range(28)])
        # They have been there for long.
        now += timedelta(hours=2)
        pages: list[int] = []
        cursor = None
        for turn in range(8):
            page = listed(api, viewer, now + timedelta(seconds=turn), count=4, cursor=cursor)
            pages += [card["user_id"] for card in page["list"]]
            cursor = page["next"]
            if cursor is None:
                break
            for user_id in people[turn * 5 : turn * 5 + 5]:
                there = neighbour(grid, here, north=user_id * 5 % 7, east=user_id % 3)
                set_place(api, user_of(user_id), there, now + timedelta(seconds=turn + 0.5))
        assert sorted(pages) == people
        # Who begins anew finds them where they are now.
        assert sorted(found(api, viewer, now + timedelta(minutes=1))) == people

    def test_a_cursor_is_good_for_the_same_list_only(self, api: Api) -> None:
        here = new_area()
        viewer, other = person_at(api, here), person_at(api, here)
        crowd(api, [here] * 3, gender=1)
        cursor = api.get("/api/user/nearby/list", viewer, pageCount=1).data["next"]
        path = "/api/user/nearby/list"
        assert api.get(path, viewer, cursor=cursor).code == 0
        for user, own in ((viewer, {"radius": 20}), (viewer, {"gender": 1}), (other, {})):
            answer = api.get(path, user, cursor=cursor, **own)
            assert answer.code == 300 and "cursor" in answer.msg

    def test_pages_by_number_end_at_ten_thousand_people(self, api: Api) -> None:
        viewer = person_at(api, new_area())
        assert api.get("/api/user/nearby/list", viewer, page=200, pageCount=50).data["list"] == []
        answer = api.get("/api/user/nearby/list", viewer, page=201, pageCount=50)
        assert answer.code == 300 and "10000" in answer.msg and "cursor" in answer.msg

    def test_whoever_may_not_be_found_does_not_make_a_next_page(self, api: Api) -> None:
        here = new_area()
        viewer = person_at(api, here)
        people = crowd(api, [here] * 30)
        for other in people[3:]:
            make_block(api, user_of(other), viewer)
        assert sorted(all_pages(api, viewer, 5)) == people[:3]
        last = api.get("/api/user/nearby/list", viewer, page=6, pageCount=5).data
        assert last["has_next"] is False

    @pytest.mark.parametrize("hide", [0, 1])
    def test_nor_do_those_who_are_on_the_page(self, api: Api, hide: int) -> None:
        here = new_area()
        viewer = person_at(api, here)
        crowd(api, [here] * 8)
        assert api.post("/api/user/location", viewer, hide=hide).code == 0
        order = list(seen_by(api, viewer))
        for other in order[3:]:
            make_block(api, user_of(other), viewer)
        for count, goes_on in ((2, True), (3, False), (4, False)):
            data = api.get("/api/user/nearby/list", viewer, pageCount=count).data
            assert [card["user_id"] for card in data["list"]] == order[: min(count, 3)]
            assert data["has_next"] is goes_on


class TestTotal:
    def test_counts_others(self, api: Api) -> None:
        here = new_area()
        viewer = person_at(api, here, gender=1)
        crowd(api, [here] * 3, gender=[1, 1, 2])
        totals = [
            api.get("/api/user/nearby/list", viewer, **own).data["total"]
            for own in ({}, {"gender": 1}, {"gender": 2}, {"gender": 0})
        ]
        assert totals == [3, 2, 1, 0]

    @pytest.mark.parametrize(("radius", "total"), [(5, 1), (10, 2), (20, 3), (50, 4), (100, 5)])
    def test_counts_as_far_as_the_radius(self, api: Api, radius: int, total: int) -> None:
        here = new_area()
        viewer = person_at(api, here)
        crowd(api, [moved(here, north_m=km * 1000) for km in (3, 7, 14, 35, 75)])
        assert api.get("/api/user/nearby/list", viewer, radius=radius, pageCount=1).data["total"] == total

    def test_follows_arrivals_and_departures_at_once(self, api: Api) -> None:
        here = new_area()
        viewer = person_at(api, here)

        def total() -> Any:
            return api.get("/api/user/nearby/list", viewer).data["total"]

        assert total() == 0
        other = make_user(api)
        goes_to(api, other, here)
        assert total() == 1
        api.post("/api/user/location", other, hide=1).data  # noqa: B018
        assert total() == 0

    def test_is_capped_at_a_thousand(self, api: Api) -> None:
        here = new_area()
        viewer, _ = person_at(api, here), person_at(api, here)
        grid = api.parts.discovery.places.grid
        with api.parts.base.database.transaction() as session:
            cell = grid.cell_of(*neighbour(grid, here, east=2))
            session.add(LocationCell(cell=cell, unknown=0, men=999, women=0, changed_at=datetime.now(UTC)))
            api.parts.base.cache.forget(session, [api.parts.discovery.places.tiles.key(grid.tile_of(cell))])
        data = api.get("/api/user/nearby/list", viewer).data
        assert (data["total"], data.get("total_more")) == (1000, None)
        with api.parts.base.database.transaction() as session:
            session.get_one(LocationCell, cell).men = 1000
            api.parts.base.cache.forget(session, [api.parts.discovery.places.tiles.key(grid.tile_of(cell))])
        data = api.get("/api/user/nearby/list", viewer).data
        assert (data["total"], data["total_more"]) == (1000, True)


class TestParameters:
    def test_without_any_place_the_answer_asks_for_one(self, api: Api) -> None:
        answer = api.get("/api/user/nearby/list", make_user(api))
        assert answer.code == 300 and answer.msg.startswith("latlng is missing")
        assert "latlng" in api.get("/api/user/nearby/list", make_user(api), lang="zh").msg

    def test_a_place_comes_with_the_list(self, api: Api) -> None:
        here = new_area()
        viewer, other = make_user(api), person_at(api, here)
        assert list(seen_by(api, viewer, latlng=text_of(here))) == [other.user_id]
        assert list(seen_by(api, viewer)) == [other.user_id]
        assert list(seen_by(api, other)) == [viewer.user_id]

    def test_a_place_comes_with_the_login(self, api: Api) -> None:
        here = new_area()
        viewer = person_at(api, here)
        other = api.new_user(latlng=text_of(here))
        assert list(seen_by(api, viewer)) == [other.user_id]
        assert list(seen_by(api, other)) == [viewer.user_id]

    @pytest.mark.parametrize("method", ["location", "list"])
    @pytest.mark.parametrize(
        "latlng",
        ["", "23.1", "23.1;113.2", "91,0", "0,180.1", "a,b", "23.1,113.2,1", "1e,0", "nan,0", "１,２"],
    )
    def test_malformed_places_change_nothing(self, api: Api, method: str, latlng: str) -> None:
        user = make_user(api)
        if method == "list":
            answer = api.get("/api/user/nearby/list", user, latlng=latlng)
        else:
            answer = api.post("/api/user/location", user, latlng=latlng)
        assert (answer.status, answer.code) == (200, 502)
        assert answer.msg.startswith("lat,lng error")
        assert place_row(api, user) is None

    @pytest.mark.parametrize(
        "own",
        [{"radius": 7}, {"radius": 0}, {"radius": ""}, {"radius": "5.0"}, {"gender": 3}, {"gender": "m"}],
    )
    def test_malformed_filters(self, api: Api, own: dict[str, Any]) -> None:
        answer = api.get("/api/user/nearby/list", person_at(api, new_area()), **own)
        assert answer.code == 300 and next(iter(own)) in answer.msg

    @pytest.mark.parametrize("own", [{}, {"hide": 2}, {"hide": ""}])
    def test_location_wants_something(self, api: Api, own: dict[str, Any]) -> None:
        answer = api.post("/api/user/location", make_user(api), **own)
        assert answer.code == 300 and "hide" in answer.msg

    @pytest.mark.parametrize("path", ["location", "nearby/list"])
    def test_a_login_is_needed(self, api: Api, path: str) -> None:
        call = api.post if path == "location" else api.get
        assert call(f"/api/user/{path}", latlng="23,113").code == 504
