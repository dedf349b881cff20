"""The services of chat to the last field: epochs, heads, exports, a day's limit, and what another request did first."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import delete, select, update

from datingtoday.chat.epoch import begin_epoch
from datingtoday.chat.errors import NotAccepted, TooManyConversations
from datingtoday.chat.forms import MessageForms
from datingtoday.chat.models import (
    MAX_SEQ,
    ChatEpoch,
    Contact,
    Conversation,
    EventKind,
    Inbox,
    Message,
    MessageMedia,
    place_of,
)
from datingtoday.chat.pairs import Entry, lock_pair, tell
from datingtoday.chat.personal_data import ChatData
from datingtoday.chat.sending import Draft, SendingLimits
from datingtoday.infra.packet_transaction import PacketTransaction
from datingtoday.media.processing.inspect import Kind
from tests.chat.room import MS, NOW, Room
from tests.chat.talking import new_id, rows
from tests.plugins.api import Api, User
from tests.plugins.statements import statements
from tests.profiles.factories import make_photo, make_user

pytestmark = pytest.mark.parametrize("shared_backend", ["embedded"], indirect=True)


def send(room: Room, draft: Draft, *, sender: User | None = None) -> Any:
    user = sender or room.one
    with room.api.parts.base.database.transaction() as session:
        work = PacketTransaction.within(session)
        return json.loads(bytes(room.chat.sending.send(work, user.user_id, draft, NOW)))


def head(room: Room, user: User) -> int:
    (inbox,) = rows(room.api, Inbox, user_id=user.user_id)
    return int(inbox.head)


def test_an_epoch_is_the_time_and_above_all_before_it(api: Api) -> None:
    begin = datetime.fromtimestamp(0, UTC)
    with api.parts.base.database.transaction() as session:
        nested = session.begin_nested()
        session.execute(delete(ChatEpoch))
        assert [begin_epoch(session, begin) for _ in range(3)] == [2, 3, 4], "the first ever was 1"
        assert begin_epoch(session, datetime.fromtimestamp(1_700_000_000.9, UTC)) == 1_700_000_000
        assert begin_epoch(session, begin) == 1_700_000_001
        assert session.execute(select(ChatEpoch.id, ChatEpoch.epoch)).all() == [(1, 1_700_000_001)]
        nested.rollback()


def test_a_new_conversation_has_nothing_in_it(room: Room) -> None:
    """The first message is told of; all else stands where every conversation begins."""
    room.say("first")
    own, theirs = room.contact(room.one), room.contact(room.other)
    same = ("conversation_id", "creator_id", "last_seq", "last_msg", "last_type", "update_ms", "create_time")
    assert [getattr(own, name) for name in same] == [getattr(theirs, name) for name in same]
    assert (own.creator_id, own.last_seq, own.last_msg, own.last_type) == (
        room.one.user_id,
        1,
        "first",
        "text",
    )
    assert (own.update_ms, own.create_time) == (round(NOW.timestamp() * 1000), NOW)
    for row, unread, known in ((own, 0, False), (theirs, 1, True)):
        assert (row.unread, row.known) == (unread, known)
        assert (row.read_seq, row.peer_read_seq, row.hidden_seq) == (0, 0, 0)
    paces = []
    for user in (room.one, room.other):
        (inbox,) = rows(room.api, Inbox, user_id=user.user_id)
        assert (inbox.head, inbox.closed) == (1, False)
        paces.append(inbox.pace_ms > 0)
    assert paces == [True, False], "of who sends"


def test_only_the_streams_that_get_an_entry_move(room: Room) -> None:
    room.say()
    assert room.read(room.other, 9) == 0
    before = [rows(room.api, Inbox, user_id=it.user_id)[0].pace_ms for it in (room.one, room.other)]
    room.remove(room.one)
    assert (head(room, room.one), head(room, room.other)) == (3, 2)
    room.remove(room.other)
    assert (head(room, room.one), head(room, room.other)) == (3, 3)
    after = [rows(room.api, Inbox, user_id=it.user_id)[0].pace_ms for it in (room.one, room.other)]
    assert after == before, "what is no message costs no pace"


@pytest.mark.parametrize("closed", ["one", "other", "both"])
def test_a_purged_accounts_stream_stands_still(room: Room, closed: str) -> None:
    room.say()
    users = {"one": room.one, "other": room.other}
    with room.api.parts.base.database.transaction() as session:
        for name, user in users.items():
            session.get_one(Inbox, user.user_id).closed = closed in (name, "both")
    with room.api.parts.base.database.transaction() as session:
        connection = session.connection()
        pair = lock_pair(connection, room.other.user_id, room.one.user_id)
        assert pair is not None
        names = [name for name in users if closed not in (name, "both")]
        told = tell(
            connection,
            pair,
            [Entry(user.user_id, EventKind.READ, 1, 1, by_me=False) for user in users.values()],
        )
        assert [(it.entry.user_id, it.pos) for it in told] == [(users[name].user_id, 2) for name in names]
    assert {name: head(room, user) for name, user in users.items()} == {
        name: 2 if name in names else 1 for name in users
    }


class TestReading:
    def test_of_who_never_talked_nothing_is_unread(self, room: Room) -> None:
        assert room.read(room.one, 1) == 0
        with room.api.parts.base.database.reading() as session:
            assert room.chat.conversations.unread(session, room.one.user_id).total == 0
        room.remove(room.one)
        assert rows(room.api, Inbox, user_id=room.one.user_id) == []

    def test_the_sum_is_of_all_conversations(self, room: Room) -> None:
        third = make_user(room.api)
        room.say()
        room.say(sender=third, to=room.other)
        room.say(sender=third, to=room.other)
        with room.api.parts.base.database.reading() as session:
            totals = [room.chat.conversations.unread(session, it.user_id).total for it in (room.other, third)]
        assert totals == [3, 0]

    def test_reading_in_one_conversation_leaves_the_others(self, room: Room) -> None:
        third = make_user(room.api)
        for sender, to in ((room.one, room.other), (third, room.other), (third, room.one)):
            room.say(sender=sender, to=to)
        assert room.read(room.other, 1) == 0
        left = {
            (row.user_id, row.peer_id): (row.read_seq, row.peer_read_seq, row.unread)
            for user in (room.one, room.other, third)
            for row in rows(room.api, Contact, user_id=user.user_id)
        }
        one, other = room.one.user_id, room.other.user_id
        assert left[other, one] == (1, 0, 0) and left[one, other] == (0, 1, 0)
        assert left[other, third.user_id] == left[one, third.user_id] == (0, 0, 1)
        assert left[third.user_id, one] == left[third.user_id, other] == (0, 0, 0)


def test_a_recall_of_what_was_hidden_takes_nothing_off(room: Room) -> None:
    hidden = room.say()
    room.remove(room.other)
    shown = room.say()
    assert (room.contact(room.other).hidden_seq, room.contact(room.other).unread) == (1, 1)
    room.recall(room.one, hidden["message_id"])
    assert room.contact(room.other).unread == 1
    room.recall(room.one, shown["message_id"])
    assert room.contact(room.other).unread == 0


def test_a_recall_that_another_request_was_quicker_with_changes_nothing(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    media_id = make_photo(room.api, room.one, kind=Kind.IMAGE)
    told = send(room, Draft(room.other.user_id, "image", new_id(), None, media_id))
    conversation_id, seq = place_of(told["message_id"])
    this = (Message.conversation_id == conversation_id, Message.seq == seq)
    before = room.events(room.one)
    seen: list[Any] = []

    def detach(session: Any, ids: Any, _now: Any) -> None:
        seen.append(list(ids))
        # As it is found under the lock, when another request has recalled it.
        session.execute(update(Message).where(*this).values(recalled=True))

    monkeypatch.setattr(room.api.parts.media.service, "detach", detach)
    room.recall(room.one, told["message_id"])
    (row,) = rows(room.api, Message, conversation_id=conversation_id, seq=seq)
    assert (seen, row.recalled, row.media_id) == ([[media_id]], False, media_id), "as it was before"
    assert room.events(room.one) == before


class TestSending:
    def limit(self, room: Room, monkeypatch: pytest.MonkeyPatch, new_per_day: int) -> None:
        monkeypatch.setattr(room.chat.sending, "_limits", SendingLimits(new_per_day, 99, None))

    def test_a_day_begins_at_midnight_of_utc(self, room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
        self.limit(room, monkeypatch, 1)
        others = [make_user(room.api) for _ in range(4)]
        midnight = datetime(2026, 5, 5, tzinfo=UTC)
        room.say(to=others[0], now=midnight - timedelta(microseconds=1))
        room.say(to=others[1], now=midnight)
        for now in (midnight, midnight + timedelta(days=1) - MS):
            with pytest.raises(TooManyConversations) as refused:
                room.say(to=others[2], now=now)
            assert refused.value.message("en") == "too many new contacts today; at most 1"
        room.say(to=others[3], now=midnight + timedelta(days=1))

    def test_who_is_at_the_limit_uses_up_no_ids(self, room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
        self.limit(room, monkeypatch, 1)
        room.say()
        third = make_user(room.api)
        with statements(room.api.parts.base.database) as seen, pytest.raises(TooManyConversations):
            room.say(to=third)
        assert [it.text for it in seen if it.text.startswith("INSERT")] == []
        assert rows(room.api, Conversation, high_uid=third.user_id) == []

    def test_one_that_is_sent_again_tells_of_its_reading(self, room: Room) -> None:
        media_id = make_photo(room.api, room.one, kind=Kind.IMAGE)
        drafts = [
            Draft(room.other.user_id, "text", new_id(), "a", None),
            Draft(room.other.user_id, "image", new_id(), None, media_id),
        ]
        first = [send(room, draft) for draft in drafts]
        assert [send(room, draft) for draft in drafts] == first
        assert first[1]["media"]["media_id"] == media_id
        room.read(room.other, 1)
        assert [send(room, draft)["read"] for draft in drafts] == [True, False]

    @pytest.mark.parametrize(("last_seq", "is_full"), [(MAX_SEQ - 1, False), (MAX_SEQ, True)])
    def test_a_conversation_that_is_full_takes_no_more(
        self, room: Room, last_seq: int, is_full: bool
    ) -> None:
        room.say()
        with room.api.parts.base.database.transaction() as session:
            ids = (room.one.user_id, room.other.user_id)
            session.execute(update(Contact).where(Contact.user_id.in_(ids)).values(last_seq=last_seq))
        if is_full:
            with pytest.raises(NotAccepted):
                room.say()
        else:
            assert room.say()["seq"] == MAX_SEQ

    def test_times_are_told_to_the_millisecond_and_cut_to_the_second(self, room: Room) -> None:
        told = room.say(now=datetime(2026, 5, 4, 12, 0, 59, 999_999, tzinfo=UTC))
        assert (told["send_ms"] % 60_000, told["send_time"]) == (59_999, "2026-05-04 12:00:59")


class TestPersonalData:
    def export(self, room: Room, user: User) -> dict[str, Any]:
        with room.api.parts.base.database.reading() as session:
            return ChatData(MessageForms(room.api.parts.media.service)).export(session, user.user_id, NOW)

    def test_each_contact_as_its_owner_sees_it(self, room: Room) -> None:
        third, fourth = make_user(room.api), make_user(room.api)
        room.say("mine")
        room.say("theirs", sender=room.other, now=NOW + MS)
        room.read(room.one, 1)
        room.say("from the third", sender=third, to=room.one)
        room.say("among others", sender=third, to=fourth)
        with room.api.parts.base.database.transaction() as session:
            room.chat.conversations.remove(session, room.one.user_id, third.user_id, NOW)
        told = self.export(room, room.one)
        both = {"create_time": NOW}
        assert told["contacts"] == [
            {
                "user_id": room.other.user_id, "begun_by_me": True, "last_msg": "theirs", "unread": 1,
                "read_seq": 1, "removed": False, "update_time": NOW + MS, **both,
            },
            {
                "user_id": third.user_id, "begun_by_me": False, "last_msg": "", "unread": 0,
                "read_seq": 0, "removed": True, "update_time": NOW, **both,
            },
        ]  # fmt: skip
        assert [(it["content"], it["read"]) for it in told["messages"]] == [
            ("mine", False),
            ("theirs", False),
        ]
        assert [it["content"] for it in self.export(room, third)["messages"]] == [
            "from the third",
            "among others",
        ]

    def test_what_is_removed_is_of_one_person(self, room: Room) -> None:
        room.say()
        third = make_user(room.api)
        room.say(sender=third, to=room.other)
        media_ids = [make_photo(room.api, it, kind=Kind.IMAGE) for it in (room.one, third)]
        send(room, Draft(room.other.user_id, "image", new_id(), None, media_ids[0]))
        send(room, Draft(room.other.user_id, "image", new_id(), None, media_ids[1]), sender=third)
        data = ChatData(MessageForms(room.api.parts.media.service))
        with room.api.parts.base.database.transaction() as session:
            while data.remove(session, room.one.user_id, 10):
                pass
        closed = [rows(room.api, Inbox, user_id=it.user_id)[0].closed for it in (room.one, room.other, third)]
        assert closed == [True, False, False]
        assert [len(room.events(it)) for it in (room.one, room.other, third)] == [0, 4, 2]
        assert [it.content for it in rows(room.api, Message, from_uid=third.user_id)] == ["x", None]
        assert [len(rows(room.api, MessageMedia, media_id=it)) for it in media_ids] == [0, 1]
        assert [it.recalled for it in rows(room.api, Message, from_uid=third.user_id)] == [False, False]
