"""Rights of VIPs: the table that `app/config` tells is what the checks do."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from tests.plugins.api import Api, User
from tests.profiles.factories import make_user
from tests.vip.purchases import make_order, pay


def make_vip(api: Api, user: User) -> User:
    pay(api, make_order(api, user))
    return user


def check_visitor_list(api: Api, user: User) -> bool:
    answer = api.get("/api/visitor/list", user)
    assert answer.code in (0, 1501)
    return answer.code == 0


def check_stealth(api: Api, user: User) -> bool:
    api.post("/api/user/update", user, stealth=1).data  # noqa: B018 - asserts success
    with api.parts.base.database.transaction(write=False) as session:
        return api.parts.profiles.visibility.is_stealthy(session, user.user_id, datetime.now(UTC))


def check_new_contacts(api: Api, user: User) -> int:
    """Number of conversations that can be begun today."""
    begun = 0
    while True:
        answer = api.post(
            "/api/message/send",
            user,
            peerId=make_user(api).user_id,
            type="text",
            content="hi",
            clientId=str(begun),
        )
        if answer.code == 1404:
            return begun
        answer.data  # noqa: B018 - asserts success
        begun += 1


CHECKS: dict[str, Any] = {
    "visitor_list": check_visitor_list,
    "stealth": check_stealth,
    "new_contacts_per_day": check_new_contacts,
}


def test_every_right_has_its_check(api: Api) -> None:
    assert [right["name"] for right in api.get("/api/app/config").data["vip_rights"]] == list(CHECKS)


@pytest.mark.parametrize("name", CHECKS)
def test_a_right_is_what_its_check_does(app_with: Any, name: str) -> None:
    api = app_with(LIMITS_NEW_CONTACTS_PER_DAY="2", LIMITS_NEW_CONTACTS_PER_DAY_VIP="4")
    (right,) = [it for it in api.get("/api/app/config").data["vip_rights"] if it["name"] == name]
    assert right["free"] != right["vip"]
    assert CHECKS[name](api, make_user(api)) == right["free"]
    assert CHECKS[name](api, make_vip(api, make_user(api))) == right["vip"]
