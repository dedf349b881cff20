"""Logging in over the protocol, as a client that follows the articles does."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from datingtoday.accounts.models import UserAuth
from datingtoday.accounts.service import LoggedIn
from datingtoday.discovery.nearby.models import Location
from datingtoday.infra.db import DatabaseDown
from datingtoday.profiles.models import FIRST_USER_ID, UserInfo, UserStatus
from tests.accounts.at_once import at_once
from tests.accounts.conftest import AppWith
from tests.accounts.rows import all_rows, changes, set_person
from tests.plugins.api import Api, User, md5_sign, new_phone


@pytest.mark.parametrize("token_first", [True, False])
@pytest.mark.parametrize("with_appkey", [True, False])
def test_a_client_of_the_articles_logs_in_and_sees_itself(
    api: Api, token_first: bool, with_appkey: bool
) -> None:
    phone = new_phone()
    user = api.new_user(phone)
    params = api.params("GET", "/api/user/show", {}, user=user)
    params["sign"] = md5_sign(params, api.appsecret, token_first=token_first, with_appkey=with_appkey)

    profile = api.send("GET", "/api/user/show", params).data

    assert profile["user_id"] == user.user_id
    assert profile["phone"] == f"+86{phone}"
    assert phone not in profile["nickname"]


class TestTheAnswer:
    def test_of_a_new_number(self, api: Api) -> None:
        phone = new_phone()
        data = api.post("/api/auth/login", phone=phone, code=api.new_code(phone)).data
        assert sorted(data) == ["expire_time", "expired_time", "is_new", "token", "user_id"]
        assert data["is_new"] is True
        assert type(data["user_id"]) is int and data["user_id"] >= FIRST_USER_ID
        assert re.fullmatch("[0-9a-f]{32}", data["token"])

    def test_says_when_the_login_ends_under_both_names(self, api: Api) -> None:
        phone = new_phone()
        data = api.post("/api/auth/login", phone=phone, code=api.new_code(phone)).data
        assert data["expire_time"] == data["expired_time"]
        ends = datetime.strptime(data["expire_time"], "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
        assert abs(ends - datetime.now(UTC) - timedelta(days=7)) < timedelta(seconds=30)

    def test_of_a_known_number(self, unlimited: Api) -> None:
        phone = new_phone()
        first = unlimited.new_user(phone)
        data = unlimited.post("/api/auth/login", phone=phone, code=unlimited.new_code(phone)).data
        assert (data["is_new"], data["user_id"]) == (False, first.user_id)
        assert data["token"] != first.token


class TestDeviceAndPlace:
    def test_the_device_is_shown_to_its_owner(self, api: Api) -> None:
        user = api.new_user(device="  小米 14 📱 ")
        (session,) = api.get("/api/auth/sessions", user).data
        assert session["device"] == "小米 14 📱"

    def test_a_place_is_told_to_who_listens(self, app_with: AppWith) -> None:
        api = app_with()
        heard: list[LoggedIn] = []
        api.parts.base.events.listen(LoggedIn, heard.append)
        user = api.new_user(latlng="23.129, 113.264")
        silent = api.new_user()
        assert [(event.user_id, event.latlng) for event in heard] == [
            (user.user_id, (23.129, 113.264)),
            (silent.user_id, None),
        ]

    def test_a_place_that_is_not_kept_is_no_login(
        self, app_with: AppWith, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The commit contains everything acknowledged: here the place cannot be written, so nothing is."""
        api, phone = app_with(), new_phone()
        code = api.new_code(phone)
        before = all_rows(api.parts)

        def fail(*_: Any) -> None:
            raise DatabaseDown("gone")

        with monkeypatch.context() as patch:
            patch.setattr(api.parts.discovery.places, "note_login", fail)
            answer = api.post("/api/auth/login", phone=phone, code=code, latlng="23.129, 113.264")
            assert (answer.status, answer.code) == (503, 503)
        assert all_rows(api.parts) == before
        # The code is still good, and with the login the place is known.
        data = api.post("/api/auth/login", phone=phone, code=code, latlng="23.129, 113.264").data
        with api.parts.base.database.transaction(write=False) as session:
            place = session.get_one(Location, data["user_id"])
        assert place.cell is not None
        assert place.ip_addr == api.address

    def test_nobody_hears_of_a_login_that_failed(self, app_with: AppWith) -> None:
        api = app_with()
        heard: list[LoggedIn] = []
        api.parts.base.events.listen(LoggedIn, heard.append)
        assert api.post("/api/auth/login", phone=new_phone(), code="123456").code == 503
        assert heard == []

    @pytest.mark.parametrize(
        "latlng",
        [
            "",
            "23.1",
            "23.1;113.2",
            "113.2,23.1,0",
            "91,0",
            "0,181",
            "-90.1,0",
            "a,b",
            "nan,nan",
            "inf,0",
            "1e1e1,2",
        ],
    )
    def test_a_malformed_place_is_refused_before_anything_happens(self, api: Api, latlng: str) -> None:
        phone = new_phone()
        code = api.new_code(phone)
        before = all_rows(api.parts)
        answer = api.post("/api/auth/login", phone=phone, code=code, latlng=latlng)
        assert (answer.status, answer.code) == (200, 502)
        assert "latlng" in answer.msg
        assert all_rows(api.parts) == before
        assert api.post("/api/auth/login", phone=phone, code=code).code == 0


