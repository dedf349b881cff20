"""Personal data of search and hot list."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from datingtoday.discovery.derived_rows import PeopleIndex
from datingtoday.discovery.hot.models import HotAttention, HotDay
from datingtoday.discovery.hot.ranking import LANDMARK
from datingtoday.infra.personal_data import PersonColumn, remove_some

_DERIVED = "made from the profile, which is handed out, so that search and the hot list are quick"


class PeopleData:
    """Rows derived from profiles, and how much attention a person received on which day."""

    name = "hot"
    holds = (
        PersonColumn("search_name", "user_id", not_exported=_DERIVED),
        PersonColumn("search_gram", "user_id", not_exported=_DERIVED),
        PersonColumn("hot_person", "user_id", not_exported=_DERIVED),
        PersonColumn("hot_day", "user_id"),
        PersonColumn(
            "hot_attention", "user_id", not_exported="who looks at whom is told by the list of visitors"
        ),
        PersonColumn(
            "hot_attention", "peer_id", not_exported="kept for two days, so that nobody counts twice"
        ),
    )

    def __init__(self, index: PeopleIndex) -> None:
        self._index = index

    def export(self, session: Session, user_id: int, now: datetime) -> dict[str, Any]:
        days = select(HotDay).where(HotDay.user_id == user_id).order_by(HotDay.day)
        return {
            "attention": [
                {
                    "day": (LANDMARK + timedelta(days=row.day)).isoformat(),
                    "weight": row.weight,
                    "people": row.people,
                }
                for row in session.scalars(days)
            ]
        }

    def remove(self, session: Session, user_id: int, most: int) -> int:
        if removed := self._index.remove(session.connection(), user_id):
            return removed
        # Grams of a person whose folded nickname is gone already cannot be left: both go in one transaction.
        of_person = or_(HotAttention.user_id == user_id, HotAttention.peer_id == user_id)
        if removed := remove_some(session, HotAttention, of_person, most):
            return removed
        return remove_some(session, HotDay, HotDay.user_id == user_id, most)
