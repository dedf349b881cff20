"""Moving an account to another number."""

from __future__ import annotations

from functools import partial

import pytest

from tests.accounts.at_once import at_once
from tests.accounts.conftest import AppWith
from tests.accounts.rows import all_rows, changes
from tests.plugins.api import Answer, Api, User, new_phone


def move(api: Api, user: User, phone: str, code: str | None = None) -> Answer:
    code = code or api.new_code(phone, "phone")
    return api.post("/api/user/phone", user, phone=phone, code=code)


def code_of(api: Api, user: User) -> int:
    return api.get("/api/user/show", user).code


def test_the_new_number_logs_into_the_account(unlimited: Api) -> None:
    user, phone = unlimited.new_user(), new_phone()
    assert move(unlimited, user, f"+86 {phone}", unlimited.new_code(phone, "phone")).data == {
        "phone": f"+86{phone}"
    }
    assert unlimited.get("/api/user/show", user).data["phone"] == f"+86{phone}"
    assert unlimited.new_user(phone).user_id == user.user_id


def test_the_old_number_is_free_at_once(unlimited: Api) -> None:
    user = unlimited.new_user()
    move(unlimited, user, new_phone()).data  # noqa: B018 - asserts success
    newcomer = unlimited.new_user(user.phone)
    assert newcomer.user_id != user.user_id
    assert unlimited.get("/api/user/show", newcomer).data["phone"] == f"+86{user.phone}"


def test_other_devices_are_logged_out(unlimited: Api) -> None:
    first = unlimited.new_user()
    devices = [first, unlimited.new_user(first.phone), unlimited.new_user(first.phone)]
    stranger = unlimited.new_user()
    assert [code_of(unlimited, device) for device in devices] == [0, 0, 0]
    move(unlimited, devices[1], new_phone()).data  # noqa: B018 - asserts success
    assert [code_of(unlimited, device) for device in [*devices, stranger]] == [1101, 0, 1101, 0]


def test_it_changes_nothing_else(unlimited: Api) -> None:
    user, phone = unlimited.new_user(), new_phone()
    code = unlimited.new_code(phone, "phone")
    before = all_rows(unlimited.parts)
    move(unlimited, user, phone, code).data  # noqa: B018 - asserts success
    assert changes(before, all_rows(unlimited.parts)) == {
        "user_info": {"phone", "update_time"},
        "user_auth": {"open_id"},
        "sms_code": {"tries", "used_at"},
    }


class TestTheCode:
    def test_must_come_from_the_new_number(self, unlimited: Api) -> None:
        user, phone = unlimited.new_user(), new_phone()
        of_the_old = unlimited.new_code(user.phone, "phone")
        before = all_rows(unlimited.parts)
        assert move(unlimited, user, phone, of_the_old).code == 503
        assert all_rows(unlimited.parts) == before

    def test_must_be_for_this_purpose(self, unlimited: Api) -> None:
        user, phone = unlimited.new_user(), new_phone()
        assert move(unlimited, user, phone, unlimited.new_code(phone, "login")).code == 503

    def test_must_be_right(self, api: Api) -> None:
        user, phone = api.new_user(), new_phone()
        code = api.new_code(phone, "phone")
        before = all_rows(api.parts)
        wrong = f"{(int(code) + 1) % 1_000_000:06}"
        assert move(api, user, phone, wrong).code == 503
        assert changes(before, all_rows(api.parts)) == {"sms_code": {"tries"}}
        assert move(api, user, phone, code).code == 0

    def test_is_used_up(self, api: Api) -> None:
        user, phone = api.new_user(), new_phone()
        code = api.new_code(phone, "phone")
        assert [move(api, user, phone, code).code for _ in range(2)] == [0, 503]


class TestTakenNumber:
    def test_stays_with_its_account(self, unlimited: Api) -> None:
        user, owner = unlimited.new_user(), unlimited.new_user()
        other_device = unlimited.new_user(user.phone)
        code = unlimited.new_code(owner.phone, "phone")
        before = all_rows(unlimited.parts)
        answer = move(unlimited, user, owner.phone, code)
        assert (answer.status, answer.code) == (200, 300)
        assert answer.msg.startswith("phone ") and owner.phone not in answer.msg
        assert changes(before, all_rows(unlimited.parts)) == {"sms_code": {"tries", "used_at"}}
        assert move(unlimited, user, owner.phone, code).code == 503
        assert [code_of(unlimited, one) for one in (user, other_device, owner)] == [0, 0, 0]
        assert unlimited.new_user(owner.phone).user_id == owner.user_id

    def test_is_told_only_to_who_holds_it(self, unlimited: Api) -> None:
        """A wrong code is answered alike, whether the number has an account or not."""
        user, owner = unlimited.new_user(), unlimited.new_user()
        answers = [move(unlimited, user, phone, "123456") for phone in (owner.phone, new_phone())]
        assert answers[0].body == answers[1].body
        assert answers[0].code == 503


def test_own_number_logs_the_other_devices_out(unlimited: Api) -> None:
    user = unlimited.new_user()
    other_device = unlimited.new_user(user.phone)
    assert move(unlimited, user, user.phone).data == {"phone": f"+86{user.phone}"}
    assert [code_of(unlimited, one) for one in (user, other_device)] == [0, 1101]


class TestAtTheSameTime:
    @pytest.fixture
    def sides(self, app_with: AppWith, monkeypatch: pytest.MonkeyPatch) -> list[Api]:
        """Two applications that take every code: a number's one code would let only one of them try."""
        made = [app_with(LIMITS_ENABLED=0), app_with(LIMITS_ENABLED=0)]
        for side in made:
            monkeypatch.setattr(side.parts.accounts.service.codes, "check", lambda *_args, **_named: None)
        return made

    def test_one_of_several_accounts_gets_the_number(self, sides: list[Api]) -> None:
        users = [sides[0].new_user() for _ in range(4)]
        for _ in range(3):
            phone = new_phone()
            work = [
                partial(move, side, user, phone, "123456")
                for user, side in zip(users, sides * 2, strict=True)
            ]
            answers = at_once(work)
            assert sorted(answer.code for answer in answers) == [0, 300, 300, 300]
            (winner,) = [user for user, answer in zip(users, answers, strict=True) if answer.code == 0]
            rows = all_rows(sides[0].parts)
            holders = [
                key
                for (table, key), row in rows.items()
                if table == "user_info" and row["phone"] == f"+86{phone}"
            ]
            assert holders == [winner.user_id]

    def test_a_first_login_and_a_move_to_the_same_number(self, sides: list[Api]) -> None:
        """Whichever comes first, the number has one account, and who logged in is in it."""
        for _ in range(4):
            user, phone = sides[0].new_user(), new_phone()

            first_login = partial(sides[1].post, "/api/auth/login", None, phone=phone, code="123456")
            login, moved = at_once([first_login, partial(move, sides[0], user, phone, "123456")])
            assert moved.code in (0, 300)
            assert login.data["is_new"] is (moved.code == 300)
            assert (login.data["user_id"] == user.user_id) is (moved.code == 0)
