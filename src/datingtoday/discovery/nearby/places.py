"""Locations: rules of reports, and the people shown in each cell.

A report is snapped to a cell before anything else is done with it. The first one takes effect at once; a move to
another cell only after a random delay, and not before the point lies clearly outside of the cell that the person is in.

Rows are locked in this order: the people's rows of `location`, by id, then rows of `location_cell`, by cell.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from datingtoday.discovery.nearby.entries import (
    REMEMBERED,
    BucketEntries,
    Counts,
    PlaceEntries,
    TileEntries,
    bucket_keys,
    counts_of,
    last_cell_of,
)
from datingtoday.discovery.nearby.grid import Grid
from datingtoday.discovery.nearby.models import LOT_BITS, Location, LocationCell
from datingtoday.infra.cache import ReadyCache
from datingtoday.infra.paired import paired
from datingtoday.profiles.enumerations import NOBODY as VISIBLE_TO_NOBODY
from datingtoday.profiles.standing import Standing, standings_of
from datingtoday.protocol.paging import MAX_TOTAL

Point = tuple[float, float]
"""Latitude and longitude in degrees."""
_random = secrets.SystemRandom()


@dataclass(frozen=True, slots=True)
class PlaceRules:
    """The settings that places obey.

    :param edge_m: how far beyond its edge a person still counts as being in a cell.
    :param move_delay_s: a move takes effect after half to one and a half of this; 0: at once.
    :param active: who has not been seen for longer is not shown.
    """

    edge_m: int
    move_delay_s: int
    active: timedelta

    def draw_delay(self) -> timedelta:
        return timedelta(seconds=self.move_delay_s * _random.uniform(0.5, 1.5))


@dataclass(frozen=True, slots=True)
class _Listing:
    """Cells in which a person is found."""

    cell: int | None
    gender: int
    since: datetime | None
    left: int | None
    has_lapsed: bool
    """True if the person is not found any more, although the row still counts them."""

    @property
    def cells(self) -> set[int]:
        """In whose entries the person is."""
        return {cell for cell in (self.cell, self.left) if cell is not None}


class Places:
    """Changes where people are."""

    def __init__(self, entries: ReadyCache, grid: Grid, rules: PlaceRules) -> None:
        self.grid = grid
        self.rules = rules
        self.places = PlaceEntries(grid)
        self.tiles = TileEntries()
        self.buckets = BucketEntries(rules.active)
        self._cache = entries

    # --- what happens to a person

    def report(self, session: Session, user_id: int, point: Point, now: datetime) -> None:
        """Report a person's location. Two reports at the same time come one after the other."""
        row = self._locked(session, user_id)
        before = _listing(row, now)
        self._take_effect(row, now)
        self._move(row, point, now)
        row.report_time = now
        self._publish(session, [(row, before)], now)

    def hide(self, session: Session, user_id: int, hidden: bool, now: datetime) -> None:
        """Hide a person from people nearby, or show them again. The server keeps their location."""
        row = self._locked(session, user_id)
        before = _listing(row, now)
        row.hidden = hidden
        self._publish(session, [(row, before)], now)

    def note_login(
        self, session: Session, user_id: int, address: str, point: Point | None, now: datetime
    ) -> None:
        """Note a login's address and, if it came with one, location."""
        row = self._locked(session, user_id)
        before = _listing(row, now)
        row.ip_addr = address
        if point is not None:
            self._take_effect(row, now)
            self._move(row, point, now)
            row.report_time = now
        self._publish(session, [(row, before)], now)

    def refresh(self, session: Session, user_ids: Iterable[int], now: datetime) -> None:
        """Show people again by their profiles and the time, after either may have changed."""
        rows = self._lock_existing(session, user_ids)
        listings = [(row, _listing(row, now)) for row in rows]
        self._publish(session, listings, now)

    def take_effect(self, session: Session, user_ids: Iterable[int], now: datetime) -> int:
        """Moves of these people that are due take effect; how many did."""
        listings = []
        for row in self._lock_existing(session, user_ids):
            before = _listing(row, now)
            if self._take_effect(row, now):
                listings.append((row, before))
        self._publish(session, listings, now)
        return len(listings)

    def repair(self, session: Session, user_ids: Iterable[int], now: datetime) -> None:
        """Put right what follows from these people's reports and profiles; also after the grid became another one.

        A point that was written by another program is snapped to its cell.
        """
        listings = []
        for row in self._lock_existing(session, user_ids):
            listings.append((row, _listing(row, now)))
            cell = last_cell_of(row, self.grid)
            if cell is None:
                continue
            row.latitude, row.longitude = self.grid.centre(cell)
            if row.cell is None or not self.grid.knows(row.cell):
                row.cell, row.cell_since, row.left_cell = cell, row.report_time or now, None
                row.pending_cell = row.pending_due = None
        self._publish(session, listings, now)

    def delete_place(self, session: Session, user_id: int) -> bool:
        """Delete the row of a deleted account; False if there was none."""
        rows = self._lock_existing(session, [user_id])
        for row in rows:
            if row.shown_until is not None:
                before = _listing(row, row.shown_until)
                row.hidden = True
                self._publish(session, [(row, before)], row.shown_until)
            session.delete(row)
        return bool(rows)

    # --- rules of moving

    def is_settled(self, cell: int, point: Point) -> bool:
        """True if a person in the cell is, as far as others may know, still at this point."""
        return self.grid.knows(cell) and self.grid.outside_m(cell, *point) <= self.rules.edge_m

    def _snapped(self, row: Location, point: Point) -> int:
        """The cell that a report is taken for: near an edge the one that the person is in, or is moving to."""
        for cell in (row.cell, row.pending_cell):
            if cell is not None and self.is_settled(cell, point):
                return cell
        return self.grid.cell_of(*point)

    def _move(self, row: Location, point: Point, now: datetime) -> None:
        last_cell = self._snapped(row, point)
        row.latitude, row.longitude = self.grid.centre(last_cell)
        if row.cell is None or not self.grid.knows(row.cell):
            row.cell, row.cell_since, row.left_cell = last_cell, now, None
            row.pending_cell = row.pending_due = None
        elif last_cell == row.cell:
            row.pending_cell = row.pending_due = None
        elif row.pending_cell is None:
            self._begin_move(row, last_cell, now)
        # A move that is under way stays as it is: where it ends others learn in its time, and then the next begins.

    def _begin_move(self, row: Location, cell: int, now: datetime) -> None:
        row.pending_cell, row.pending_due = cell, now + self.rules.draw_delay()
        self._take_effect(row, now)

    def _take_effect(self, row: Location, now: datetime) -> bool:
        """Apply a pending move; True if there was one."""
        if row.pending_cell is None or row.pending_due is None or row.pending_due > now:
            return False
        row.left_cell, row.cell, row.cell_since = row.cell, row.pending_cell, now
        row.pending_cell = row.pending_due = None
        last_cell = last_cell_of(row, self.grid)
        if last_cell is not None and last_cell != row.cell:
            self._begin_move(row, last_cell, now)
        return True

    # --- rows

    def _locked(self, session: Session, user_id: int) -> Location:
        """The person's row, locked; made if there is none."""
        for row in self._lock_existing(session, [user_id]):
            return row
        try:
            with session.begin_nested():
                row = Location(user_id=user_id, lot=secrets.randbits(LOT_BITS))
                session.add(row)
        except IntegrityError:
            # Another report of the same person was first.
            return self._lock_existing(session, [user_id])[0]
        return row

    @staticmethod
    def _lock_existing(session: Session, user_ids: Iterable[int]) -> Sequence[Location]:
        return session.scalars(
            select(Location)
            .where(Location.user_id.in_(set(user_ids)))
            .order_by(Location.user_id)
            .with_for_update()
            .execution_options(populate_existing=True)
        ).all()

    # --- who is shown

    def _publish(
        self, session: Session, listings: Sequence[tuple[Location, _Listing]], now: datetime
    ) -> None:
        """Show people where they are now, and nowhere else; forget what is kept ready of them."""
        if not listings:
            return
        people = standings_of(session, [row.user_id for row, _ in listings])
        changes: list[tuple[Location, _Listing, _Listing]] = []
        for row, before in listings:
            person = people.get(row.user_id)
            row.gender = person.gender if person is not None else 0
            is_shown = self._is_shown(row, person, now)
            row.shown_cell = row.cell if is_shown else None
            row.shown_until = person.last_active + self.rules.active if is_shown and person else None
            after = _listing(row, now)
            if before != after:
                changes.append((row, before, after))
        keys = {self.places.key(row.user_id) for row, _ in listings}
        self._cache.forget(session, keys | self._count(session, changes, now))

    def _is_shown(self, row: Location, person: Standing | None, now: datetime) -> bool:
        return (
            row.cell is not None
            and not row.hidden
            and person is not None
            and not person.is_gone(now)
            and person.authority != VISIBLE_TO_NOBODY
            and person.last_active > now - self.rules.active
        )

    def _count(
        self, session: Session, changes: Sequence[tuple[Location, _Listing, _Listing]], now: datetime
    ) -> set[str]:
        """Count comings and goings in their cells; the keys of what says otherwise."""
        differences: dict[int, list[int]] = {}
        for _, before, after in changes:
            for listing, step in ((before, -1), (after, 1)):
                if listing.cell is not None:
                    differences.setdefault(listing.cell, [0, 0, 0])[listing.gender] += step
        counts: dict[int, int] = {}
        keys: set[str] = set()
        for cell in sorted({cell for _, *both in changes for listing in both for cell in listing.cells}):
            was, now_is = self._add(session, cell, differences.get(cell), now)
            counts[cell] = max(sum(was), sum(now_is))
            # Beyond what totals tell, only the number of buckets follows from a count, and it may lag behind.
            if any(had != has and min(had, has) <= MAX_TOTAL for had, has in paired(was, now_is)):
                keys.add(self.tiles.key(self.grid.tile_of(cell)))
        for row, before, after in changes:
            for listing in (before, after):
                for cell in listing.cells:
                    keys.update(bucket_keys(self.buckets, cell, listing.gender, row.lot, counts[cell]))
        return keys

    @staticmethod
    def _add(
        session: Session, cell: int, difference: Sequence[int] | None, now: datetime
    ) -> tuple[Counts, Counts]:
        """People in the cell before and after."""
        find = (
            select(LocationCell)
            .where(LocationCell.cell == cell)
            .with_for_update()
            .execution_options(populate_existing=True)
        )
        row = session.scalars(find).one_or_none()
        if row is None:
            try:
                with session.begin_nested():
                    row = LocationCell(cell=cell, changed_at=now)
                    session.add(row)
            except IntegrityError:
                # Another person came into the cell at the same time.
                row = session.scalars(find).one()
        before = counts_of(row)
        if difference is not None:
            row.unknown, row.men, row.women = (max(0, had + more) for had, more in paired(before, difference))
            row.changed_at = now
        return before, counts_of(row)


def _listing(row: Location, now: datetime) -> _Listing:
    was_elsewhere = row.cell_since is not None and row.cell_since > now - REMEMBERED
    return _Listing(
        row.shown_cell,
        row.gender,
        row.cell_since,
        row.left_cell if was_elsewhere else None,
        row.shown_until is not None and row.shown_until <= now,
    )
