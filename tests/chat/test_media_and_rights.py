"""Media of chats (delivery, moderation), reports, exports, what leaving takes away, and what is pushed."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest

from datingtoday.chat.models import ChatEvent, Contact, Inbox, Message, MessageMedia
from datingtoday.infra.realtime import PushEvent
from datingtoday.media.moderation import Verdict
from datingtoday.safety.models import UserReport
from tests.chat.talking import contact, contents, history, rows, send, sync, two, unread
from tests.media.uploads import make_media, row_of
from tests.plugins.api import Api, User
from tests.profiles.factories import ban, delete, judge, make_block, make_user


def send_image(api: Api, user: User, peer: User, **columns: Any) -> dict[str, Any]:
    media = make_media(api, user, "image", content=b"full form", **columns)
    told: dict[str, Any] = send(api, user, peer, type="image", mediaId=media.id).data
    return told


def fetch(api: Api, message: dict[str, Any]) -> int:
    return api.send("GET", message["media"]["url"]).status


def test_both_sides_may_fetch_what_was_sent_and_nobody_else(api: Api) -> None:
    user, peer = two(api)
    told = send_image(api, user, peer)
    (seen,) = history(api, peer, user)
    assert api.send("GET", seen["media"]["url"]).body == b"full form"
    assert fetch(api, told) == 200
    other = make_user(api)
    with api.parts.base.database.transaction(write=False) as session:
        row = api.parts.media.service.read(session, [told["media"]["media_id"]])[told["media"]["media_id"]]
        url = api.parts.media.service.urls(row, other.user_id, datetime.now(UTC))["url"]
    assert api.send("GET", url).status == 404
    # Another user's conversation with the owner opens nothing.
    send(api, user, other).data  # noqa: B018
    assert api.send("GET", url).status == 404


@pytest.mark.parametrize("arrange", ["blocked", "blocking", "banned", "deleted"])
def test_old_media_stay_whatever_lies_between_the_two(api: Api, arrange: str) -> None:
    user, peer = two(api)
    send_image(api, peer, user)
    if arrange in ("blocked", "blocking"):
        make_block(api, *((user, peer) if arrange == "blocked" else (peer, user)))
    else:
        (ban if arrange == "banned" else delete)(api, peer)
    (seen,) = history(api, user, peer)
    assert fetch(api, seen) == 200


def test_a_recall_ends_delivery_and_a_second_message_goes_on(api: Api) -> None:
    user, peer = two(api)
    told = send_image(api, user, peer)
    media_id = told["media"]["media_id"]
    again = send(api, user, peer, type="image", mediaId=media_id).data
    first, second = history(api, peer, user)
    for message, status in ((told, 200), (again, 404)):
        assert api.post("/api/message/recall", user, messageId=message["message_id"]).code == 0
        assert fetch(api, first) == fetch(api, second) == status
    row = row_of(api, media_id)
    assert row is not None and row.uses == 0 and row.unused_since is not None
    assert rows(api, MessageMedia, media_id=media_id) == []


def test_moderators_decide_about_what_was_sent(api: Api) -> None:
    user, peer = two(api)
    told = send_image(api, user, peer, verdict=Verdict.PENDING)
    (seen,) = history(api, peer, user)
    assert (fetch(api, told), fetch(api, seen)) == (200, 404)
    judge(api, told["media"]["media_id"], Verdict.APPROVED)
    assert fetch(api, seen) == 200
    judge(api, told["media"]["media_id"], Verdict.REFUSED)
    assert (fetch(api, told), fetch(api, seen)) == (200, 404)
    assert send(api, user, peer, type="image", mediaId=told["media"]["media_id"]).code == 1204


def test_a_report_keeps_the_message(api: Api) -> None:
    user, peer = two(api)
    text, image = send(api, peer, user, "加我微信").data, send_image(api, peer, user)
    own = send(api, user, peer).data
    for message, code in ((text, 0), (image, 0), (own, 1402)):
        answer = api.post(
            "/api/user/report", user, peerId=peer.user_id, reason="fraud", messageId=message["message_id"]
        )
        assert answer.code == code
    other = make_user(api)
    send(api, peer, other).data  # noqa: B018
    assert (
        api.post(
            "/api/user/report", other, peerId=peer.user_id, reason="spam", messageId=text["message_id"]
        ).code
        == 1402
    )
    for message in (text, image):
        assert api.post("/api/message/recall", peer, messageId=message["message_id"]).code == 0
    evidence = [json.loads(row.evidence)["message"] for row in rows(api, UserReport, user_id=user.user_id)]
    assert [it["content"] for it in evidence] == ["加我微信", None]
    media = row_of(api, evidence[1]["media_id"])
    # Held for the moderators, and delivered to nobody else.
    assert media is not None and media.uses == 1
    assert fetch(api, {"media": {"url": history_url(api, user, media.id)}}) == 404


def history_url(api: Api, viewer: User, media_id: str) -> str:
    with api.parts.base.database.transaction(write=False) as session:
        row = api.parts.media.service.read(session, [media_id])[media_id]
        return api.parts.media.service.urls(row, viewer.user_id, datetime.now(UTC))["url"]


def test_an_export_holds_what_one_could_see(api: Api) -> None:
    user, peer = two(api)
    send(api, peer, user, "before the removal").data  # noqa: B018
    send(api, user, peer, "mine before").data  # noqa: B018
    api.post("/api/contacts/remove", user, peerId=peer.user_id).data  # noqa: B018
    recalled = send(api, peer, user, "recalled").data
    send(api, peer, user, "after").data  # noqa: B018
    assert api.post("/api/message/recall", peer, messageId=recalled["message_id"]).code == 0
    told = api.post("/api/user/export", user, code=api.new_code(user.phone, "export")).data["chat"]
    assert [it["content"] for it in told["messages"]] == ["mine before", None, "after"]
    assert [(row["user_id"], row["unread"]) for row in told["contacts"]] == [(peer.user_id, 1)]


def test_leaving_leaves_tombstones(api: Api) -> None:
    user, peer = two(api, talk=True)
    image = send_image(api, user, peer)
    only_mine = make_user(api)
    send(api, user, only_mine, "secret").data  # noqa: B018
    api.post("/api/contacts/remove", user, peerId=only_mine.user_id).data  # noqa: B018
    (_, _, seen) = history(api, peer, user)
    api.post("/api/user/delete", user, code=api.new_code(user.phone, "delete")).data  # noqa: B018
    assert contents(api, peer, user) == ["hello", "hello", None] and unread(api, peer) == 2
    later = datetime.now(UTC) + timedelta(days=31)
    api.parts.safety.deletion.purge(api.parts.base.database, later, batch_rows=1)

    assert [(it["content"], it["recalled"], it["seq"]) for it in history(api, peer, user)] == [
        (None, True, 1), ("hello", False, 2), (None, True, 3),
    ]  # fmt: skip
    assert fetch(api, seen) == 404
    row = contact(api, peer, user)
    assert (row["last_msg"], row["last_type"], row["unread"], row["peer"]["nickname"]) == (
        "",
        "recalled",
        0,
        "用户",
    )
    assert unread(api, peer) == unread(api, only_mine) == 0
    assert all(message.content is None for message in rows(api, Message, from_uid=user.user_id))
    assert rows(api, MessageMedia, media_id=image["media"]["media_id"]) == []
    # The other side goes on reading; nothing is written into the stream of who has left.
    before = sync(api, peer)
    assert api.post("/api/message/read", peer, peerId=user.user_id, seq=3).data == {"unread": 0}
    assert len(sync(api, peer)) == len(before) + 1
    assert rows(api, ChatEvent, user_id=user.user_id) == []
    assert [inbox.closed for inbox in rows(api, Inbox, user_id=user.user_id)] == [True]
    assert [row.last_msg for row in rows(api, Contact, user_id=user.user_id)] == ["", ""]


def test_pushes_are_entries_of_the_stream(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    user, peer = two(api)
    published: list[PushEvent] = []
    api.parts.base.realtime.flush()
    monkeypatch.setattr(
        type(api.parts.base.realtime), "publish", lambda self, events: published.extend(events)
    )
    told = send_image(api, user, peer)
    assert api.post("/api/message/read", peer, peerId=user.user_id, seq=1).code == 0
    assert api.post("/api/message/recall", user, messageId=told["message_id"]).code == 0
    assert api.post("/api/contacts/remove", peer, peerId=user.user_id).code == 0
    # Refused and repeated ones tell nothing.
    assert send(api, user, peer, clientId=told["client_id"]).code == 1403
    epoch = api.get("/api/message/sync", user, since="latest").data["epoch"]
    api.parts.base.realtime.flush()
    for person in (user, peer):
        pushed = [orjson.loads(event.data) for event in published if event.user_id == person.user_id]
        assert [event.name for event in published if event.user_id == person.user_id] == [
            e["kind"] for e in pushed
        ]
        assert all(entry.pop("epoch") == epoch for entry in pushed)
        entries = sync(api, person)
        media = pushed[0]["message"].pop("media")
        assert f"/api/media/{media['media_id']}" in media["url"]
        # What was recalled since has no content in the stream any more.
        assert entries[0]["message"].pop("media") is None
        assert pushed[0]["message"] | {"recalled": True} == entries[0]["message"]
        assert pushed[1:] == entries[1:]
    urls = {orjson.loads(event.data)["message"]["media"]["url"] for event in published[:2]}
    assert len(urls) == 2, "signed for each receiver"
