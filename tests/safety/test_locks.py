"""Rows that a change locks before it decides on them: without, two at once would both decide by what was before."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from datingtoday.discovery.hot.models import HotPerson
from datingtoday.discovery.hot.ranking import Attention
from datingtoday.discovery.nearby.models import Location
from datingtoday.media.jobs import purge_rows
from datingtoday.media.models import Media
from datingtoday.media.moderation import Verdict
from datingtoday.media.personal_data import MediaData
from datingtoday.profiles.models import Label, UserInfo
from tests.discovery.locations import new_area, person_at
from tests.media.uploads import small_photo
from tests.plugins.api import Api, User
from tests.plugins.statements import statements
from tests.profiles.factories import judge, make_photo, make_user
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


def _photo_out(api: Api, user: User) -> Callable[[], Any]:
    (photo,) = api.post("/api/album/add", user, mediaId=make_photo(api, user)).data
    return lambda: api.post("/api/album/remove", user, photoId=photo["photo_id"]).data


def _dismissal(api: Api, user: User) -> Callable[[], Any]:
    about = {"peerId": user.user_id, "reason": "spam"}
    report_id = api.post("/api/user/report", make_user(api), **about).data["report_id"]
    return _in_transaction(
        lambda api, session, _: api.parts.safety.moderation.dismiss(session, report_id, "", datetime.now(UTC))
    )(api, user)


def _upload(api: Api, user: User) -> Callable[[], Any]:
    return lambda: api.upload("/api/media/upload", user, small_photo(), kind="photo", filename="a.jpg").data


def _in_transaction(change: Callable[[Api, Session, User], Any]) -> Callable[[Api, User], Callable[[], Any]]:
    """A change of a service, without an endpoint."""

    def prepare(api: Api, user: User) -> Callable[[], Any]:
        def run() -> None:
            with api.parts.base.database.transaction() as session:
                change(api, session, user)

        return run

    return prepare


def _judge(api: Api, user: User) -> Callable[[], Any]:
    media_id = make_photo(api, user)
    return lambda: judge(api, media_id, Verdict.REFUSED)


def _purge_media(api: Api, user: User) -> Callable[[], Any]:
    make_photo(api, user)
    return _in_transaction(
        lambda api, session, user: MediaData(api.parts.media.service).remove(session, user.user_id, 10)
    )(api, user)


def _rename(api: Api, user: User) -> Callable[[], Any]:
    def change(api: Api, session: Session, user: User) -> None:
        # To its own name: the label is everybody's.
        name = session.scalars(select(Label.name).where(Label.id == 1)).one()
        api.parts.profiles.labels.rename(session, 1, name, None)

    return _in_transaction(change)(api, user)


def _phone(api: Api, session: Session, user: User) -> None:
    service = api.parts.profiles.service
    service.set_phone(session, service.lock(session, user.user_id), None, datetime.now(UTC))


def _ban(api: Api, session: Session, user: User) -> None:
    api.parts.profiles.service.ban(session, user.user_id, until=None, reason="spam", now=datetime.now(UTC))


def _attention(api: Api, session: Session, user: User) -> None:
    api.parts.discovery.scores.note(session, user.user_id, 1, Attention.ACTIVE, datetime.now(UTC))


LOCKS: dict[str, tuple[Callable[[Api, User], Callable[[], Any]], list[str]]] = {
    "update": (_of_user("/api/user/update", intro="hello"), ["user_info", "location"]),
    "follow": (_of_user("/api/user/follow", peerId=_peer), ["user_info"]),
    "block": (_of_user("/api/user/block", peerId=_peer), ["user_info"]),
    "location": (_of_user("/api/user/location", latlng="31.2,121.4"), ["location", "location_cell"]),
    "labels": (_of_user("/api/user/label/update", labelIds="1"), ["user_info", "label (shared)"]),
    "album": (_photo, ["user_info", "media"]),
    "album, a photo less": (_photo_out, ["user_info", "media"]),
    "album's order": (_of_user("/api/album/order", photoIds=""), ["user_info"]),
    "end of following": (_of_user("/api/user/unfollow", peerId=_peer), ["user_info"]),
    "report": (_of_user("/api/user/report", peerId=_peer, reason="spam"), ["user_info"]),
    "dismissal": (_dismissal, ["user_report"]),
    "upload": (_upload, ["media_usage"]),
    "judgement": (_judge, ["media"]),
    "purge of uploads": (_purge_media, ["media"]),
    "label": (_rename, ["label"]),
    "ban": (_in_transaction(_ban), ["user_info", "location"]),
    "phone": (_in_transaction(_phone), ["user_info"]),
    "attention": (_in_transaction(_attention), ["hot_person"]),
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


def test_the_purge_of_uploads_waits_for_nobody(api: Api) -> None:
    """What a request is just attaching is left out, in place of holding up all others."""
    with statements(api.parts.base.database) as seen:
        purge_rows(api.parts.media.service, datetime.now(UTC), unused_for=timedelta(days=9))
    assert [it for it in seen if "FROM media \n" in it.text and "SKIP LOCKED" in it.text]


ANEW: dict[
    str, tuple[Callable[[Api, User], tuple[type[Any], Any]], str, Any, Callable[[Api, Session, Any], Any]]
] = {
    "person": (
        lambda _, user: (UserInfo, user.user_id),
        "intro",
        "after",
        lambda api, session, key: api.parts.profiles.service.lock(session, key),
    ),
    "ban": (
        lambda _, user: (UserInfo, user.user_id),
        "intro",
        "after",
        lambda api, session, key: api.parts.profiles.service.unban(session, key, datetime.now(UTC)),
    ),
    "upload": (
        lambda api, user: (Media, make_photo(api, user)),
        "reference",
        "after",
        lambda api, session, key: api.parts.media.service.detach(session, [key], datetime.now(UTC)),
    ),
    "place": (
        lambda api, user: (Location, person_at(api, new_area()).user_id),
        "ip_addr",
        "192.0.2.1",
        lambda api, session, key: api.parts.discovery.places.refresh(session, [key], datetime.now(UTC)),
    ),
    "attention": (
        lambda _, user: (HotPerson, user.user_id),
        "bonus",
        7.0,
        lambda api, session, key: api.parts.discovery.scores.note(
            session, key, 1, Attention.ACTIVE, datetime.now(UTC)
        ),
    ),
}


@pytest.mark.parametrize("name", ANEW)
def test_a_row_that_is_locked_is_read_anew(api: Api, name: str) -> None:
    """What another transaction wrote while this one waited for the lock counts, also where this one had read it."""
    prepare, column, after, lock = ANEW[name]
    table, key = prepare(api, make_user(api))
    with api.parts.base.database.transaction() as session:
        row = session.get_one(table, key)
        assert getattr(row, column) != after
        with api.parts.base.database.transaction() as another:
            setattr(another.get_one(table, key), column, after)
        lock(api, session, key)
        assert getattr(row, column) == after
