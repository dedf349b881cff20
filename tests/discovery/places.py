"""Places for tests, and how to get from one to another."""

from __future__ import annotations

import math
from datetime import datetime
from typing import Any

from datingtoday.discovery.grid import DEGREE_M, Grid
from datingtoday.discovery.models import Location
from tests.plugins.api import Api, User

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
    grid = api.parts.places.grid
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
    with api.parts.database.transaction(write=False) as session:
        return session.get(Location, user.user_id)


def set_place(api: Api, user: User, point: Point, now: datetime) -> None:
    """Report a place without a request."""
    with api.parts.database.transaction() as session:
        api.parts.places.report(session, user.user_id, point, now)
