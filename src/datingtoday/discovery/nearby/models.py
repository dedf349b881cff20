"""Rows of places. The point that a client reports is nowhere among them; see docs/decisions/exact-position.md.

No foreign keys, for the reason that `profiles/models.py` gives.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, Boolean, Double, Index, Integer, SmallInteger, String
from sqlalchemy.orm import Mapped, mapped_column

from datingtoday.infra.db import MYSQL_TABLE, Base, UTCDateTime

LOT_BITS = 31
ADDRESS_CHARS = 45


class Location(Base):
    """A person's location as a cell of the grid (`grid.py`), and since when others may know it."""

    __tablename__ = "location"
    __table_args__ = (
        Index("ix_location_shown_cell_gender_lot", "shown_cell", "gender", "lot"),
        Index("ix_location_left_cell_cell_since", "left_cell", "cell_since"),
        Index("ix_location_pending_due", "pending_due"),
        Index("ix_location_shown_until", "shown_until"),
        MYSQL_TABLE,
    )

    user_id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    ip_addr: Mapped[str | None] = mapped_column(String(ADDRESS_CHARS))
    """The network address of the latest login; for the person's own export only."""
    longitude: Mapped[float | None] = mapped_column(Double)
    latitude: Mapped[float | None] = mapped_column(Double)
    """With the longitude the middle of the cell that was reported last; degrees."""
    report_time: Mapped[datetime | None] = mapped_column(UTCDateTime)
    """Time of the latest report, to some minutes."""
    cell: Mapped[int | None] = mapped_column(BigInteger)
    """The cell that all answers depend on, the person's own too; null without a location."""
    cell_since: Mapped[datetime | None] = mapped_column(UTCDateTime)
    left_cell: Mapped[int | None] = mapped_column(BigInteger)
    """Previous cell: users who are paging through a list keep finding the person there."""
    pending_cell: Mapped[int | None] = mapped_column(BigInteger)
    """Cell that the person has moved to, which takes effect at ``pending_due``."""
    pending_due: Mapped[datetime | None] = mapped_column(UTCDateTime)
    hidden: Mapped[bool] = mapped_column(Boolean, default=False)
    """The person's own choice not to be found nearby."""
    shown_cell: Mapped[int | None] = mapped_column(BigInteger)
    """``cell``, or null while the person is not to be found there by anybody."""
    shown_until: Mapped[datetime | None] = mapped_column(UTCDateTime)
    """Until when without being active; null while nobody finds them anyway."""
    gender: Mapped[int] = mapped_column(SmallInteger, default=0)
    """Copy of the profile's value; the index needs it."""
    lot: Mapped[int] = mapped_column(Integer)
    """Drawn once, 0 to 2^31 - 1: spreads the people of a crowded cell evenly over its buckets."""


class LocationCell(Base):
    """Number of people shown in a cell, by gender; kept in step with `Location.shown_cell` in
    its transactions."""

    __tablename__ = "location_cell"
    __table_args__ = (MYSQL_TABLE,)

    cell: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    unknown: Mapped[int] = mapped_column(Integer, default=0)
    men: Mapped[int] = mapped_column(Integer, default=0)
    women: Mapped[int] = mapped_column(Integer, default=0)
    changed_at: Mapped[datetime] = mapped_column(UTCDateTime)
    """Moment at which a person last came or went."""
