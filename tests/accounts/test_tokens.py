"""Tokens: what they are, when they end, and what a refused one is told."""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
import time_machine
from sqlalchemy import select

from datingtoday.accounts.models import UserSession
from datingtoday.profiles.models import UserInfo, UserStatus
from tests.accounts.at_once import at_once
from tests.accounts.conftest import AppWith
from tests.accounts.rows import all_rows, set_person
from tests.plugins.api import Answer, Api, User, md5_sign, new_phone

Clock = time_machine.Traveller
DAY = 86400


def show(api: Api, user: User) -> Answer:
    return api.get("/api/user/show", user)


def log_in_again(api: Api, user: User, **own: Any) -> User:
    """Another device of the same person; for applications without limits."""
    return api.new_user(user.phone, **own)


class TestWhatATokenIs:
    def test_128_bits_that_nobody_can_foresee(self, unlimited: Api) -> None:
        phone, tokens = new_phone(), []
        for _ in range(2):
            random.seed(1)
            tokens.append(unlimited.new_user(phone).token)
        assert all(re.fullmatch("[0-9a-f]{32}", token) for token in tokens)
        assert len(set(tokens)) == 2

    def test_only_its_hash_is_kept(self, app_of: Callable[..., Api]) -> None:
        api = app_of()
        user = api.new_user()
        assert show(api, user).code == 0
        rows = all_rows(api.parts)
        hashes = [row["token_hash"] for (table, _), row in rows.items() if table == "user_session"]
        assert hashes == [hashlib.sha256(user.token.encode()).hexdigest()]
        assert user.token not in repr(rows)
        client = api.parts.base.guard_redis.client
        for key in client.scan_iter():
            assert user.token.encode() not in key + (client.dump(key) or b"")


class TestWhoIsRefused:
    """504 for what never was a login, 1101 for one that ended, 1102 for a banned person, in this order."""

    def refused(self, api: Api, user: User, **common: str | None) -> Answer:
        """A request signed with these common parameters in place of the user's; None leaves one out."""
        params = api.params("GET", "/api/user/show", {}, user=user)
        params |= {name: value for name, value in common.items() if value is not None}
        for name in [name for name, value in common.items() if value is None]:
            del params[name]
        params["sign"] = md5_sign(params, api.appsecret)
        return api.send("GET", "/api/user/show", params)

    def test_whoever_has_no_login_has_no_permission(self, api: Api) -> None:
        user, another = api.new_user(), api.new_user()
        own_id, own_token = str(user.user_id), user.token
        for common in (
            {"token": None},
            {"userId": None},
            {"token": None, "userId": None},
            {"token": ""},
            {"userId": ""},
            {"token": "0" * 32},
            {"token": own_token.upper()},
            {"token": own_token[:-1]},
            {"token": own_token + "0"},
            {"token": f" {own_token}"},
            {"token": "*"},
            {"token": hashlib.sha256(own_token.encode()).hexdigest()},
            {"userId": str(another.user_id)},
            {"userId": "0"},
            {"userId": f"-{own_id}"},
            {"userId": f"0{own_id}"},
            {"userId": f"{own_id}.0"},
            {"userId": "9" * 30},
            {"userId": "".join(chr(ord(digit) - ord("0") + 0xFF10) for digit in own_id)},
            {"userId": own_id, "token": another.token},
        ):
            answer = self.refused(api, user, **common)
            assert (answer.status, answer.json) == (200, {"code": 504, "msg": "no operation permission"}), (
                common
            )
        assert show(api, user).code == 0

    def test_a_login_that_ended_has_expired(self, api: Api) -> None:
        user = api.new_user()
        assert show(api, user).code == 0
        api.post("/api/auth/logout", user).data  # noqa: B018 - asserts success
        answer = show(api, user)
        assert (answer.status, answer.json) == (200, {"code": 1101, "msg": "token expired"})

    def test_an_ended_token_under_another_id_never_was_its(self, api: Api) -> None:
        user, another = api.new_user(), api.new_user()
        api.post("/api/auth/logout", user).data  # noqa: B018 - asserts success
        assert self.refused(api, user, userId=str(another.user_id)).code == 504

    @pytest.mark.parametrize("days", [None, 3])
    def test_a_banned_person_is_told_until_when_and_why(self, api: Api, days: int | None) -> None:
        user = api.new_user()
        assert show(api, user).code == 0
        until = None if days is None else datetime.now(UTC).replace(microsecond=0) + timedelta(days=days)
        set_person(
            api.parts, user.user_id, status=UserStatus.BANNED, banned_until=until, ban_reason="spam 广告"
        )
        told = {"until": until and until.strftime("%Y-%m-%d %H:%M:%S"), "reason": "spam 广告"}
        for _ in range(2):
            assert show(api, user).json == {"code": 1102, "msg": "account banned", "data": told}

    def test_a_ban_that_is_over_or_lifted_is_no_ban(self, api: Api, clock: Clock) -> None:
        user = api.new_user()
        until = datetime.now(UTC) + timedelta(hours=1)
        set_person(api.parts, user.user_id, status=UserStatus.BANNED, banned_until=until)
        assert show(api, user).code == 1102
        clock.shift(3600)
        assert show(api, user).code == 0
        set_person(api.parts, user.user_id, banned_until=None)
        assert show(api, user).code == 1102
        set_person(api.parts, user.user_id, status=UserStatus.ACTIVE)
        assert show(api, user).code == 0

    def test_a_banned_person_whose_login_ended_is_told_that(self, api: Api) -> None:
        user = api.new_user()
        api.post("/api/auth/logout", user).data  # noqa: B018 - asserts success
        set_person(api.parts, user.user_id, status=UserStatus.BANNED)
        assert show(api, user).code == 1101

    def test_a_deleted_account_has_no_login(self, api: Api) -> None:
        user = api.new_user()
        set_person(api.parts, user.user_id, status=UserStatus.DELETED)
        assert show(api, user).code == 1101


