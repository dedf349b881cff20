"""Sending: what is stored, what is refused, and that a repeated clientId is harmless."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from datingtoday.chat.models import Message
from datingtoday.media.processing.inspect import Kind
from tests.chat.talking import contents, history, new_id, rows, send, sync, two
from tests.plugins.api import Api
from tests.profiles.factories import ban, delete, make_block, make_hidden, make_photo, make_user


def test_both_see_the_message(api: Api) -> None:
    user, peer = two(api)
    told = send(api, user, peer, "你好 \N{GRINNING FACE}\n第二行", clientId="a b~").data
    assert (told["from_uid"], told["to_uid"], told["seq"]) == (user.user_id, peer.user_id, 1)
    assert (told["type"], told["content"], told["media"]) == ("text", "你好 \N{GRINNING FACE}\n第二行", None)
    assert (told["client_id"], told["read"], told["recalled"]) == ("a b~", False, False)
    assert history(api, user, peer) == history(api, peer, user) == [told]
    for person in (user, peer):
        assert sync(api, person) == [{"pos": 1, "kind": "message", "message": told}]


def test_seq_counts_for_both_and_the_order_is_that_of_the_answers(api: Api) -> None:
    user, peer = two(api)
    told = [
        send(api, *pair, str(n)).data for n, pair in enumerate([(user, peer), (peer, user), (user, peer)])
    ]
    assert [message["seq"] for message in told] == [1, 2, 3]
    assert contents(api, user, peer) == ["0", "1", "2"]
    assert len({message["message_id"] for message in told}) == 3


def test_again_with_the_same_client_id(api: Api) -> None:
    user, peer = two(api)
    client_id = new_id()
    first = send(api, user, peer, "one", clientId=client_id).data
    assert send(api, user, peer, "one", clientId=client_id).data == first
    assert send(api, user, peer, "two", clientId=client_id).code == 1403
    assert send(api, user, make_user(api), "one", clientId=client_id).code == 1403
    # The same id of another user is another message, and so is another spelling.
    assert send(api, peer, user, "one", clientId=client_id).data["seq"] == 2
    assert send(api, user, peer, "one", clientId=client_id.upper() + " ").data["seq"] == 3
    assert contents(api, peer, user) == ["one", "one", "one"]


def test_again_after_it_was_read_says_that_it_was(api: Api) -> None:
    user, peer = two(api)
    client_id = new_id()
    first = send(api, user, peer, "one", clientId=client_id).data
    send(api, peer, user, "two")
    for seq, is_read in ((0, False), (first["seq"], True)):
        if seq:
            assert api.post("/api/message/read", peer, peerId=user.user_id, seq=seq).code == 0
        assert send(api, user, peer, "one", clientId=client_id).data == {**first, "read": is_read}


@pytest.mark.parametrize("arrange", [make_block, None])
def test_again_after_it_would_be_refused(api: Api, arrange: Any) -> None:
    user, peer = two(api)
    client_id = new_id()
    first = send(api, user, peer, clientId=client_id).data
    if arrange is None:
        delete(api, peer)
    else:
        arrange(api, peer, user)
    assert send(api, user, peer).code == 1401
    assert send(api, user, peer, clientId=client_id).data == first
    assert send(api, user, peer, "other", clientId=client_id).code == 1403


def test_again_after_the_upload_is_gone(api: Api) -> None:
    user, peer = two(api)
    media_id, client_id = make_photo(api, user, kind=Kind.IMAGE), new_id()
    first = send(api, user, peer, type="image", mediaId=media_id, clientId=client_id).data
    assert first["media"]["media_id"] == media_id
    assert api.post("/api/message/recall", user, messageId=first["message_id"]).code == 0
    again = send(api, user, peer, type="image", mediaId=media_id, clientId=client_id).data
    assert again == {**first, "media": None, "recalled": True}
    assert send(api, user, peer, type="image", mediaId="0" * 32).code == 1204


def test_twenty_at_once_are_one(api: Api) -> None:
    user, peer = two(api)
    client_id = new_id()
    with ThreadPoolExecutor(20) as pool:
        told = list(pool.map(lambda _: send(api, user, peer, clientId=client_id).data, range(20)))
    assert all(message == told[0] for message in told)
    assert len(rows(api, Message, from_uid=user.user_id)) == 1
    assert send(api, user, peer).data["seq"] == 2


def test_both_begin_at_once(api: Api) -> None:
    user, peer = two(api)
    with ThreadPoolExecutor(8) as pool:
        told = list(pool.map(lambda n: send(api, *((user, peer) if n % 2 else (peer, user))).data, range(8)))
    assert sorted(message["seq"] for message in told) == list(range(1, 9))
    assert [entry["pos"] for entry in sync(api, peer)] == list(range(1, 9))


@pytest.mark.parametrize("kind", ["audio", "image", "video"])
def test_media_of_your_own(api: Api, kind: Any) -> None:
    user, peer = two(api)
    own, wrong = make_photo(api, user, kind=kind), make_photo(api, user)
    told = send(api, user, peer, type=kind, mediaId=own).data
    assert (told["type"], told["content"], told["media"]["media_id"]) == (kind, None, own)
    (seen,) = history(api, peer, user)
    assert seen["media"]["url"] != told["media"]["url"]
    assert send(api, user, peer, type=kind, mediaId=wrong).code == 1204
    assert send(api, peer, user, type=kind, mediaId=own).code == 1204


@pytest.mark.parametrize(
    ("name", "own"),
    [
        ("peerId", {"peerId": "x"}), ("type", {"type": "sticker"}), ("clientId", {"clientId": "ä"}),
        ("clientId", {"clientId": ""}), ("clientId", {"clientId": "x" * 65}), ("content", {"content": ""}),
        ("content", {"content": "x" * 2001}), ("content", {"content": "a\x00"}), ("mediaId", {"mediaId": "0" * 32}),
        ("mediaId", {"type": "image", "content": None}), ("content", {"type": "image", "mediaId": "0" * 32}),
    ],
)  # fmt: skip
def test_bad_parameters_are_named(api: Api, name: str, own: dict[str, Any]) -> None:
    user, peer = two(api)
    params = {"peerId": peer.user_id, "type": "text", "clientId": new_id(), "content": "x", **own}
    answer = api.post(
        "/api/message/send", user, **{key: value for key, value in params.items() if value is not None}
    )
    assert (answer.code, answer.msg.split()[0]) == (300, name)
    assert rows(api, Message, from_uid=user.user_id) == []


def test_the_longest_text(api: Api) -> None:
    user, peer = two(api)
    text = "\N{GRINNING FACE}" * 2000
    assert send(api, user, peer, text).data["content"] == text
    assert contents(api, peer, user) == [text]


def test_to_the_own_account(api: Api) -> None:
    user = make_user(api)
    assert send(api, user, user).code == 300


@pytest.mark.parametrize("arrange", [make_hidden, ban, delete, None])
def test_who_may_not_be_written_to_first(api: Api, arrange: Any) -> None:
    user, peer = two(api)
    if arrange is not None:
        arrange(api, peer)
    answer = send(api, user, peer if arrange is not None else 2**31 - 1)
    assert answer.code == 1401
    assert answer.body == send(api, user, 2**31 - 1).body
    assert rows(api, Message, from_uid=user.user_id) == []
