"""Leaving: what is gone at once, what a month later, and a login at the same time."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from sqlalchemy import select

from datingtoday.accounts.models import UserAuth
from datingtoday.profiles.models import UserInfo, UserStatus
from datingtoday.safety.deletion import KEPT, AccountDeleted
from tests.accounts.at_once import at_once
from tests.plugins.api import Answer, Api, User
from tests.profiles.factories import make_block, make_follow, make_user, row_of


def leave(api: Api, user: User, code: str | None = None) -> Answer:
    return api.post("/api/user/delete", user, code=code or api.new_code(user.phone, "delete"))


def test_at_once(api: Api) -> None:
    viewer, user, fan = make_user(api), make_user(api, nickname="要走的人"), make_user(api)
    make_follow(api, fan, user)
    assert api.get("/api/user/show", viewer, peerId=user.user_id).code == 0
    other_device = _another_device(api, user)
    events: list[AccountDeleted] = []
    api.parts.base.events.listen(AccountDeleted, events.append)

    answer = leave(api, user)

    assert (answer.code, "data" in answer.json) == (0, False)
    assert user.user_id in [event.user_id for event in events]
    for token in (user, other_device):
        assert api.get("/api/user/show", token).code == 1101
    assert api.get("/api/user/show", viewer, peerId=user.user_id).code == 501
    assert api.get("/api/user/follow/list", fan).data["list"] == []
    row = row_of(api, user)
    assert (row.status, row.phone) == (UserStatus.DELETED, None)
    assert row.deleted_at is not None


def test_the_number_is_free_at_once(app_with: Any) -> None:
    api = app_with(LIMITS_ENABLED=0)
    user = api.new_user()
    assert row_of(api, user).phone == f"+86{user.phone}"
    leave(api, user).data  # noqa: B018 - asserts success
    assert row_of(api, user).phone is None
    again = api.new_user(user.phone)
    assert again.user_id != user.user_id
    assert api.get("/api/user/show", again).data["phone"] == f"+86{user.phone}"
    # And once more.
    leave(api, again).data  # noqa: B018
    assert api.new_user(user.phone).user_id not in (user.user_id, again.user_id)


@pytest.mark.parametrize("purpose", ["login", "export", "phone"])
def test_a_code_for_something_else_does_not_delete(api: Api, purpose: str) -> None:
    user = make_user(api)
    assert leave(api, user, api.new_code(user.phone, purpose)).code == 503
    assert api.get("/api/user/show", user).code == 0


def test_a_code_of_another_number_does_not_delete(api: Api) -> None:
    user, other = make_user(api), make_user(api)
    code = api.new_code(other.phone, "delete")
    own = api.new_code(user.phone, "delete")
    if code != own:
        assert leave(api, user, code).code == 503
    assert row_of(api, user).status == UserStatus.ACTIVE
    assert leave(api, user, own).code == 0


@pytest.mark.parametrize("sent", [None, "", "abc", "12", "1" * 9, "１２３４５６"])
def test_bad_codes_are_named(api: Api, sent: str | None) -> None:
    user = make_user(api)
    for path in ("/api/user/delete", "/api/user/export"):
        answer = api.post(path, user, **({} if sent is None else {"code": sent}))
        assert (answer.code, "code" in answer.msg) == (300, True)
    assert row_of(api, user).status == UserStatus.ACTIVE


def test_login_and_delete_at_the_same_time(app_with: Any) -> None:
    api = app_with(LIMITS_ENABLED=0)
    for _ in range(5):
        user = make_user(api)
        codes = {purpose: api.new_code(user.phone, purpose) for purpose in ("delete", "login")}

        deleted, logged_in = at_once(
            [
                partial(leave, api, user, codes["delete"]),
                partial(api.post, "/api/auth/login", phone=user.phone, code=codes["login"]),
            ]
        )

        assert (deleted.code, logged_in.code) == (0, 0)
        new = User(logged_in.data["user_id"], logged_in.data["token"], user.phone)
        # Either it came before and ended with the account, or it came after and made a new person.
        old = new.user_id == user.user_id
        assert api.get("/api/user/show", new).code == (1101 if old else 0)
        assert logged_in.data["is_new"] is not old
        with api.parts.base.database.transaction(write=False) as session:
            phones = session.scalars(select(UserAuth.user_id).where(UserAuth.open_id == f"+86{user.phone}"))
            assert phones.all() == ([] if old else [new.user_id])


def test_deleting_twice_at_once_deletes_once(api: Api) -> None:
    user = make_user(api)
    code = api.new_code(user.phone, "delete")
    codes = sorted(answer.code for answer in at_once([lambda: leave(api, user, code)] * 3))
    assert codes[0] == 0
    assert set(codes[1:]) <= {503, 1101}


def test_the_rest_goes_a_month_later(api: Api) -> None:
    user, other = make_user(api, intro="bye", email="a@example.com"), make_user(api)
    make_follow(api, user, other)
    make_block(api, other, user)
    leave(api, user).data  # noqa: B018 - asserts success
    parts = api.parts
    left_at = row_of(api, user).deleted_at
    assert left_at is not None

    parts.safety.deletion.purge(parts.base.database, left_at + KEPT - timedelta(minutes=1))
    assert row_of(api, user).intro == "bye"

    told: list[int] = []
    assert (
        parts.safety.deletion.purge(
            parts.base.database, left_at + KEPT + timedelta(minutes=1), report_progress=told.append
        )
        >= 1
    )
    assert told
    row = row_of(api, user)
    assert (row.intro, row.email, row.phone, row.deleted_at) == ("", None, None, None)
    assert row.status == UserStatus.DELETED
    assert user.phone not in repr([getattr(row, column.key) for column in UserInfo.__mapper__.column_attrs])
    assert api.get("/api/user/show", other, peerId=user.user_id).code == 501
    assert api.get("/api/user/block/list", other).data["total"] == 0
    # Nothing left to do for this one.
    assert user.user_id not in _due(api, datetime.now(UTC) + timedelta(days=400))


def test_nothing_of_the_person_is_left_in_the_row_that_stays(api: Api) -> None:
    """The same for everybody, whatever it said."""
    user = make_user(
        api, nickname="要走的人", email="a@b.cn", gender=2, birthday=date(1990, 2, 3), emotion=1, height=170, sexual=1,
        education=4, salary=5, authority=2, intro="我", stealth=True, personal=False,
    )  # fmt: skip
    assert leave(api, user).code == 0
    left_at = row_of(api, user).deleted_at
    assert left_at is not None
    api.parts.safety.deletion.purge(api.parts.base.database, left_at + KEPT + timedelta(minutes=1))
    row = row_of(api, user)
    told = {column.key: getattr(row, column.key) for column in UserInfo.__table__.columns}
    assert told == {
        "id": user.user_id, "status": UserStatus.DELETED, "deleted_at": None, "create_time": left_at,
        "update_time": left_at, "last_active": left_at, "phone": None, "email": None, "nickname": "用户", "gender": 0,
        "birthday": None, "avatar": None, "emotion": None, "height": None, "sexual": 0, "education": 0,
        "salary": None, "authority": 0, "intro": "", "stealth": False, "personal": True, "banned_until": None,
        "ban_reason": None,
    }  # fmt: skip


def test_a_banned_account_keeps_its_number(api: Api) -> None:
    """Nobody escapes a ban by leaving."""
    user = make_user(api)
    with api.parts.base.database.transaction() as session:
        api.parts.safety.moderation.ban(
            session, user.user_id, until=None, reason="spam", now=datetime.now(UTC)
        )
    assert leave(api, user).code == 1102
    assert row_of(api, user).phone == f"+86{user.phone}"


def _due(api: Api, now: datetime) -> list[int]:
    with api.parts.base.database.transaction(write=False) as session:
        return api.parts.profiles.service.left_before(session, now, most=1000)


def _another_device(api: Api, user: User) -> User:
    with api.parts.base.database.transaction() as session:
        token, _ = api.parts.accounts.sessions.begin(
            session, user.user_id, device="other", now=datetime.now(UTC)
        )
    return User(user.user_id, token, user.phone)
