"""Views of an attacker: lists for an account whose first report is a point of the attacker's choice.

Each question is asked by a new account, for which a place counts at once. So an attacker here is never slowed down by
the delay of moves, and sees the server as it is, as often as they like.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Protocol

import orjson

from datingtoday.discovery.nearby.daily_order import Orders
from datingtoday.discovery.nearby.entries import NOBODY, Place
from datingtoday.discovery.nearby.grid import BANDS_KM, BANDS_M, Grid
from datingtoday.discovery.nearby.pages import NearbyList, NearbyQuery
from datingtoday.infra.cache_reader import CacheReader
from datingtoday.profiles.cards.finding import Finding
from datingtoday.protocol.paging import Cursors, PageRequest
from tests.discovery.locations import Point, metres_between, set_place, text_of, user_of
from tests.plugins.api import SECRET_KEY, Api
from tests.profiles.factories import make_user

Listed = tuple[tuple[int, int], ...]
"""(user id, distance told), in the order of the list."""


class View(Protocol):
    """The attacker's view of a server."""

    def look(self, point: Point, radius_km: int, *, day: int = 0) -> Listed:
        """Users listed for a user who stands there, some days from now."""

    def put_decoy(self, point: Point) -> int:
        """Let an account of the attacker's be somewhere; its id."""


class ServiceView:
    """Past HTTP and the writing of the attacker's own place: what the list makes of a new account's cell."""

    def __init__(self, api: Api, now: datetime) -> None:
        parts = api.parts
        key = bytes.fromhex(SECRET_KEY)
        self._api = api
        finding = Finding(parts.profiles.cards, parts.profiles.visibility)
        self._people = NearbyList(
            parts.discovery.places, Orders(key), finding, parts.profiles.cards, Cursors(key)
        )
        self._viewer = make_user(api)
        self._decoy = make_user(api)
        self._now = now

    def look(self, point: Point, radius_km: int, *, day: int = 0) -> Listed:
        cell = self._api.parts.discovery.places.grid.cell_of(*point)
        place = Place(cell, cell, False, 0.0, False, 0, NOBODY)
        now = self._now + timedelta(days=day)
        with self._api.parts.base.database.transaction(write=False) as session:
            query = NearbyQuery(radius_km, None, PageRequest(1, 50, None))
            cache = CacheReader(self._api.parts.base.cache, now)
            made = self._people.page(session, self._viewer.user_id, place, query, cache)
        return _listed(orjson.loads(bytes(made)))

    def put_decoy(self, point: Point) -> int:
        set_place(self._api, user_of(self._decoy.user_id), point, self._now)
        return self._decoy.user_id


class ApiView:
    """Over the protocol, each time with an account that has just registered."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def look(self, point: Point, radius_km: int, *, day: int = 0) -> Listed:
        viewer = make_user(self._api)
        self._api.post("/api/user/location", viewer, hide=1).data  # noqa: B018 - asserts success
        own = {"latlng": text_of(point), "radius": radius_km, "pageCount": 50}
        return _listed(self._api.get("/api/user/nearby/list", viewer, **own).data)

    def put_decoy(self, point: Point) -> int:
        decoy = make_user(self._api)
        self._api.post("/api/user/location", decoy, latlng=text_of(point)).data  # noqa: B018
        return decoy.user_id


class CellsView:
    """Not a server, but all that one may say: made of the cells of the point, the target and the decoy alone."""

    def __init__(self, grid: Grid, user_id: int, target: Point, today: int) -> None:
        self._grid = grid
        self._orders = Orders(bytes.fromhex(SECRET_KEY))
        self._cells = {user_id: grid.cell_of(*target)}
        self._today = today

    def look(self, point: Point, radius_km: int, *, day: int = 0) -> Listed:
        here, order = self._grid.cell_of(*point), self._orders.of_day(self._today + day)
        near = sorted(
            (self._grid.band(here, cell), order.cell(cell), order.person(user_id), user_id)
            for user_id, cell in self._cells.items()
        )
        bands = [(who[-1], BANDS_KM[who[0]]) for who in near if who[0] < len(BANDS_KM)]
        return tuple((user_id, band) for user_id, band in bands if band <= radius_km)

    def put_decoy(self, point: Point) -> int:
        decoy = 1_000_000
        self.know(decoy, point)
        return decoy

    def know(self, user_id: int, point: Point) -> None:
        """Another user is there."""
        self._cells[user_id] = self._grid.cell_of(*point)


class TwinView:
    """Asks a server, and insists that it says what could be said by one who knows cells only; order included."""

    def __init__(self, server: View, cells: CellsView) -> None:
        self._server = server
        self._cells = cells
        self.asked = 0

    def look(self, point: Point, radius_km: int, *, day: int = 0) -> Listed:
        said = self._server.look(point, radius_km, day=day)
        self.asked += 1
        assert said == self._cells.look(point, radius_km, day=day), (
            "the server tells more than cells, or less"
        )
        return said

    def put_decoy(self, point: Point) -> int:
        decoy = self._server.put_decoy(point)
        self._cells.know(decoy, point)
        return decoy


class NaiveView:
    """A server as one would write it without thinking: exact places, and the list sorted by distance.

    :param grid: for the bands cells count; the order stays that of the true distances.
    :param half: for the bands the viewer's cell counts, and the exact place of the others; the order tells nothing.
    """

    def __init__(self, target: Point, grid: Grid | None = None, *, half: bool = False) -> None:
        self._people = {1: target}
        self._grid = grid
        self._half = half

    def look(self, point: Point, radius_km: int, *, day: int = 0) -> Listed:
        here = self._snapped(point)
        near = []
        for user_id, place in self._people.items():
            distance_m = metres_between(here, place if self._half else self._snapped(place))
            band = sum(distance_m > limit for limit in BANDS_M)
            near.append((band, 0.0 if self._half else metres_between(point, place), user_id))
        bands = [(who, BANDS_KM[band]) for band, _, who in sorted(near) if band < len(BANDS_KM)]
        return tuple((user_id, band) for user_id, band in bands if band <= radius_km)

    def put_decoy(self, point: Point) -> int:
        self._people[2] = point
        return 2

    def _snapped(self, point: Point) -> Point:
        return point if self._grid is None else self._grid.centre(self._grid.cell_of(*point))


class Memory:
    """Remembers every answer, for attacks that learn from all of them."""

    def __init__(self, view: View, target: int) -> None:
        self.view = view
        self.target = target
        self.seen: list[tuple[Point, int, int | None]] = []
        """(where from, radius, distance told or None if the target is not listed)"""

    def distance_km(self, point: Point, radius_km: int, *, day: int = 0) -> int | None:
        listed = dict(self.view.look(point, radius_km, day=day))
        told = listed.get(self.target)
        self.seen.append((point, radius_km, told))
        return told

    def is_before_decoy(self, point: Point, decoy: int) -> bool:
        """True if the target is listed ahead of the decoy; the one who is listed is ahead of one who is not."""
        order = [user_id for user_id, _ in self.view.look(point, 10)]
        places = {user_id: number for number, user_id in enumerate(order)}
        return places.get(self.target, len(order)) < places.get(decoy, len(order))


def _listed(answer: dict[str, Any]) -> Listed:
    return tuple((card["user_id"], card["distance_km"]) for card in answer["list"])
