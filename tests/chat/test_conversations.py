"""Contacts, history, reading, removing and recalling."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine

from datingtoday.chat.models import Contact
from tests.chat.talking import contact, contacts, contents, history, rows, send, sync, two, unread
from tests.plugins.api import Api
from tests.profiles.factories import ban, delete, make_block, make_hidden, make_user

NOBODY = 2**31 - 1


def read(api: Api, user: Any, peer: Any, seq: int) -> int:
    told: int = api.post("/api/message/read", user, peerId=peer.user_id, seq=seq).data["unread"]
    return told


def recall(api: Api, user: Any, message: Any) -> int:
    return api.post("/api/message/recall", user, messageId=message["message_id"]).code


def test_contacts_stand_with_the_latest_message_first(api: Api) -> None:
    user, others = make_user(api), [make_user(api) for _ in range(5)]
    assert api.get("/api/contacts/list", user).data == {
        "total": 0,
        "list": [],
        "has_next": False,
        "next": None,
    }
    for other in others:
        send(api, other, user, "x" * 300).data  # noqa: B018
    send(api, user, others[1], "again").data  # noqa: B018
    wanted = [others[n].user_id for n in (1, 4, 3, 2, 0)]
    assert [row["peer"]["user_id"] for row in contacts(api, user)] == wanted
    first = contact(api, user, others[1])
    assert (first["last_msg"], first["last_type"], first["unread"]) == ("again", "text", 1)
    assert contact(api, user, others[0])["last_msg"] == "x" * 255
    assert unread(api, user) == 5
    page = api.get("/api/contacts/list", user, pageCount=2).data
    seen = [row["peer"]["user_id"] for row in page["list"]]
    # Who moves up meanwhile stands on a new first page; by cursor nobody comes twice.
    send(api, others[0], user).data  # noqa: B018
    while page["has_next"]:
        page = api.get("/api/contacts/list", user, pageCount=2, cursor=page["next"]).data
        seen += [row["peer"]["user_id"] for row in page["list"]]
    assert seen == wanted[:4] and page["total"] == 5


def test_history_by_before_and_after(api: Api) -> None:
    user, peer = two(api)
    for number in range(1, 8):
        send(api, user, peer, str(number)).data  # noqa: B018
    page = api.get("/api/message/list", peer, peerId=user.user_id, pageCount=3).data
    assert ([it["seq"] for it in page["list"]], page["has_next"]) == ([5, 6, 7], True)
    page = api.get("/api/message/list", peer, peerId=user.user_id, pageCount=3, before=3).data
    assert ([it["seq"] for it in page["list"]], page["has_next"]) == ([1, 2], False)
    page = api.get("/api/message/list", peer, peerId=user.user_id, pageCount=3, after=2).data
    assert ([it["seq"] for it in page["list"]], page["has_next"]) == ([3, 4, 5], True)
    assert api.get("/api/message/list", peer, peerId=user.user_id, before=3, after=1).code == 300
    assert api.get("/api/message/list", user, peerId=NOBODY).data == {"list": [], "has_next": False}


def test_reading(api: Api) -> None:
    user, peer = two(api)
    for number in range(4):
        send(api, user, peer, str(number)).data  # noqa: B018
    send(api, peer, user, "mine").data  # noqa: B018
    assert (unread(api, peer), unread(api, user)) == (4, 1)
    assert read(api, peer, user, 3) == 1
    # Never back, and beyond the last counts as the last.
    assert read(api, peer, user, 1) == 1
    assert [it["read"] for it in history(api, user, peer)] == [True, True, True, False, False]
    assert read(api, peer, user, 99) == 0
    assert read(api, peer, user, 99) == 0
    assert read(api, make_user(api), user, 1) == 0
    reads = [entry for entry in sync(api, user) if entry["kind"] == "read"]
    assert reads == [
        {"pos": 6, "kind": "read", "peer_id": peer.user_id, "seq": 3, "by_me": False},
        {"pos": 7, "kind": "read", "peer_id": peer.user_id, "seq": 5, "by_me": False},
    ]
    assert [e["by_me"] for e in sync(api, peer) if e["kind"] == "read"] == [True, True]
    assert (unread(api, peer), unread(api, user)) == (0, 1)


def test_removing(api: Api) -> None:
    user, peer = two(api, talk=True)
    before = sync(api, user)
    api.post("/api/contacts/remove", user, peerId=peer.user_id).data  # noqa: B018
    assert contacts(api, user) == [] and history(api, user, peer) == []
    assert unread(api, user) == 0
    assert len(history(api, peer, user)) == 2 and len(contacts(api, peer)) == 1
    # Again, and of nobody: no event.
    for peer_id in (peer.user_id, NOBODY):
        assert api.post("/api/contacts/remove", user, peerId=peer_id).code == 0
    assert sync(api, user) == [
        *before, {"pos": 3, "kind": "contact", "peer_id": peer.user_id, "removed": True}
    ]  # fmt: skip
    send(api, peer, user, "new").data  # noqa: B018
    assert contents(api, user, peer) == ["new"]
    assert contents(api, user, peer, after=0) == ["new"]
    assert contact(api, user, peer)["unread"] == 1


def test_recalling(api: Api) -> None:
    user, peer = two(api)
    told = [send(api, user, peer, str(number)).data for number in range(3)]
    assert recall(api, user, told[1]) == 0
    assert recall(api, user, told[1]) == 0
    assert contents(api, peer, user) == ["0", None, "2"]
    assert unread(api, peer) == 2 and contact(api, peer, user)["last_msg"] == "2"
    read(api, peer, user, 3)
    assert recall(api, user, told[2]) == 0
    for one, other in ((user, peer), (peer, user)):
        row = contact(api, one, other)
        assert (row["last_msg"], row["last_type"], row["unread"]) == ("", "recalled", 0)
        recalls = [entry for entry in sync(api, one) if entry["kind"] == "recall"]
        assert [(it["seq"], it["peer_id"]) for it in recalls] == [(2, other.user_id), (3, other.user_id)]
        assert recalls[0]["message_id"] == told[1]["message_id"]
        messages = [entry["message"] for entry in sync(api, one) if entry["kind"] == "message"]
        assert [(it["content"], it["recalled"]) for it in messages] == [
            ("0", False),
            (None, True),
            (None, True),
        ]
    # Neither another user's nor what does not exist.
    assert recall(api, peer, told[0]) == 1402
    assert api.post("/api/message/recall", user, messageId=told[2]["message_id"] + 1).code == 1402


def test_recalling_after_a_block_and_after_two_minutes(api: Api) -> None:
    user, peer = two(api)
    told_at = datetime.now(UTC)
    with time_machine.travel(told_at, tick=False) as clock:
        first, second = (send(api, user, peer, name).data for name in "ab")
        make_block(api, peer, user)
        clock.move_to(told_at + timedelta(seconds=120))
        assert recall(api, user, first) == 0
        clock.move_to(told_at + timedelta(seconds=120, milliseconds=1))
        assert recall(api, user, second) == 1405
        # What was recalled in time stays a success.
        assert recall(api, user, first) == 0
    assert contents(api, peer, user) == [None, "b"]


def test_recalled_at_once_counts_once(api: Api) -> None:
    user, peer = two(api)
    told = [send(api, user, peer).data for _ in range(2)]
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(lambda _: recall(api, user, told[0]), range(8))) == {0}
    assert unread(api, peer) == 1
    assert len([entry for entry in sync(api, peer) if entry["kind"] == "recall"]) == 1


def test_reads_at_once_never_go_back(api: Api) -> None:
    user, peer = two(api)
    for _ in range(12):
        send(api, user, peer).data  # noqa: B018
    with ThreadPoolExecutor(12) as pool:
        list(pool.map(lambda seq: read(api, peer, user, seq), [7, 3, 9, 1, 11, 5, 8, 2, 10, 4, 6, 12]))
    for person in (user, peer):
        seqs = [entry["seq"] for entry in sync(api, person) if entry["kind"] == "read"]
        assert seqs == sorted(set(seqs)) and seqs[-1] == 12
    assert unread(api, peer) == 0


COLUMNS = {"hidden": make_hidden, "banned": ban, "deleted": delete, "blocked": None, "blocking": None}


@pytest.mark.parametrize("column", COLUMNS)
def test_those_who_have_talked(api: Api, column: str) -> None:
    """Section 5 of the contract, for who is known: the matrix has strangers."""
    user, peer = two(api, talk=True)
    if column == "blocked":
        make_block(api, user, peer)
    elif column == "blocking":
        make_block(api, peer, user)
    else:
        COLUMNS[column](api, peer)  # type: ignore[misc]
    assert send(api, user, peer).code == (0 if column == "hidden" else 1401)
    assert contents(api, user, peer)[:2] == ["hello", "hello"]
    card = contact(api, user, peer)["peer"]
    nickname = f"测试{peer.phone[-6:]}" if column in ("hidden", "blocked", "blocking") else "用户"
    assert (card["user_id"], card["nickname"], card["avatar"]) == (peer.user_id, nickname, None)
    assert read(api, user, peer, 2) == 0
    assert api.get("/api/user/show", user, peerId=peer.user_id).code == (0 if column == "hidden" else 501)
    reported = api.post("/api/user/report", user, peerId=peer.user_id, reason="spam").code
    assert reported == (501 if column == "deleted" else 0)
    assert api.post("/api/contacts/remove", user, peerId=peer.user_id).code == 0


def test_who_was_only_written_to_is_not_known(api: Api) -> None:
    user, peer = two(api)
    send(api, user, peer).data  # noqa: B018
    make_hidden(api, peer)
    make_hidden(api, user)
    assert api.get("/api/user/show", user, peerId=peer.user_id).code == 501
    assert api.get("/api/user/show", peer, peerId=user.user_id).code == 0
    assert [row.known for row in rows(api, Contact, user_id=user.user_id)] == [False]


def test_what_sync_refuses(api: Api) -> None:
    user, _ = two(api, talk=True)
    page = api.get("/api/message/sync", user, since="latest").data
    assert (page["list"], page["next"], page["has_next"]) == ([], 2, False)
    assert api.get("/api/message/sync", user, since=3).code == 1406
    assert api.get("/api/message/sync", user, since=2, epoch=page["epoch"]).code == 0
    assert api.get("/api/message/sync", user, since=0, epoch=page["epoch"] + 1).code == 1406
    for bad in ("-1", "x", "1.0", ""):
        assert api.get("/api/message/sync", user, since=bad).code == 300
    assert api.get("/api/message/sync", user, since=0, pageCount=201).code == 300
    first = api.get("/api/message/sync", user, since=0, pageCount=1).data
    assert (len(first["list"]), first["next"], first["has_next"]) == (1, 1, True)
