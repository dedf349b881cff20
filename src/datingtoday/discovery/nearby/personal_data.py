"""Personal data of locations."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from datingtoday.discovery.nearby.models import Location
from datingtoday.discovery.nearby.places import Places
from datingtoday.infra.personal_data import PersonColumn

_EXPORTED = ("ip_addr", "latitude", "longitude", "report_time", "hidden")


class PlaceData:
    """The latest place, as far as it is known."""

    name = "place"
    holds = (PersonColumn("location", "user_id"),)

    def __init__(self, places: Places) -> None:
        self._places = places

    def export(self, session: Session, user_id: int, now: datetime) -> dict[str, Any]:
        """The middle of the square that was reported last; the point itself is not stored."""
        row = session.get(Location, user_id)
        place = None if row is None else {name: getattr(row, name) for name in _EXPORTED}
        return {"place": place}

    def remove(self, session: Session, user_id: int, most: int) -> int:
        return int(self._places.delete_place(session, user_id))
