"""After many at once: contacts, unread and heads are what the messages say; retries inside leave nothing double."""

from __future__ import annotations

import random
import socket
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pymysql
import pytest
from sqlalchemy import select
from sqlalchemy.exc import OperationalError

from datingtoday.chat.models import ChatEvent, Contact, EventKind, Inbox, Message
from datingtoday.infra.packet_connection import PacketConnection
from datingtoday.infra.packets import Packet
from datingtoday.infra.realtime import PushEvent
from tests.chat.talking import contents, new_id, rows, send, sync, two, unread
from tests.plugins.api import Api, User
from tests.profiles.factories import make_user


def recomputed(api: Api, user: User) -> dict[int, tuple[Any, ...]]:
    """Contacts by peer: last_seq, last_msg, last_type, unread, read_seq, known, from messages and events alone."""
    with api.parts.base.database.transaction(write=False) as session:
        messages = session.scalars(
            select(Message)
            .where((Message.from_uid == user.user_id) | (Message.to_uid == user.user_id))
            .order_by(Message.seq)
        ).all()
        events = session.scalars(
            select(ChatEvent).where(ChatEvent.user_id == user.user_id).order_by(ChatEvent.pos)
        ).all()
    found = {}
    for peer_id in {it.from_uid + it.to_uid - user.user_id for it in messages}:
        of_pair = [it for it in messages if peer_id in (it.from_uid, it.to_uid)]
        last = of_pair[-1]
        read_upto = max(
            [e.seq for e in events if e.kind == EventKind.READ and e.by_me and e.peer_id == peer_id],
            default=0,
        )
        hidden_upto = max(
            [e.seq for e in events if e.kind == EventKind.CONTACT and e.peer_id == peer_id], default=0
        )
        received = [it for it in of_pair if it.from_uid == peer_id]
        found[peer_id] = (
            last.seq,
            "" if last.recalled else last.content,
            "recalled" if last.recalled else last.msg_type,
            sum(it.seq > max(read_upto, hidden_upto) and not it.recalled for it in received),
            read_upto,
            bool(received),
        )
        assert [it.seq for it in of_pair] == list(range(1, last.seq + 1))
    return found


def test_a_storm_leaves_contacts_unread_and_heads_as_the_messages_say(api: Api) -> None:
    people = [make_user(api) for _ in range(5)]

    def one(number: int) -> None:
        chance = random.Random(number)
        user, peer = chance.sample(people, 2)
        told = send(api, user, peer, str(number)).data
        for path, own in (
            ("/api/message/read", {"peerId": peer.user_id, "seq": chance.randint(1, 9)}),
            ("/api/contacts/remove", {"peerId": peer.user_id}),
            ("/api/message/recall", {"messageId": told["message_id"]}),
        ):
            if chance.random() < 0.3:
                assert api.post(path, user, **own).code == 0

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(one, range(120)))

    for user in people:
        stored = {
            row.peer_id: (
                row.last_seq, row.last_msg, row.last_type, row.unread, row.read_seq, row.known
            )
            for row in rows(api, Contact, user_id=user.user_id)
        }  # fmt: skip
        assert stored == recomputed(api, user)
        assert unread(api, user) == sum(row[3] for row in stored.values())
        (inbox,) = rows(api, Inbox, user_id=user.user_id)
        assert [entry["pos"] for entry in sync(api, user, pageCount=7)] == list(range(1, inbox.head + 1))
        for row in rows(api, Contact, user_id=user.user_id):
            (other,) = rows(api, Contact, user_id=row.peer_id, peer_id=user.user_id)
            assert (row.peer_read_seq, row.last_seq, row.update_ms) == (
                other.read_seq, other.last_seq, other.update_ms
            )  # fmt: skip


ON_REAL = pytest.mark.parametrize("shared_backend", ["real"], indirect=True)


@ON_REAL
@pytest.mark.parametrize("number", [1213, 1205, 1020])
def test_a_lost_race_is_done_again_inside(api: Api, number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    user, peer = two(api, talk=True)
    run = Packet.run_and_commit
    met: list[int] = []

    def run_or_lose(self: Packet, connection: Any, params: Any) -> bool:
        if len(met) < 2:
            met.append(number)
            # What the packet wrote before the statement that lost is undone with the rest.
            self.run(connection, params)
            raise OperationalError("INSERT", {}, pymysql.err.OperationalError(number, "lost"))
        return run(self, connection, params)

    monkeypatch.setattr(Packet, "run_and_commit", run_or_lose)
    assert send(api, user, peer, "once").data["seq"] == 3
    assert met == [number, number]
    assert contents(api, peer, user) == ["hello", "hello", "once"]


@ON_REAL
@pytest.mark.parametrize("kept", [True, False], ids=["kept", "undone"])
def test_a_connection_lost_at_commit(api: Api, kept: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody knows whether the commit was kept; either way the message is there once, and the answer is a success."""
    user, peer = two(api, talk=True)
    client_id = new_id()
    run = PacketConnection.run_and_commit
    lost: list[PacketConnection] = []
    published: list[PushEvent] = []
    api.parts.base.realtime.flush()
    monkeypatch.setattr(api.parts.base.realtime, "publish", published.extend)

    def run_and_lose(self: PacketConnection, text: str) -> None:
        if lost:
            run(self, text)
            return
        lost.append(self)
        if kept:
            run(self, text)
        # The socket is gone: the packet then fails as it does when a cable is pulled.
        self._sock.shutdown(socket.SHUT_RDWR)
        run(self, text)

    monkeypatch.setattr(PacketConnection, "run_and_commit", run_and_lose)
    told = send(api, user, peer, "once", clientId=client_id).data
    assert len(lost) == 1
    assert not lost[0].open, "a connection that was lost goes to nobody else"
    assert told["seq"] == 3
    assert contents(api, peer, user) == ["hello", "hello", "once"]
    assert [entry["pos"] for entry in sync(api, peer)] == [1, 2, 3]
    api.parts.base.realtime.flush()
    # A push is a hint: it is lost with the answer whose commit it follows, and never sent twice.
    assert len(published) == (0 if kept else 2)


def test_devices_are_told_once_of_each_message(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    user, peer = two(api, talk=True)
    published: list[PushEvent] = []
    api.parts.base.realtime.flush()
    monkeypatch.setattr(api.parts.base.realtime, "publish", published.extend)
    client_id = new_id()
    for _ in range(3):
        send(api, user, peer, "once", clientId=client_id)
    api.parts.base.realtime.flush()
    assert [event.user_id for event in published] == [user.user_id, peer.user_id]