class TestOneAccountPerNumber:
    @pytest.fixture
    def sides(self, app_with: AppWith, monkeypatch: pytest.MonkeyPatch) -> list[Api]:
        """Two applications that take every code, so that several logins of one number run at once."""
        made = [app_with(), app_with()]
        for side in made:
            monkeypatch.setattr(side.parts.accounts.service.codes, "check", lambda *_args, **_named: None)
        return made

    def test_first_logins_at_once_make_one(self, sides: list[Api]) -> None:
        for _ in range(3):
            phone = new_phone()
            answers = at_once([partial(log_in, side, phone) for side in sides * 3])
            assert len({answer["user_id"] for answer in answers}) == 1
            assert sorted(answer["is_new"] for answer in answers) == [False] * 5 + [True]
            self.assert_one_account(sides[0], phone)

    def test_when_both_have_seen_that_there_is_none(
        self, sides: list[Api], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """MariaDB: both are past the look when the first inserts. SQLite lets only one in: the other waits before."""
        both_have_looked = threading.Barrier(2)
        for side in sides:
            register = side.parts.profiles.service.register

            def when_both_looked(*args: Any, register: Any = register, **named: Any) -> Any:
                if not sides[0].parts.base.database.is_sqlite:
                    both_have_looked.wait(10)
                return register(*args, **named)

            monkeypatch.setattr(side.parts.profiles.service, "register", when_both_looked)
        phone = new_phone()
        answers = at_once([partial(log_in, side, phone) for side in sides])
        assert len({answer["user_id"] for answer in answers}) == 1
        assert sorted(answer["is_new"] for answer in answers) == [False, True]
        self.assert_one_account(sides[0], phone)

    def test_a_loser_is_as_well_logged_in(self, sides: list[Api]) -> None:
        phone = new_phone()
        answers = at_once([partial(log_in, side, phone) for side in sides])
        for answer in answers:
            user = User(answer["user_id"], answer["token"], phone)
            assert sides[0].get("/api/user/show", user).data["phone"] == f"+86{phone}"

    @staticmethod
    def assert_one_account(api: Api, phone: str) -> None:
        rows = all_rows(api.parts)
        assert [row["phone"] for (table, _), row in rows.items() if table == "user_info"].count(
            f"+86{phone}"
        ) == 1
        assert [row["open_id"] for (table, _), row in rows.items() if table == "user_auth"].count(
            f"+86{phone}"
        ) == 1


def log_in(api: Api, phone: str) -> Any:
    return api.post("/api/auth/login", phone=phone, code="123456").data


class TestBannedAndDeleted:
    def test_a_banned_person_is_told_until_when_and_why(self, unlimited: Api) -> None:
        user = unlimited.new_user()
        until = datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)
        set_person(
            unlimited.parts, user.user_id, status=UserStatus.BANNED, banned_until=until, ban_reason="fake"
        )
        code = unlimited.new_code(user.phone)
        before = all_rows(unlimited.parts)
        answer = unlimited.post("/api/auth/login", phone=user.phone, code=code)
        assert (answer.status, answer.code) == (200, 1102)
        assert answer.json["data"] == {"until": until.strftime("%Y-%m-%d %H:%M:%S"), "reason": "fake"}
        assert changes(before, all_rows(unlimited.parts)) == {}

    def test_for_good_is_null(self, unlimited: Api) -> None:
        user = unlimited.new_user()
        set_person(unlimited.parts, user.user_id, status=UserStatus.BANNED)
        answer = unlimited.post("/api/auth/login", phone=user.phone, code=unlimited.new_code(user.phone))
        assert (answer.code, answer.json["data"]) == (1102, {"until": None, "reason": ""})

    def test_only_who_holds_the_number_is_told(self, unlimited: Api) -> None:
        user = unlimited.new_user()
        set_person(unlimited.parts, user.user_id, status=UserStatus.BANNED)
        assert unlimited.post("/api/auth/login", phone=user.phone, code="123456").code == 503

    def test_when_the_ban_is_over_one_may_log_in(self, unlimited: Api) -> None:
        user = unlimited.new_user()
        over = datetime.now(UTC) - timedelta(seconds=1)
        set_person(unlimited.parts, user.user_id, status=UserStatus.BANNED, banned_until=over)
        assert unlimited.new_user(user.phone).user_id == user.user_id

    def test_the_number_of_a_closed_account_is_free_at_once(self, unlimited: Api) -> None:
        parts, gone = unlimited.parts, unlimited.new_user()
        assert unlimited.get("/api/user/show", gone).code == 0
        with parts.base.database.transaction() as session:
            parts.accounts.service.close_account(session, gone.user_id, now=datetime.now(UTC))
        assert unlimited.get("/api/user/show", gone).code == 1101
        data = unlimited.post("/api/auth/login", phone=gone.phone, code=unlimited.new_code(gone.phone)).data
        assert data["is_new"] is True and data["user_id"] != gone.user_id
        rows = all_rows(parts)
        assert rows["user_info", gone.user_id]["phone"] is None
        assert gone.phone not in repr(
            [row for (table, _), row in rows.items() if row.get("user_id") == gone.user_id]
        )

    def test_proving_the_own_number_again_takes_a_code_to_the_own_number(self, unlimited: Api) -> None:
        parts, user = unlimited.parts, unlimited.new_user()
        code = unlimited.new_code(user.phone, "delete")
        with parts.base.database.transaction() as session:
            parts.accounts.service.confirm(
                session, user.user_id, "delete", code, address="10.0.0.1", now=datetime.now(UTC)
            )


