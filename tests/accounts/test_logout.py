"""The list of your devices, and logging out: this one, another, all; never another user's."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine

from tests.accounts.rows import all_rows, changes
from tests.plugins.api import Api, User

Clock = time_machine.Traveller


def sessions(api: Api, user: User) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = api.get("/api/auth/sessions", user).data
    return found


def own_id(api: Api, user: User) -> int:
    (current,) = [session["id"] for session in sessions(api, user) if session["current"]]
    return int(current)


def is_in(api: Api, user: User) -> bool:
    code = api.get("/api/user/show", user).code
    assert code in (0, 1101)
    return code == 0


@pytest.fixture
def devices(unlimited: Api) -> list[User]:
    """Three devices of one person, in the order of their logins."""
    first = unlimited.new_user(device="phone")
    return [first, unlimited.new_user(first.phone, device="tablet"), unlimited.new_user(first.phone)]


class TestList:
    def test_names_every_device_the_latest_login_first(self, unlimited: Api, devices: list[User]) -> None:
        listed = sessions(unlimited, devices[1])
        assert [session["device"] for session in listed] == ["", "tablet", "phone"]
        assert [session["current"] for session in listed] == [False, True, False]
        assert len({session["id"] for session in listed}) == 3

    def test_of_one_device_has_exactly_these_fields(self, api: Api) -> None:
        (session,) = sessions(api, api.new_user())
        assert sorted(session) == ["current", "device", "id", "last_seen", "login_time"]
        for name in ("login_time", "last_seen"):
            moment = datetime.strptime(session[name], "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
            assert abs(moment - datetime.now(UTC)) < timedelta(seconds=30)

    def test_tells_when_a_device_was_last_seen(self, api: Api, clock: Clock) -> None:
        user = api.new_user()
        clock.shift(7200)
        sessions(api, user)
        (session,) = sessions(api, user)
        seen, began = (
            datetime.strptime(session[name], "%Y-%m-%d %H:%M:%S") for name in ("last_seen", "login_time")
        )
        assert timedelta(seconds=7190) < seen - began < timedelta(seconds=7230)

    def test_leaves_out_ended_and_expired_ones(
        self, unlimited: Api, devices: list[User], clock: Clock
    ) -> None:
        unlimited.post("/api/auth/logout", devices[0]).data  # noqa: B018 - asserts success
        clock.shift(6 * 86400)
        assert is_in(unlimited, devices[1])
        clock.shift(86400)
        assert [session["device"] for session in sessions(unlimited, devices[1])] == ["tablet"]

    def test_shows_nobody_elses(self, api: Api) -> None:
        user, another = api.new_user(), api.new_user()
        assert own_id(api, user) != own_id(api, another)
        assert len(sessions(api, user)) == 1

    def test_survives_a_query_with_undeclared_parameters(self, api: Api) -> None:
        assert len(api.get("/api/auth/sessions", api.new_user(), page=7, userName="x").data) == 1


class TestLogout:
    def test_ends_this_device_and_no_other(self, unlimited: Api, devices: list[User]) -> None:
        answer = unlimited.post("/api/auth/logout", devices[1])
        assert answer.json == {"code": 0, "msg": "success"}
        assert [is_in(unlimited, device) for device in devices] == [True, False, True]

    @pytest.mark.parametrize("all_", ["0", None])
    def test_ends_another_device_of_your_own(
        self, unlimited: Api, devices: list[User], all_: str | None
    ) -> None:
        own = {"sessionId": own_id(unlimited, devices[2])} | ({} if all_ is None else {"all": all_})
        unlimited.post("/api/auth/logout", devices[0], **own).data  # noqa: B018 - asserts success
        assert [is_in(unlimited, device) for device in devices] == [True, True, False]

    def test_ends_this_device_by_its_id(self, unlimited: Api, devices: list[User]) -> None:
        this = own_id(unlimited, devices[0])
        unlimited.post("/api/auth/logout", devices[0], sessionId=this).data  # noqa: B018 - asserts success
        assert [is_in(unlimited, device) for device in devices] == [False, True, True]

    def test_ends_all(self, unlimited: Api, devices: list[User]) -> None:
        stranger = unlimited.new_user()
        unlimited.post("/api/auth/logout", devices[1], all=1).data  # noqa: B018 - asserts success
        assert [is_in(unlimited, device) for device in [*devices, stranger]] == [False] * 3 + [True]

    def test_is_kept_with_its_reason_and_changes_nothing_else(self, api: Api) -> None:
        user = api.new_user()
        session_id = own_id(api, user)
        before = all_rows(api.parts)
        api.post("/api/auth/logout", user).data  # noqa: B018 - asserts success
        after = all_rows(api.parts)
        assert changes(before, after) == {"user_session": {"ended_at", "end_reason"}}
        assert after["user_session", session_id]["end_reason"] == "logged_out"

    def test_never_touches_another_users(self, api: Api) -> None:
        user, victim = api.new_user(), api.new_user()
        wanted = own_id(api, victim)
        before = all_rows(api.parts)
        answer = api.post("/api/auth/logout", user, sessionId=wanted)
        assert (answer.status, answer.code) == (200, 300)
        assert answer.msg.startswith("sessionId ")
        unknown = api.post("/api/auth/logout", user, sessionId=2_000_000_000)
        # Nobody learns which ids exist.
        assert unknown.body == answer.body
        assert all_rows(api.parts) == before
        assert is_in(api, victim) and is_in(api, user)

    def test_of_an_ended_session_is_refused(self, unlimited: Api, devices: list[User]) -> None:
        wanted = own_id(unlimited, devices[1])
        unlimited.post("/api/auth/logout", devices[1]).data  # noqa: B018 - asserts success
        assert unlimited.post("/api/auth/logout", devices[0], sessionId=wanted).code == 300

    def test_twice_is_told(self, api: Api) -> None:
        user = api.new_user()
        assert [api.post("/api/auth/logout", user).code for _ in range(2)] == [0, 1101]