class TestSevenDays:
    def test_unused_it_ends(self, api: Api, clock: Clock) -> None:
        users = api.new_user(), api.new_user()
        clock.shift(7 * DAY - 5)
        assert show(api, users[0]).code == 0
        clock.shift(5)
        assert show(api, users[1]).code == 1101

    def test_used_it_lasts(self, api: Api, clock: Clock) -> None:
        user = api.new_user()
        for _ in range(4):
            clock.shift(6 * DAY)
            assert show(api, user).code == 0
        clock.shift(7 * DAY)
        assert show(api, user).code == 1101

    def test_the_life_is_a_setting(self, app_with: AppWith, clock: Clock) -> None:
        api = app_with(ACCOUNTS_SESSION_DAYS=1)
        user = api.new_user()
        clock.shift(DAY)
        assert show(api, user).code == 1101

    def test_use_is_noted_at_most_every_five_minutes(self, api: Api, clock: Clock) -> None:
        user = api.new_user()
        show(api, user)
        before = self.noted(api, user)
        clock.shift(290)
        show(api, user)
        assert self.noted(api, user) == before
        clock.shift(15)
        show(api, user)
        seen, expires, active = self.noted(api, user)
        assert timedelta(seconds=300) < seen - before[0] < timedelta(seconds=330)
        assert expires - seen == timedelta(days=7)
        assert active == seen

    def test_one_of_many_requests_at_once_notes_it(self, api: Api, clock: Clock) -> None:
        user = api.new_user()
        show(api, user)
        clock.shift(DAY)
        answers = at_once([lambda: show(Api(api.app, api.sms), user) for _ in range(8)])
        assert {answer.code for answer in answers} == {0}

    @staticmethod
    def noted(api: Api, user: User) -> tuple[datetime, datetime, datetime]:
        with api.parts.base.database.transaction(write=False) as session:
            row = session.scalars(select(UserSession).where(UserSession.user_id == user.user_id)).one()
            return row.last_seen, row.expires_at, session.get_one(UserInfo, user.user_id).last_active


class TestFiveDevices:
    def test_the_oldest_login_goes(self, unlimited: Api, clock: Clock) -> None:
        api = unlimited
        devices = [api.new_user()]
        for _ in range(4):
            clock.shift(1)
            devices.append(log_in_again(api, devices[0]))
        assert [show(api, device).code for device in devices] == [0] * 5
        # The one used last is nevertheless the oldest login.
        clock.shift(600)
        show(api, devices[0]).data  # noqa: B018 - asserts success
        devices.append(log_in_again(api, devices[0]))
        assert [show(api, device).code for device in devices] == [1101] + [0] * 5
        devices.append(log_in_again(api, devices[0]))
        assert [show(api, device).code for device in devices] == [1101] * 2 + [0] * 5

    def test_ended_logins_take_no_place(self, unlimited: Api) -> None:
        devices = [unlimited.new_user()]
        devices += [log_in_again(unlimited, devices[0]) for _ in range(4)]
        unlimited.post("/api/auth/logout", devices[3]).data  # noqa: B018 - asserts success
        devices.append(log_in_again(unlimited, devices[0]))
        assert [show(unlimited, device).code for device in devices] == [0, 0, 0, 1101, 0, 0]

    def test_the_number_is_a_setting(self, app_with: AppWith) -> None:
        api = app_with(ACCOUNTS_DEVICES=1, LIMITS_ENABLED=0)
        first = api.new_user()
        second = log_in_again(api, first)
        assert [show(api, device).code for device in (first, second)] == [1101, 0]

    def test_logins_at_the_same_time_do_not_slip_through(
        self, app_with: AppWith, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        sides = [app_with(), app_with()]
        for side in sides:
            monkeypatch.setattr(side.parts.accounts.service.codes, "check", lambda *_args, **_named: None)
        phone = new_phone()
        clients = [Api(side.app, side.sms) for side in sides * 4]
        login = {"phone": phone, "code": "123456"}
        answers = at_once([partial(api.post, "/api/auth/login", None, **login) for api in clients])
        users = [User(answer.data["user_id"], answer.data["token"], phone) for answer in answers]
        assert len({user.user_id for user in users}) == 1
        assert sorted(show(sides[0], user).code for user in users) == [0] * 5 + [1101] * 3
