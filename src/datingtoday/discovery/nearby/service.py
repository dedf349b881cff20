"""Service of people nearby: location reports, the list, and due moves."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from datingtoday.accounts.service import LoggedIn
from datingtoday.discovery.nearby.daily_order import day_of
from datingtoday.discovery.nearby.entries import Place
from datingtoday.discovery.nearby.errors import nothing_to_change
from datingtoday.discovery.nearby.pages import NearbyList, NearbyQuery
from datingtoday.discovery.nearby.places import Places, Point
from datingtoday.infra.cache_reader import CacheReader
from datingtoday.infra.db import Database
from datingtoday.profiles.service import FirstActiveToday, ProfileChanged
from datingtoday.protocol.envelope import ReadyJson
from datingtoday.protocol.paging import PageRequest

REPORT_EVERY = timedelta(minutes=10)
"""Exactness of `Location.report_time` is: a report that changes nothing else is not written more often."""


class Nearby:
    """Service of the routes, and listener to logins and profiles."""

    def __init__(self, database: Database, places: Places, people: NearbyList) -> None:
        self._database = database
        self._places = places
        self._people = people

    # --- what people do

    def list(
        self,
        session: Session,
        user_id: int,
        cache: CacheReader,
        *,
        latlng: Point | None,
        radius: int,
        gender: int | None,
        page: PageRequest,
    ) -> ReadyJson:
        """A page of the people within ``radius`` km; with ``latlng`` the viewer's place is reported first.

        :param session: nothing was read in it yet: the report is committed before.
        :raises ParameterError: no place is known, a page too deep, or a cursor of another list.
        """
        now = cache.now
        query = NearbyQuery(radius, gender, page)
        if cache.is_empty:
            cache.read_ahead(self.keys_ahead(user_id, query, now))
        place = self._people.place_of(user_id, cache)
        if latlng is not None and not self._says_nothing_new(place, latlng, now):
            self._report(user_id, latlng, now)
            # What was read before may say otherwise.
            cache.forget_read()
            place = self._people.place_of(user_id, cache)
        return self._people.page(session, user_id, place, query, cache)

    def keys_ahead(self, user_id: int, query: NearbyQuery, now: datetime) -> Sequence[str]:
        """The cache entries that `list` will want, as far as this process can guess."""
        return self._people.keys_ahead(user_id, query, day_of(now))

    def locate(self, user_id: int, cache: CacheReader, *, latlng: Point | None, hide: bool | None) -> None:
        """Update a person's location, or hide them from people nearby.

        :raises ParameterError: neither was given.
        """
        now = cache.now
        if latlng is None and hide is None:
            raise nothing_to_change()
        # Hidden first: who hides and says where they are is not shown there in between.
        if hide is not None:
            self._database.retried(lambda session: self._places.hide(session, user_id, hide, now))
        if latlng is not None and not self._says_nothing_new(
            self._people.place_of(user_id, cache), latlng, now
        ):
            self._report(user_id, latlng, now)

    # --- what is heard of them

    def logged_in(self, session: Session, event: LoggedIn) -> None:
        """The login's address is kept, and the place if it came with one: in the login's own transaction."""
        self._places.note_login(session, event.user_id, event.address, event.latlng, event.at)

    def profile_changed(self, session: Session, event: ProfileChanged) -> None:
        """Gender, visibility or standing may be others now."""
        self._places.refresh(session, [event.user_id], event.at)

    def active(self, session: Session, event: FirstActiveToday) -> None:
        """Listener: a user is active again, perhaps after a long time."""
        self._places.refresh(session, [event.user_id], event.at)

    # --- in between

    def _report(self, user_id: int, point: Point, now: datetime) -> None:
        self._database.retried(lambda session: self._places.report(session, user_id, point, now))

    def _says_nothing_new(self, place: Place, point: Point, now: datetime) -> bool:
        """True if a report would change neither a cell nor, by much, its time."""
        return (
            place.cell is not None
            and place.last_cell == place.cell
            and not place.is_moving
            and now.timestamp() - place.reported_s < REPORT_EVERY.total_seconds()
            and self._places.is_settled(place.cell, point)
        )
