"""Rows that a change locks before it decides on them: without, two at once would both decide by what was before."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.media.uploads import small_photo
from tests.plugins.api import Api, User
from tests.plugins.statements import statements
from tests.profiles.factories import make_photo, make_user
from tests.vip.purchases import make_order, notify, paid_at_provider, pay, refund

pytestmark = pytest.mark.parametrize("shared_backend", ["real"], indirect=True)
LATER = timedelta(minutes=31)
_LOCKED = re.compile(r"FROM (\w+).*(FOR UPDATE|LOCK IN SHARE MODE|FOR SHARE)", re.S)


def locked_by(api: Api, change: Callable[[], Any]) -> list[str]:
    with statements(api.parts.base.database) as seen:
        change()
    found = [match for it in seen if (match := _LOCKED.search(it.text))]
    # Those of the request itself are not meant.
    found = [it for it in found if it[1] not in ("replay_bucket", "redis_memory")]
    return [match[1] if match[2] == "FOR UPDATE" else f"{match[1]} (shared)" for match in found]


def _of_user(path: str, **own: Any) -> Callable[[Api, User], Callable[[], Any]]:
    def prepare(api: Api, user: User) -> Callable[[], Any]:
        values = {name: it(api) if callable(it) else it for name, it in own.items()}
        return lambda: api.post(path, user, **values).data

    return prepare


def _peer(api: Api) -> int:
    return make_user(api).user_id


def _of_order(path: str) -> Callable[[Api, User], Callable[[], Any]]:
    def prepare(api: Api, user: User) -> Callable[[], Any]:
        order = make_order(api, user)
        return lambda: api.post(path, user, orderId=order["order_id"]).data

    return prepare


def _expiry(api: Api, user: User) -> Callable[[], Any]:
    api.parts.vip.jobs.expire(datetime.now(UTC) + LATER)
    make_order(api, user)
    return lambda: api.parts.vip.jobs.expire(datetime.now(UTC) + LATER)


def _poll(api: Api, user: User) -> Callable[[], Any]:
    soon = datetime.now(UTC) + timedelta(seconds=11)
    while api.parts.vip.jobs.poll(soon):
        pass
    make_order(api, user)
    return lambda: api.parts.vip.jobs.poll(datetime.now(UTC) + timedelta(seconds=11))


def _notice(api: Api, user: User) -> Callable[[], Any]:
    trade = paid_at_provider(api, make_order(api, user))
    return lambda: notify(api, trade)


def _refund(api: Api, user: User) -> Callable[[], Any]:
    order = make_order(api, user)
    pay(api, order)
    return lambda: refund(api, order)


def _photo(api: Api, user: User) -> Callable[[], Any]:
    media_id = make_photo(api, user)
    return lambda: api.post("/api/album/add", user, mediaId=media_id).data


def _upload(api: Api, user: User) -> Callable[[], Any]:
    return lambda: api.upload("/api/media/upload", user, small_photo(), kind="photo", filename="a.jpg").data


LOCKS: dict[str, tuple[Callable[[Api, User], Callable[[], Any]], list[str]]] = {
    "update": (_of_user("/api/user/update", intro="hello"), ["user_info", "location"]),
    "follow": (_of_user("/api/user/follow", peerId=_peer), ["user_info"]),
    "block": (_of_user("/api/user/block", peerId=_peer), ["user_info"]),
    "location": (_of_user("/api/user/location", latlng="31.2,121.4"), ["location", "location_cell"]),
    "labels": (_of_user("/api/user/label/update", labelIds="1"), ["user_info", "label (shared)"]),
    "album": (_photo, ["user_info", "media"]),
    "upload": (_upload, ["media_usage"]),
    "order": (
        _of_user("/api/order/create", productId=1, channel="sandbox", clientId="a" * 16),
        ["user_order"],
    ),
    "cancel": (_of_order("/api/order/cancel"), ["sandbox_trade", "user_order"]),
    "expiry": (_expiry, ["sandbox_trade", "user_order"]),
    "poll": (_poll, ["user_order"]),
    "notification": (_notice, ["user_order"]),
    "refund": (_refund, ["sandbox_trade", "user_order"]),
}


@pytest.mark.parametrize("name", LOCKS)
def test_a_change_locks_what_it_decides_on(api: Api, name: str) -> None:
    prepare, expected = LOCKS[name]
    change = prepare(api, make_user(api))
    assert locked_by(api, change) == expected
