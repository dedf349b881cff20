"""Visits to profiles: one row per pair."""

from __future__ import annotations

from datetime import datetime
from enum import IntEnum

from sqlalchemy import Index, Integer, SmallInteger
from sqlalchemy.orm import Mapped, mapped_column

from datingtoday.infra.db import MYSQL_TABLE, Base, UTCDateTime


class VisitStatus(IntEnum):
    """Read state of a visit in the owner's list; the numbers are sent to clients."""

    UNREAD = 0
    READ = 1


class Visitor(Base):
    """Visits of ``visitor_id`` to the profile of ``user_id``. No counter per profile, for which visitors would wait."""

    __tablename__ = "visitor"
    __table_args__ = (
        Index("ix_visitor_user_id_visit_time_visitor_id", "user_id", "visit_time", "visitor_id"),
        Index("ix_visitor_user_id_status", "user_id", "status"),
        Index("ix_visitor_visitor_id", "visitor_id"),
        MYSQL_TABLE,
    )

    user_id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    visitor_id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    visit_time: Mapped[datetime] = mapped_column(UTCDateTime)
    """The last visit."""
    visits: Mapped[int] = mapped_column(Integer)
    status: Mapped[int] = mapped_column(SmallInteger)
    """A `VisitStatus`."""
