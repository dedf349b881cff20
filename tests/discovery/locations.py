"""Places for tests, and how to get from one to another."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import orjson

from datingtoday.discovery.nearby import jobs
from datingtoday.discovery.nearby.grid import DEGREE_M, Grid
from datingtoday.discovery.nearby.models import Location
from datingtoday.infra.cache_reader import CacheReader
from datingtoday.profiles.models import UserInfo
from datingtoday.protocol.paging import PageRequest
from tests.plugins.api import Api, User
from tests.profiles.factories import make_user

Point = tuple[float, float]


def text_of(point: Point) -> str:
    """As a client sends it."""
    return f"{point[0]:.7f},{point[1]:.7f}"


def moved(point: Point, *, north_m: float = 0.0, east_m: float = 0.0) -> Point:
    """A point that far away; over the date line, if need be."""
    latitude = point[0] + north_m / DEGREE_M
    longitude = point[1] + east_m / (DEGREE_M * math.cos(math.radians(latitude)))
    return latitude, (longitude + 180.0) % 360.0 - 180.0


def metres_between(one: Point, other: Point) -> float:
    """On a flat earth: for points near each other."""
    middle = math.radians((one[0] + other[0]) / 2)
    aside = (one[1] - other[1] + 180.0) % 360.0 - 180.0
    return math.hypot((one[0] - other[0]) * DEGREE_M, aside * DEGREE_M * math.cos(middle))


def middle_of(api: Api, point: Point) -> Point:
    """The middle of the cell that holds a point."""
    grid = api.parts.discovery.places.grid
    return grid.centre(grid.cell_of(*point))


def neighbour(grid: Grid, point: Point, *, north: int = 0, east: int = 0) -> Point:
    """The middle of a cell so many cells away from the one that holds the point."""
    south, west, top, right = grid.bounds(grid.cell_of(*point))
    latitude = (south + top) / 2 + north * (top - south)
    longitude = (west + right) / 2 + east * (right - west)
    return grid.centre(grid.cell_of(latitude, (longitude + 180.0) % 360.0 - 180.0))


def goes_to(api: Api, user: User, point: Point) -> None:
    """Report a place over the protocol."""
    answer = api.post("/api/user/location", user, latlng=text_of(point))
    assert answer.code == 0, answer.json


def seen_by(api: Api, viewer: User, **own: Any) -> dict[int, int]:
    """Everybody on the first page of 50, with the distances that are told."""
    data = api.get("/api/user/nearby/list", viewer, pageCount=50, **own).data
    return {card["user_id"]: card["distance_km"] for card in data["list"]}


def all_pages(api: Api, viewer: User, count: int, **own: Any) -> list[int]:
    """Everybody, page by page by cursor."""
    found: list[int] = []
    cursor: dict[str, Any] = {}
    while True:
        data = api.get("/api/user/nearby/list", viewer, pageCount=count, **own, **cursor).data
        found += [card["user_id"] for card in data["list"]]
        assert data["has_next"] == (data["next"] is not None)
        if not data["has_next"]:
            return found
        cursor = {"cursor": data["next"]}


def place_row(api: Api, user: User) -> Location | None:
    with api.parts.base.database.transaction(write=False) as session:
        return session.get(Location, user.user_id)


def set_place(api: Api, user: User, point: Point, now: datetime) -> None:
    """Report a place without a request."""
    with api.parts.base.database.transaction() as session:
        api.parts.discovery.places.report(session, user.user_id, point, now)


_areas = itertools.count()


def new_area() -> Point:
    """The middle of a cell of the default grid, hundreds of kilometres from where other tests of this process are."""
    return area(next(_areas))


def area(number: int) -> Point:
    """The middle of a cell of the default grid; hundreds of kilometres from those with other numbers below 1092."""
    latitude, longitude = -50.0 + 4.0 * (number % 26), -170.0 + 8.0 * (number // 26 % 42)
    grid = Grid(2200)
    return grid.centre(grid.cell_of(latitude, longitude))


def locate(
    api: Api, user_id: int, now: datetime, *, latlng: Point | None = None, hide: bool | None = None
) -> None:
    """A report as the service takes it, at a time of the test's choice."""
    api.parts.discovery.nearby.locate(
        user_id, CacheReader(api.parts.base.cache, now), latlng=latlng, hide=hide
    )


def listed(
    api: Api,
    user: User,
    now: datetime,
    *,
    count: int = 50,
    cursor: str | None = None,
    radius: int = 50,
    gender: int | None = None,
) -> dict[str, Any]:
    """A page as the service makes it, at a time of the test's choice."""
    with api.parts.base.database.transaction(write=False) as session:
        made = api.parts.discovery.nearby.list(
            session, user.user_id, CacheReader(api.parts.base.cache, now), latlng=None, radius=radius, gender=gender,
            page=PageRequest(1, count, cursor),
        )  # fmt: skip
    answer: dict[str, Any] = orjson.loads(bytes(made))
    return answer


def found(api: Api, user: User, now: datetime, **wanted: Any) -> list[int]:
    """User ids on the page."""
    return [card["user_id"] for card in listed(api, user, now, **wanted)["list"]]


def apply_due_moves(api: Api, now: datetime) -> None:
    """Work that requests do on the side, at most once a second, a few people at a time."""
    while jobs.apply_due_moves(api.parts.base.database, api.parts.discovery.places, now):
        pass


def crowd(api: Api, points: Iterable[Point], now: datetime | None = None, **columns: Any) -> list[int]:
    """The ids of people who never logged in, one at each point; quicker than logging in.

    :param columns: of their profiles; a list has one value for each.
    """
    at = now or datetime.now(UTC)
    chosen = list(points)
    with api.parts.base.database.transaction() as session:
        people = []
        for number in range(len(chosen)):
            own = {
                name: value[number % len(value)] if isinstance(value, list) else value
                for name, value in columns.items()
            }
            row = {
                "nickname": f"路人{number}",
                "create_time": at,
                "update_time": at,
                "last_active": at,
                **own,
            }
            people.append(UserInfo(**row))
        session.add_all(people)
        session.flush()
        for person, point in zip(people, chosen, strict=True):
            api.parts.discovery.places.report(session, person.id, point, at)
        return [person.id for person in people]


def user_of(user_id: int) -> User:
    """A user who has no login."""
    return User(user_id, "", "")


def person_at(api: Api, point: Point, **columns: Any) -> User:
    """A user logged in and in a place."""
    user = make_user(api, **columns)
    set_place(api, user, point, datetime.now(UTC))
    return user
