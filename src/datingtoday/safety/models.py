"""Rows of reports."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from sqlalchemy import BigInteger, Index, Integer, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from datingtoday.infra.db import MYSQL_TABLE, Base, UTCDateTime

DETAIL_CHARS = 1000
NOTE_CHARS = 200


class ReportState(StrEnum):
    """State of a report."""

    OPEN = "open"
    DISMISSED = "dismissed"
    BANNED = "banned"


class UserReport(Base):
    """``user_id`` reported ``peer_id``. What the report is about is kept here, whatever is changed afterwards."""

    __tablename__ = "user_report"
    __table_args__ = (
        Index("ix_user_report_state_id", "state", "id"),
        Index("ix_user_report_user_id_create_time", "user_id", "create_time"),
        Index("ix_user_report_peer_id", "peer_id"),
        {**MYSQL_TABLE, "sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=True)
    user_id: Mapped[int | None] = mapped_column(Integer)
    """Null once the reporter's account is purged."""
    peer_id: Mapped[int] = mapped_column(Integer)
    reason: Mapped[str] = mapped_column(String(16))
    detail: Mapped[str] = mapped_column(String(DETAIL_CHARS), default="")
    message_id: Mapped[int | None] = mapped_column(BigInteger)
    evidence: Mapped[str] = mapped_column(Text)
    """JSON: how the reported person looked to others at the moment of the report, and the message."""
    state: Mapped[str] = mapped_column(String(16), default=ReportState.OPEN)
    create_time: Mapped[datetime] = mapped_column(UTCDateTime)
    close_time: Mapped[datetime | None] = mapped_column(UTCDateTime)
    note: Mapped[str] = mapped_column(String(NOTE_CHARS), default="")
    """The moderator's note on closing it."""