def test_a_login_into_an_account_that_is_being_closed_ends_with_it(
    unlimited: Api, app_with: AppWith, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The login has found the account, and its owner closes it elsewhere in that moment: one waits for the other."""
    there = app_with(LIMITS_ENABLED=0)
    user = unlimited.new_user()
    there.new_user()
    code = unlimited.new_code(user.phone)
    profiles = unlimited.parts.profiles.service
    lock = profiles.lock

    def close() -> None:
        with there.parts.base.database.transaction() as session:
            there.parts.accounts.service.close_account(session, user.user_id, now=datetime.now(UTC))

    closing = threading.Thread(target=close)

    def when_it_is_being_closed(session: Session, user_id: int) -> UserInfo:
        if threading.current_thread() is threading.main_thread():
            closing.start()
            # Long enough for a close that does not wait; one that does goes on after the login.
            closing.join(0.5)
        return lock(session, user_id)

    monkeypatch.setattr(profiles, "lock", when_it_is_being_closed)
    data = unlimited.post("/api/auth/login", phone=user.phone, code=code).data
    closing.join(30)
    assert not closing.is_alive()

    again = User(data["user_id"], data["token"], user.phone)
    assert data["is_new"] is False
    assert [unlimited.get("/api/user/show", one).code for one in (user, again)] == [1101, 1101]


def test_person_and_login_are_navigable_both_ways(api: Api) -> None:
    user = api.new_user()
    with api.parts.base.database.transaction(write=False) as session:
        auth = session.scalars(select(UserAuth).where(UserAuth.user_id == user.user_id)).one()
        person = session.get_one(UserInfo, user.user_id)
        assert auth.user_basic is person
        assert person.user_auth is auth  # type: ignore[attr-defined]


def test_two_logins_of_one_person_cannot_be_stored(api: Api) -> None:
    user = api.new_user()
    now = datetime.now(UTC)
    with pytest.raises(IntegrityError), api.parts.base.database.transaction() as session:
        session.add(UserAuth(user_id=user.user_id, open_id=f"other-{user.phone}", create_time=now))
    with pytest.raises(IntegrityError), api.parts.base.database.transaction() as session:
        session.add(UserAuth(user_id=user.user_id + 10_000_000, open_id=f"+86{user.phone}", create_time=now))


def test_a_login_without_a_person_cannot_be_stored(app_of: Callable[..., Api]) -> None:
    api = app_of()
    with pytest.raises(IntegrityError), api.parts.base.database.transaction() as session:
        session.add(UserAuth(user_id=999_999, open_id="+8613900000000", create_time=datetime.now(UTC)))
