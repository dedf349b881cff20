"""Two people and their conversation, on the services themselves, at moments of the test's choice."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from datingtoday.chat.models import ChatEvent, Contact
from datingtoday.chat.sending import Draft
from datingtoday.infra.packet_transaction import PacketTransaction
from datingtoday.protocol.paging import PageRequest
from tests.chat.talking import new_id, rows
from tests.plugins.api import Api, User
from tests.profiles.factories import make_user

NOW = datetime(2026, 5, 4, 12, 0, 0, 500_000, tzinfo=UTC)
MS = timedelta(milliseconds=1)


class Room:
    """Two people, and what their devices ask for, at moments of the test's choice."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self.chat = api.parts.chat
        self.one, self.other = make_user(api), make_user(api)

    def say(
        self, text: str = "x", *, sender: User | None = None, to: User | None = None, now: datetime = NOW
    ) -> Any:
        sender = sender or self.one
        to = to or (self.other if sender is self.one else self.one)
        with self.api.parts.base.database.transaction() as session:
            draft = Draft(to.user_id, "text", new_id(), text, None)
            return json.loads(
                bytes(self.chat.sending.send(PacketTransaction.within(session), sender.user_id, draft, now))
            )

    def read(self, user: User, seq: int) -> int:
        peer = self.other if user is self.one else self.one
        with self.api.parts.base.database.transaction() as session:
            return self.chat.conversations.read(session, user.user_id, peer.user_id, seq, NOW).unread

    def remove(self, user: User) -> None:
        peer = self.other if user is self.one else self.one
        with self.api.parts.base.database.transaction() as session:
            self.chat.conversations.remove(session, user.user_id, peer.user_id, NOW)

    def recall(self, user: User, message_id: int, now: datetime = NOW) -> None:
        with self.api.parts.base.database.transaction() as session:
            self.chat.conversations.recall(session, user.user_id, message_id, now)

    def history(self, user: User, **bounds: Any) -> tuple[list[int], bool]:
        peer = self.other if user is self.one else self.one
        asked = {"before": None, "after": None, "count": 50, **bounds}
        with self.api.parts.base.database.reading() as session:
            found = self.chat.history.messages(session, user.user_id, peer.user_id, now=NOW, **asked)
        told = json.loads(bytes(found))
        return [it["seq"] for it in told["list"]], told["has_next"]

    def sync(self, user: User, since: int, count: int = 50, epoch: int | None = None) -> dict[str, Any]:
        with self.api.parts.base.database.reading() as session:
            found = self.chat.history.sync(
                session, user.user_id, since=since, epoch=epoch, count=count, now=NOW
            )
        told: dict[str, Any] = json.loads(bytes(found))
        return told

    def contacts(self, user: User, page: PageRequest) -> dict[str, Any]:
        with self.api.parts.base.database.reading() as session:
            told: dict[str, Any] = json.loads(
                bytes(self.chat.contacts.page(session, user.user_id, page, NOW))
            )
        return told

    def contact(self, user: User) -> Contact:
        (row,) = rows(self.api, Contact, user_id=user.user_id)
        assert isinstance(row, Contact)
        return row

    def events(self, user: User) -> list[tuple[int, int, int, bool]]:
        found = rows(self.api, ChatEvent, user_id=user.user_id)
        return [(it.pos, it.kind, it.seq, it.by_me) for it in sorted(found, key=lambda it: it.pos)]
