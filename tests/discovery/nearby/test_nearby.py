"""People nearby, over the protocol: bands, filters, order, pages, and who is never listed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from datingtoday.profiles.models import UserInfo
from tests.discovery.locations import (
    apply_due_moves,
    crowd,
    found,
    goes_to,
    moved,
    neighbour,
    new_area,
    person_at,
    place_row,
    seen_by,
    text_of,
)
from tests.plugins.api import Api
from tests.plugins.polling import wait_until
from tests.profiles.factories import ban, delete, make_block, make_follow, make_user, set_row


class TestBands:
    def test_a_card_says_how_far_at_the_most(self, api: Api) -> None:
        here = new_area()
        viewer = person_at(api, here)
        grid = api.parts.discovery.places.grid
        bands = {0: 2, 1: 5, 2: 5, 4: 10, 8: 20, 22: 50, 40: 100, 47: None}
        people = crowd(api, [neighbour(grid, here, north=cells) for cells in bands])
        expected = dict(zip(people, bands.values(), strict=True))
        del expected[people[-1]]
        assert seen_by(api, viewer, radius=100) == expected

    def test_a_card_has_all_that_cards_have(self, api: Api) -> None:
        here = new_area()
        viewer, other = person_at(api, here), person_at(api, here, nickname="邻居", height=170)
        (card,) = api.get("/api/user/nearby/list", viewer).data["list"]
        (plain,) = api.get("/api/user/search", viewer, nickname="邻居", heightMin=170, heightMax=170).data[
            "list"
        ][:1]
        assert card == {**plain, "user_id": other.user_id, "distance_km": 2}

    @pytest.mark.parametrize(("radius", "bands"), [(5, {2, 5}), (10, {2, 5, 10}), (20, {2, 5, 10, 20})])
    def test_nobody_beyond_the_radius(self, api: Api, radius: int, bands: set[int]) -> None:
        here = new_area()
        viewer = person_at(api, here)
        crowd(
            api,
            [neighbour(api.parts.discovery.places.grid, here, east=cells) for cells in (0, 2, 4, 8, 22, 40)],
        )
        assert set(seen_by(api, viewer, radius=radius).values()) == bands

    def test_the_radius_is_50_km_if_none_is_given(self, api: Api) -> None:
        here = new_area()
        viewer = person_at(api, here)
        near, _ = crowd(
            api, [neighbour(api.parts.discovery.places.grid, here, east=cells) for cells in (22, 24)]
        )
        assert seen_by(api, viewer) == {near: 50}

    @pytest.mark.parametrize("latitude", [0.0, 45.0, 69.6, 78.2, 89.2, -77.8])
    def test_over_the_date_line(self, api: Api, latitude: float) -> None:
        west, east = (latitude, 179.999), (latitude, -179.999)
        viewer = person_at(api, west)
        other = person_at(api, east)
        far = person_at(api, moved(east, east_m=30_000))
        seen = seen_by(api, viewer)
        assert seen[other.user_id] in (2, 5)
        assert seen[far.user_id] == 50

    @pytest.mark.parametrize("pole", [90, -90])
    def test_around_a_pole(self, api: Api, pole: int) -> None:
        close = pole - 0.001 * pole / 90
        viewer = person_at(api, (pole, 12.0))
        *others, far = crowd(
            api,
            [
                *((close, longitude) for longitude in (-170.0, -60.0, 3.0, 100.0)),
                (pole - pole / 90 * 0.3, -80.0),
            ],
        )
        seen = seen_by(api, viewer)
        assert {seen[other] for other in others} <= {2, 5}
        assert seen[far] == 50


class TestFilters:
    def test_by_gender(self, api: Api) -> None:
        here = new_area()
        viewer = person_at(api, here)
        people = crowd(api, [here] * 3, gender=[0, 1, 2])
        for gender, user_id in enumerate(people):
            assert list(seen_by(api, viewer, gender=gender)) == [user_id]
        assert set(seen_by(api, viewer)) == set(people)

    def test_a_changed_gender_counts_at_once(self, api: Api) -> None:
        here = new_area()
        viewer, other = person_at(api, here), person_at(api, here, gender=1)
        assert list(seen_by(api, viewer, gender=1)) == [other.user_id]
        api.post("/api/user/update", other, gender=2).data  # noqa: B018
        assert list(seen_by(api, viewer, gender=2)) == [other.user_id]
        assert seen_by(api, viewer, gender=1) == {}

    def test_only_people_seen_within_a_month(self, api: Api) -> None:
        here, now = new_area(), datetime.now(UTC)
        viewer = person_at(api, here)
        recent = person_at(api, here, last_active=now - timedelta(days=29, hours=23))
        person_at(api, here, last_active=now - timedelta(days=30, minutes=1))
        assert list(seen_by(api, viewer)) == [recent.user_id]

    def test_who_is_not_seen_any_more_goes_to_the_minute(self, api: Api) -> None:
        here, now = new_area(), datetime.now(UTC)
        viewer = person_at(api, here)
        other = person_at(api, here, last_active=now - timedelta(days=30) + timedelta(seconds=4))
        assert found(api, viewer, now) == [other.user_id]
        wait_until(lambda: seen_by(api, viewer) == {}, "the entry to run out", deadline_s=15, every_s=0.1)

    def test_who_comes_back_is_found_again_at_once(self, api: Api) -> None:
        here, now = new_area(), datetime.now(UTC)
        viewer = person_at(api, here)
        other = person_at(api, here)
        with api.parts.base.database.transaction() as session:
            session.get_one(UserInfo, other.user_id).last_active = now - timedelta(days=31)
        with api.parts.base.database.transaction() as session:
            api.parts.discovery.places.refresh(session, [other.user_id], now)
        assert seen_by(api, viewer) == {}
        with api.parts.base.database.transaction() as session:
            api.parts.profiles.service.note_active(session, other.user_id, now)
        assert list(seen_by(api, viewer)) == [other.user_id]

    def test_who_is_not_seen_for_long_is_taken_off(self, api: Api) -> None:
        """So that the index holds people who may be found, and not all who ever came."""
        here, now = new_area(), datetime.now(UTC)
        other = person_at(api, here)
        row = place_row(api, other)
        assert row is not None and row.shown_cell is not None
        apply_due_moves(api, now + timedelta(days=31))
        row = place_row(api, other)
        assert row is not None and row.shown_cell is None and row.cell is not None


class TestWhoIsNeverListed:
    def test_the_viewer_is_not_listed(self, api: Api) -> None:
        viewer = person_at(api, new_area())
        data = api.get("/api/user/nearby/list", viewer).data
        assert data == {"total": 0, "list": [], "has_next": False, "next": None}

    @pytest.mark.parametrize(
        "happens",
        [
            pytest.param(lambda api, viewer, other: set_row(api, other, authority=0), id="visible to nobody"),
            pytest.param(
                lambda api, viewer, other: set_row(api, other, authority=2), id="to whom they follow"
            ),
            pytest.param(lambda api, viewer, other: make_block(api, viewer, other), id="blocked"),
            pytest.param(lambda api, viewer, other: make_block(api, other, viewer), id="blocks"),
            pytest.param(lambda api, viewer, other: ban(api, other), id="banned"),
            pytest.param(lambda api, viewer, other: delete(api, other), id="deleted"),
        ],
    )
    def test_who_may_not_be_found(self, api: Api, happens: Any) -> None:
        """Written past all events: the answer does not rely on what is kept ready."""
        here = new_area()
        viewer, other, third = (person_at(api, here) for _ in range(3))
        assert set(seen_by(api, viewer)) == {other.user_id, third.user_id}
        happens(api, viewer, other)
        assert list(seen_by(api, viewer)) == [third.user_id]

    def test_followers_are_found_by_whom_they_follow(self, api: Api) -> None:
        here = new_area()
        viewer, other = person_at(api, here), person_at(api, here, authority=2)
        assert seen_by(api, viewer) == {}
        make_follow(api, other, viewer)
        assert list(seen_by(api, viewer)) == [other.user_id]

    def test_by_the_rules_of_the_product(self, api: Api) -> None:
        here, now = new_area(), datetime.now(UTC)
        viewer, other = person_at(api, here), person_at(api, here)
        parts = api.parts

        def is_listed() -> bool:
            return list(seen_by(api, viewer)) == [other.user_id]

        api.post("/api/user/update", other, authority=0).data  # noqa: B018
        assert not is_listed() and api.get("/api/user/nearby/list", viewer).data["total"] == 0
        api.post("/api/user/update", other, authority=1).data  # noqa: B018
        assert is_listed()
        with parts.base.database.transaction() as session:
            parts.profiles.service.ban(session, other.user_id, until=None, reason="spam", now=now)
        assert not is_listed()
        with parts.base.database.transaction() as session:
            assert parts.profiles.service.unban(session, other.user_id, now)
        assert is_listed()
        with parts.base.database.transaction() as session:
            parts.profiles.service.leave(session, other.user_id, now)
        assert not is_listed() and api.get("/api/user/nearby/list", viewer).data["total"] == 0

    def test_who_hides(self, api: Api) -> None:
        here = new_area()
        viewer, other = person_at(api, here), person_at(api, here)
        assert api.post("/api/user/location", other, hide=1).json == {"code": 0, "msg": "success"}
        data = api.get("/api/user/nearby/list", viewer).data
        assert data["list"] == [] and data["total"] == 0
        # A new place does not show who hides, and who hides can look.
        goes_to(api, other, moved(here, north_m=300))
        assert seen_by(api, viewer) == {} and list(seen_by(api, other)) == [viewer.user_id]
        api.post("/api/user/location", other, hide=0).data  # noqa: B018
        assert list(seen_by(api, viewer)) == [other.user_id]

    def test_hiding_before_any_place_is_known(self, api: Api) -> None:
        here = new_area()
        viewer, other = person_at(api, here), make_user(api)
        api.post("/api/user/location", other, hide=1).data  # noqa: B018
        goes_to(api, other, here)
        assert seen_by(api, viewer) == {}

    def test_hiding_and_a_place_in_one_request(self, api: Api) -> None:
        here = new_area()
        viewer, other = person_at(api, here), make_user(api)
        api.post("/api/user/location", other, hide=1, latlng=text_of(here)).data  # noqa: B018
        assert seen_by(api, viewer) == {}
        row = place_row(api, other)
        assert row is not None and row.cell is not None and row.hidden
