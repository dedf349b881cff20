"""Rows of people at their moments: the first activity of a day, deletion, and the row that stays of a person."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from datingtoday.profiles.models import UserInfo, UserStatus
from datingtoday.profiles.personal_data import ProfileData
from datingtoday.profiles.service import FirstActiveToday
from tests.plugins.api import Api, User
from tests.profiles.factories import make_user, row_of, set_row

pytestmark = pytest.mark.parametrize("shared_backend", ["embedded"], indirect=True)
NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
MIDNIGHT = datetime(2026, 7, 1, tzinfo=UTC)
SECOND, HOUR, DAY = timedelta(seconds=1), timedelta(hours=1), timedelta(days=1)


@pytest.fixture
def announced(api: Api, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[object]]:
    events: list[object] = []
    recorder = SimpleNamespace(announce=lambda session, event: events.append(event))
    monkeypatch.setattr(api.parts.profiles.service, "_events", recorder)
    yield events


@pytest.mark.parametrize(
    ("before", "is_first"),
    [
        (MIDNIGHT - SECOND, True),
        (NOW - 30 * DAY, True),
        (MIDNIGHT, False),
        (NOW - SECOND, False),
        (NOW, False),
        (NOW + HOUR, False),
    ],
)
def test_the_first_activity_of_a_utc_day(
    api: Api, announced: list[object], before: datetime, is_first: bool
) -> None:
    user, other = make_user(api), make_user(api)
    for one in (user, other):
        set_row(api, one, last_active=before)
    with api.parts.base.database.transaction() as session:
        api.parts.profiles.service.note_active(session, user.user_id, NOW)
    assert announced == ([FirstActiveToday(user.user_id, NOW)] if is_first else [])
    # A report that comes late takes nothing back.
    assert row_of(api, user).last_active == max(before, NOW)
    assert row_of(api, other).last_active == before


def leave(api: Api, user: User) -> None:
    with api.parts.base.database.transaction() as session:
        api.parts.profiles.service.leave(session, user.user_id, NOW)


def test_accounts_deleted_before_a_moment(api: Api) -> None:
    user, service = make_user(api), api.parts.profiles.service
    leave(api, user)

    def left_before(moment: datetime) -> bool:
        with api.parts.base.database.reading() as session:
            return user.user_id in service.left_before(session, moment, most=100_000)

    assert [left_before(moment) for moment in (NOW - SECOND, NOW, NOW + SECOND)] == [False, False, True]
    with api.parts.base.database.transaction() as session:
        assert not service.is_purged(session, user.user_id)
        assert service.purged(session, user.user_id) == 1
        session.expire_all()
        assert service.is_purged(session, user.user_id)
    assert not left_before(NOW + SECOND)


def test_of_a_deleted_person_an_empty_row_stays(api: Api) -> None:
    user = make_user(
        api, create_time=NOW - 9 * DAY, last_active=NOW - DAY, intro="hello", height=170, gender=2, sexual=1,
        education=3, salary=4, emotion=1, authority=2, stealth=True, personal=False, email="a@example.com",
    )  # fmt: skip
    leave(api, user)
    data = ProfileData(api.parts.profiles.cards)
    with api.parts.base.database.transaction() as session:
        assert [data.remove(session, user.user_id, 10) for _ in range(2)] == [1, 0]
    row = row_of(api, user)
    assert {one.key: getattr(row, one.key) for one in UserInfo.__mapper__.column_attrs} == {
        "id": user.user_id, "phone": None, "email": None, "nickname": row.nickname, "gender": 0, "birthday": None,
        "avatar": None, "emotion": None, "height": None, "sexual": 0, "education": 0, "salary": None,
        "authority": 0, "intro": "", "stealth": False, "personal": True, "banned_until": None, "ban_reason": None,
        "create_time": NOW, "update_time": NOW, "last_active": NOW, "status": UserStatus.DELETED, "deleted_at": NOW,
    }  # fmt: skip
