"""Chat over push: what one does, all devices of both see at once, with the payloads of `message/sync`."""

from __future__ import annotations

from typing import Any

import pytest

from tests.chat.talking import send, sync, two
from tests.media.uploads import small_photo
from tests.plugins.api import Api, User
from tests.push.conftest import Client, Connect
from tests.push.push_process import PushProcess


def type_to(client: Client, peer: User | object) -> Any:
    """Send `typing`; the answer to it."""
    payload = {"peerId": peer.user_id} if isinstance(peer, User) else peer
    return client.sio.call("typing", payload, timeout=10)


def test_every_entry_of_the_stream_is_pushed_as_sync_has_it(
    api: Api, pushes: list[PushProcess], connect: Connect
) -> None:
    one, other = two(api)
    here, phone, tablet = connect(one), connect(other), connect(other, pushes[1])
    message = send(api, one, other, "你好").data
    send(api, other, one).data  # noqa: B018 - asserts success
    api.post("/api/message/read", other, peerId=one.user_id, seq=1).data  # noqa: B018
    api.post("/api/message/recall", one, messageId=message["message_id"]).data  # noqa: B018
    api.post("/api/contacts/remove", other, peerId=one.user_id)
    here.wait_for("recall")
    for client in (phone, tablet):
        client.wait_for("contact")
    assert phone.events == tablet.events
    for user, client in ((one, here), (other, phone)):
        epoch = api.get("/api/message/sync", user, since="latest").data["epoch"]
        synced = sync(api, user)
        assert [name for name, _ in client.events] == [entry["kind"] for entry in synced]
        for (_, pushed), entry in zip(client.events, synced, strict=True):
            assert pushed["epoch"] == epoch
            if entry["kind"] == "message" and entry["message"]["recalled"]:
                assert pushed["message"]["content"] == "你好"
                continue
            assert {name: value for name, value in pushed.items() if name != "epoch"} == entry


def test_typing_reaches_the_other_side_only(api: Api, connect: Connect) -> None:
    one, other = two(api, talk=True)
    here, there = connect(one), connect(other)
    assert type_to(here, other) == {"code": 0, "msg": "success"}
    assert there.wait_for("typing") == [{"peer_id": one.user_id}]
    assert type_to(here, other)["code"] == 429
    assert not here.of("typing")


def test_typing_needs_a_conversation_and_a_block_counts_at_once(api: Api, connect: Connect) -> None:
    (one, other), stranger = two(api, talk=True), api.new_user()
    here, there, elsewhere = connect(one), connect(other), connect(stranger)
    assert type_to(elsewhere, one)["code"] == 1401
    assert type_to(here, one)["code"] == 1401
    assert type_to(there, one)["code"] == 0
    here.wait_for("typing")
    api.post("/api/user/block", other, peerId=one.user_id).data  # noqa: B018
    assert type_to(here, other)["code"] == 1401
    assert not there.of("typing")


@pytest.mark.parametrize(
    "payload", [None, "x", {}, {"peerId": 0}, {"peerId": True}, {"peerId": [1]}, {"peerId": 10**12}]
)
def test_a_typing_that_is_none_is_refused(api: Api, connect: Connect, payload: object) -> None:
    assert type_to(connect(api.new_user()), payload)["code"] == 300


def test_media_urls_are_signed_for_each_receiver(api: Api, connect: Connect) -> None:
    one, other = two(api, talk=True)
    clients = [connect(one), connect(other)]
    media = api.upload("/api/media/upload", one, small_photo(), kind="image", filename="a.jpg").data
    send(api, one, other, type="image", mediaId=media["media_id"]).data  # noqa: B018
    urls = [client.wait_for("message")[0]["message"]["media"]["url"] for client in clients]
    assert urls[0] != urls[1]
    for url in urls:
        with api.app.test_client().get(url) as answer:
            assert answer.status_code == 200
