"""Conversations at their edges, on the services themselves: positions, pages among equal moments, and the purge."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from datingtoday.chat.errors import MessageNotFound, PositionUnknown, TooLateToRecall
from datingtoday.chat.forms import MessageForms
from datingtoday.chat.models import Contact, Inbox, Message, place_of
from datingtoday.chat.personal_data import ChatData
from datingtoday.protocol.paging import PageRequest
from tests.chat.room import MS, NOW, Room
from tests.chat.talking import rows
from tests.plugins.api import User
from tests.profiles.factories import make_user

pytestmark = pytest.mark.parametrize("shared_backend", ["embedded"], indirect=True)


def test_unread_counts_messages_of_the_peer_that_are_not_read_hidden_or_recalled(room: Room) -> None:
    told = [room.say() for _ in range(6)]
    room.say(sender=room.other)
    assert room.contact(room.other).unread == 6
    room.recall(room.one, told[4]["message_id"])
    assert room.contact(room.other).unread == 5
    assert room.read(room.other, 2) == 3
    # Of what was read already nothing is taken off.
    room.recall(room.one, told[1]["message_id"])
    assert (room.contact(room.other).unread, room.contact(room.one).unread) == (3, 1)
    assert room.read(room.other, 3) == 2
    assert room.read(room.other, 5) == 1, "the fifth was recalled"
    room.recall(room.one, told[5]["message_id"])
    assert room.contact(room.other).unread == 0
    assert room.read(room.other, 6) == 0
    assert [it[2] for it in room.events(room.other) if it[1] == 2] == [2, 3, 5, 6]
    room.remove(room.other)
    assert room.contact(room.other).unread == 0
    last = room.say()
    assert room.contact(room.other).unread == 1
    assert room.read(room.other, 7) == 1, "hidden by then, and no more unread than before"
    room.recall(room.one, last["message_id"])
    assert room.contact(room.other).unread == 0


def test_reading_again_tells_nobody(room: Room) -> None:
    room.say()
    room.say()
    assert room.read(room.other, 1) == 1
    before = room.events(room.one), room.events(room.other)
    assert room.read(room.other, 1) == 1 and room.read(room.other, 0) == 1
    assert (room.events(room.one), room.events(room.other)) == before
    assert room.read(room.other, 99) == 0
    assert (room.contact(room.other).read_seq, room.contact(room.one).peer_read_seq) == (2, 2)
    assert room.events(room.one)[-1] == (4, 2, 2, False) and room.events(room.other)[-1] == (4, 2, 2, True)


def test_a_message_can_be_recalled_for_two_minutes(room: Room) -> None:
    first, second = room.say(), room.say()
    room.recall(room.one, first["message_id"], NOW + timedelta(seconds=120))
    with pytest.raises(TooLateToRecall) as late:
        room.recall(room.one, second["message_id"], NOW + timedelta(seconds=120) + MS)
    assert "120" in late.value.message("en")
    for user, message_id in (
        (room.other, second["message_id"]),
        (room.one, second["message_id"] + 1),
        (room.one, 2**40),
    ):
        with pytest.raises(MessageNotFound):
            room.recall(user, message_id)
    conversation_id, seq = place_of(first["message_id"])
    (row,) = rows(room.api, Message, conversation_id=conversation_id, seq=seq)
    assert (row.recalled, row.content) == (True, None)
    (row,) = rows(room.api, Message, conversation_id=conversation_id, seq=2)
    assert (row.recalled, row.content) == (False, "x")
    # The preview is of the last message, which was not recalled.
    assert (room.contact(room.other).last_msg, room.contact(room.other).last_type) == ("x", "text")
    assert [it[1:] for it in room.events(room.one)] == [(1, 1, True), (1, 2, True), (3, 1, True)]
    assert [it[1:] for it in room.events(room.other)] == [(1, 1, False), (1, 2, False), (3, 1, False)]


def test_pages_of_the_history_end_where_they_say(room: Room) -> None:
    for _ in range(5):
        room.say()
    assert room.history(room.one, count=5) == ([1, 2, 3, 4, 5], False)
    assert room.history(room.one, count=4) == ([2, 3, 4, 5], True)
    assert room.history(room.one, after=0, count=5) == ([1, 2, 3, 4, 5], False)
    assert room.history(room.one, after=1, count=3) == ([2, 3, 4], True)
    assert room.history(room.one, after=2, count=3) == ([3, 4, 5], False)
    assert room.history(room.one, before=4, count=3) == ([1, 2, 3], False)
    assert room.history(room.one, before=4, count=2) == ([2, 3], True)
    room.remove(room.one)
    assert room.history(room.one) == room.history(room.one, after=0) == ([], False)
    room.say()
    assert room.history(room.one, after=2) == room.history(room.one) == ([6], False)
    assert room.history(room.other)[0] == [1, 2, 3, 4, 5, 6]


def test_pages_of_the_stream_end_where_they_say(room: Room) -> None:
    assert room.sync(room.one, 0) == room.sync(room.one, -1)
    assert room.sync(room.one, 0)["next"] == 0
    for _ in range(4):
        room.say()
    positions = lambda told: ([it["pos"] for it in told["list"]], told["next"], told["has_next"])  # noqa: E731
    assert positions(room.sync(room.one, 0, 4)) == ([1, 2, 3, 4], 4, False)
    assert positions(room.sync(room.one, 0, 3)) == ([1, 2, 3], 3, True)
    assert positions(room.sync(room.one, 3, 1)) == ([4], 4, False)
    assert positions(room.sync(room.one, 4)) == positions(room.sync(room.one, -1)) == ([], 4, False)
    epoch = room.sync(room.one, 0)["epoch"]
    assert positions(room.sync(room.one, 4, epoch=epoch)) == ([], 4, False)
    for since, other in ((5, None), (5, epoch), (0, epoch + 1), (4, epoch + 1)):
        with pytest.raises(PositionUnknown):
            room.sync(room.one, since, epoch=other)
    assert room.sync(room.one, 0)["list"][0]["message"]["read"] is False


def test_contacts_of_the_same_moment_come_once_each(room: Room) -> None:
    others = [make_user(room.api) for _ in range(5)]
    for number, other in enumerate(others):
        room.say(str(number), to=other, now=NOW + (MS if number == 2 else timedelta()))
    wanted = [others[number].user_id for number in (2, 4, 3, 1, 0)]
    for count in (1, 2, 5):
        cursor, seen, pages = None, [], 0
        while pages == 0 or cursor is not None:
            told = room.contacts(room.one, PageRequest(1, count, cursor))
            seen += [it["peer"]["user_id"] for it in told["list"]]
            cursor, pages = told["next"], pages + 1
            assert told["has_next"] is (cursor is not None) and told["total"] == 5
            assert pages <= 5, "it never ends"
        assert (seen, pages) == (wanted, -(-5 // count))
    second = room.contacts(room.one, PageRequest(2, 2, None))
    assert [it["peer"]["user_id"] for it in second["list"]] == wanted[2:4]
    assert second["list"][0]["update_ms"] == round(NOW.timestamp() * 1000)


def test_one_whose_account_is_purged_gets_no_entries_any_more(room: Room) -> None:
    told = room.say()
    room.say(sender=room.other)
    with room.api.parts.base.database.transaction() as session:
        session.get_one(Inbox, room.other.user_id).closed = True
    room.read(room.one, 2)
    room.recall(room.one, told["message_id"])
    heads = [rows(room.api, Inbox, user_id=it.user_id)[0].head for it in (room.one, room.other)]
    assert heads == [4, 2]
    assert [len(room.events(it)) for it in (room.one, room.other)] == [4, 2]


def test_the_purge_goes_step_by_step_and_leaves_the_other_side_its_own(room: Room) -> None:
    for number in range(3):
        room.say(f"mine {number}")
    room.say("theirs", sender=room.other)
    last = room.say("mine 3")
    third = make_user(room.api)
    room.say("elsewhere", sender=room.other, to=third)
    data = ChatData(MessageForms(room.api.parts.media.service))
    done = []
    for _ in range(7):
        with room.api.parts.base.database.transaction() as session:
            done.append(data.remove(session, room.one.user_id, 3))
    assert done == [3, 2, 1, 3, 1, 1, 0], "the stream, the inbox, messages, the contact"
    conversation_id, _ = place_of(last["message_id"])
    with room.api.parts.base.database.reading() as session:
        left = session.execute(
            select(Message.from_uid, Message.recalled, Message.content).where(
                Message.conversation_id == conversation_id
            )
        ).all()
    assert sorted(left, key=str) == sorted(
        [*[(room.one.user_id, True, None)] * 4, (room.other.user_id, False, "theirs")], key=str
    )
    own = room.contact(room.one)
    assert (own.hidden_seq, own.known, own.unread, own.last_msg, own.last_type) == (5, False, 0, "", "purged")
    contacts = {it.peer_id: it for it in rows(room.api, Contact, user_id=room.other.user_id)}
    theirs, other = contacts[room.one.user_id], contacts[third.user_id]
    assert (theirs.unread, theirs.last_msg, theirs.last_type) == (0, "", "recalled")
    assert (other.last_msg, other.last_type) == ("elsewhere", "text")
    assert room.history(room.other)[0] == [1, 2, 3, 4, 5]


def test_evidence_is_of_a_message_that_one_wrote_to_the_other(room: Room) -> None:
    told = room.say("buy this")
    evidence = room.chat.evidence
    with room.api.parts.base.database.reading() as session:
        found = evidence.evidence(session, room.other.user_id, room.one.user_id, told["message_id"])
        assert (found["from_uid"], found["content"], found["recalled"]) == (
            room.one.user_id,
            "buy this",
            False,
        )
        for user, peer, message_id in (
            (room.one, room.other, told["message_id"]),
            (make_user(room.api), room.one, told["message_id"]),
            (room.other, room.one, told["message_id"] + 1),
        ):
            with pytest.raises(MessageNotFound):
                evidence.evidence(session, user.user_id, peer.user_id, message_id)


def test_typing_is_for_those_of_whom_one_has_written(room: Room) -> None:
    typing = room.chat.typing

    def may(user: User, peer: User) -> bool:
        with room.api.parts.base.database.reading() as session:
            return typing.may_type(session, user.user_id, peer.user_id, datetime.now(UTC))

    assert not may(room.one, room.other)
    room.say()
    assert may(room.one, room.other) and may(room.other, room.one)
    assert not may(make_user(room.api), room.one)
