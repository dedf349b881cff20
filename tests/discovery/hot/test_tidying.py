"""Days of the hot list that are over: kept as long as they count, and no day longer."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from datingtoday.discovery.hot import jobs
from datingtoday.discovery.hot.models import HotAttention, HotDay
from datingtoday.discovery.hot.ranking import day_of
from tests.plugins.api import Api
from tests.profiles.factories import make_user

pytestmark = pytest.mark.parametrize("shared_backend", ["embedded"], indirect=True)
NOW = datetime(2026, 7, 1, 0, 0, 1, tzinfo=UTC)


def days_of(api: Api, table: type[HotAttention | HotDay], user_id: int) -> list[int]:
    """Ages of the rows in days."""
    with api.parts.base.database.reading() as session:
        days = session.scalars(select(table.day).where(table.user_id == user_id))
        return sorted(day_of(NOW) - day for day in days if day <= day_of(NOW))


def test_attention_is_kept_for_two_days_and_points_for_twelve_half_lives(api: Api) -> None:
    user_id = make_user(api).user_id
    with api.parts.base.database.transaction() as session:
        for ago in (0, 1, 2, 3, 83, 84, 85):
            day = day_of(NOW - timedelta(days=ago))
            session.add(HotAttention(user_id=user_id, day=day, peer_id=1, weight=1))
            session.add(HotDay(user_id=user_id, day=day, weight=1, people=1, active=False))
    told: list[int] = []
    removed = jobs.tidy(api.parts.base.database, api.parts.discovery.scores, NOW, report_progress=told.append)
    assert days_of(api, HotAttention, user_id) == [0, 1, 2]
    assert days_of(api, HotDay, user_id) == [0, 1, 2, 3, 83, 84]
    assert removed >= 5 and told[-1] == removed
    assert jobs.tidy(api.parts.base.database, api.parts.discovery.scores, NOW) == 0
