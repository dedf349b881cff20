"""Personal data of visitors: export and removal."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from datingtoday.infra.personal_data import PersonColumn, remove_some
from datingtoday.visitors.models import Visitor


class VisitorData:
    """Visits that the person made, by whom; and those that they received, without telling who."""

    name = "visitors"
    holds = (PersonColumn("visitor", "user_id"), PersonColumn("visitor", "visitor_id"))

    def export(self, session: Session, user_id: int, now: datetime) -> dict[str, Any]:
        made = select(Visitor).where(Visitor.visitor_id == user_id).order_by(Visitor.visit_time)
        received = select(Visitor).where(Visitor.user_id == user_id).order_by(Visitor.visit_time)
        return {
            "visits_made": [
                {"user_id": row.user_id, "visit_time": row.visit_time, "visits": row.visits}
                for row in session.scalars(made)
            ],
            "visits_received": [
                {"visit_time": row.visit_time, "visits": row.visits, "status": row.status}
                for row in session.scalars(received)
            ],
        }

    def remove(self, session: Session, user_id: int, most: int) -> int:
        return remove_some(
            session, Visitor, or_(Visitor.user_id == user_id, Visitor.visitor_id == user_id), most
        )
