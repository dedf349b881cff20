"""Rows of people at their moments: the first activity of a day, changes, deletion, and the row that stays."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from datingtoday.accounts.models import UserAuth
from datingtoday.infra.cache_reader import CacheReader
from datingtoday.profiles.cards.entries import Preferences
from datingtoday.profiles.errors import UserNotFound
from datingtoday.profiles.models import UserInfo, UserStatus
from datingtoday.profiles.personal_data import ProfileData
from datingtoday.profiles.service import FirstActiveToday, ProfileChanged, Profiles
from datingtoday.profiles.standing import with_activity
from tests.plugins.api import Api, User
from tests.plugins.statements import statements
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
    data = ProfileData()
    with api.parts.base.database.transaction() as session:
        assert [data.remove(session, user.user_id, 10) for _ in range(2)] == [1, 0]
    row = row_of(api, user)
    assert {one.key: getattr(row, one.key) for one in UserInfo.__mapper__.column_attrs} == {
        "id": user.user_id, "phone": None, "email": None, "nickname": row.nickname, "gender": 0, "birthday": None,
        "avatar": None, "emotion": None, "height": None, "sexual": 0, "education": 0, "salary": None,
        "authority": 0, "intro": "", "stealth": False, "personal": True, "banned_until": None, "ban_reason": None,
        "create_time": NOW, "update_time": NOW, "last_active": NOW, "status": UserStatus.DELETED, "deleted_at": NOW,
    }  # fmt: skip


CHANGES: dict[str, tuple[Callable[[Profiles, Session, int], Any], dict[str, Any], bool]] = {
    "phone": (
        lambda it, session, user_id: it.set_phone(session, it.lock(session, user_id), None, NOW),
        {"phone": None},
        False,
    ),
    "update": (
        lambda it, session, user_id: it.update(session, user_id, {"intro": "new"}, NOW),
        {"intro": "new", "phone": "kept"},
        True,
    ),
    "ban": (
        lambda it, session, user_id: it.ban(session, user_id, until=NOW + DAY, reason="rude", now=NOW),
        {"status": UserStatus.BANNED, "banned_until": NOW + DAY, "ban_reason": "rude", "phone": "kept"},
        True,
    ),
    "leaving": (
        lambda it, session, user_id: it.leave(session, user_id, NOW),
        {"status": UserStatus.DELETED, "deleted_at": NOW, "phone": None},
        True,
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_is_dated_and_announced(api: Api, announced: list[object], name: str) -> None:
    change, expected, is_announced = CHANGES[name]
    user, other = make_user(api), make_user(api)
    before = row_of(api, user), row_of(api, other)
    with api.parts.base.database.transaction() as session:
        change(api.parts.profiles.service, session, user.user_id)
    row = row_of(api, user)
    kept = {"phone": before[0].phone} if expected.get("phone") == "kept" else {}
    assert {column: getattr(row, column) for column in expected} == expected | kept
    assert row.update_time == NOW != before[0].update_time
    assert announced == ([ProfileChanged(user.user_id, NOW)] if is_announced else [])
    assert row_of(api, other).update_time == before[1].update_time


def test_the_end_of_a_ban_leaves_nothing_of_it(api: Api, announced: list[object]) -> None:
    user, service = make_user(api), api.parts.profiles.service
    set_row(
        api, user, status=UserStatus.BANNED, banned_until=NOW + DAY, ban_reason="rude", update_time=NOW - DAY
    )
    for ended in (True, False):
        with api.parts.base.database.transaction() as session:
            assert service.unban(session, user.user_id, NOW) is ended
    row = row_of(api, user)
    assert (row.status, row.banned_until, row.ban_reason) == (UserStatus.ACTIVE, None, None)
    assert row.update_time == NOW
    assert announced == [ProfileChanged(user.user_id, NOW)]


def test_who_left_can_neither_be_banned_nor_leave_again(api: Api) -> None:
    user, service = make_user(api), api.parts.profiles.service
    leave(api, user)
    for user_id in (user.user_id, 2**31 - 1):
        with pytest.raises(UserNotFound), api.parts.base.database.transaction() as session:
            service.ban(session, user_id, until=None, reason="late", now=NOW)
        with pytest.raises(UserNotFound), api.parts.base.database.transaction() as session:
            service.leave(session, user_id, NOW)
    assert row_of(api, user).status == UserStatus.DELETED


def test_what_a_profile_is_read_from(api: Api) -> None:
    """Read ahead of a request: other keys would cost it another round trip."""
    service = api.parts.profiles.service
    assert service.keys_to_show(7, None) == service.keys_to_show(7, 7) == ["own:{7}"]
    assert service.keys_to_show(7, 8) == ["profile:{8}", "circles:{7}", "viewer:{7}"]
    with pytest.raises(UserNotFound), api.parts.base.database.reading() as session:
        service.show(session, 2**31 - 1, None, CacheReader(api.parts.base.cache, NOW))
    preferences = api.parts.profiles.cards.preferences_of(2**31 - 1, CacheReader(api.parts.base.cache, NOW))
    assert preferences == Preferences(gender=0, sexual=0, personal=False, stealthy=False, authority=1)


def test_cards_are_made_without_the_album(api: Api) -> None:
    user = make_user(api)
    with statements(api.parts.base.database) as seen:
        api.parts.profiles.cards.of(user.user_id, [user.user_id], datetime.now(UTC))
    assert seen and not [it for it in seen if "user_album" in it.text]


def test_only_the_active_are_told_of(api: Api) -> None:
    people = [make_user(api, last_active=NOW + by) for by in (-SECOND, 0 * SECOND, SECOND)]
    ids = [person.user_id for person in people]
    rows = with_activity(select(UserAuth.user_id).where(UserAuth.user_id.in_(ids)), UserAuth.user_id, NOW)
    with api.parts.base.database.reading() as session:
        assert [tuple(row) for row in session.execute(rows)] == [(ids[2], NOW + SECOND)]
