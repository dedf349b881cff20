"""Personal data of reports."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from datingtoday.infra.personal_data import PersonColumn, remove_some
from datingtoday.safety.models import ReportState, UserReport


class ReportData:
    """A user's own reports are exported without their evidence, which is about another. The purge takes the reporter's
    id out of them, and their words where the report is closed. Closed reports about the user go with the purge, an open
    one when a moderator closes it.
    """

    name = "reports"
    holds = (
        PersonColumn("user_report", "user_id"),
        PersonColumn(
            "user_report",
            "peer_id",
            not_exported="who reports is protected",
            not_removed="an open report stays until a moderator has closed it",
        ),
    )

    def export(self, session: Session, user_id: int, now: datetime) -> dict[str, Any]:
        rows = session.scalars(
            select(UserReport).where(UserReport.user_id == user_id).order_by(UserReport.id)
        )
        return {
            "reports": [
                {
                    "report_id": row.id,
                    "user_id": row.peer_id,
                    "reason": row.reason,
                    "detail": row.detail,
                    "message_id": row.message_id,
                    "create_time": row.create_time,
                    "closed": row.state != ReportState.OPEN,
                }
                for row in rows
            ]
        }

    def remove(self, session: Session, user_id: int, most: int) -> int:
        closed = (UserReport.peer_id == user_id) & (UserReport.state != ReportState.OPEN)
        if removed := remove_some(session, UserReport, closed, most):
            return removed
        own = session.scalars(select(UserReport.id).where(UserReport.user_id == user_id).limit(most)).all()
        if own:
            theirs = update(UserReport).where(UserReport.id.in_(own))
            session.execute(theirs.where(UserReport.state != ReportState.OPEN).values(detail=""))
            session.execute(theirs.values(user_id=None))
        return len(own)
