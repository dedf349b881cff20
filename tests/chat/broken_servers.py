"""Servers that break a promise on purpose, for the proof that the checker notices: factories for gunicorn."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any

from flask import Flask
from sqlalchemy import Connection, bindparam, func, insert, literal, select, text

from datingtoday.app import create_app
from datingtoday.chat import conversations, history, pairs, sending
from datingtoday.chat.models import ChatEpoch, ChatEvent, Contact, Inbox
from datingtoday.infra.config.settings import load_settings
from datingtoday.infra.packets import Packet, in_one_column
from datingtoday.profiles.visibility import RELATION
from datingtoday.protocol.call import Call

COMMIT_DELAY_S = 0.3
COLUMNS = ("user_id", "kind", "conversation_id", "seq", "peer_id", "by_me")


def whole() -> Flask:
    """The product as it is."""
    return create_app(load_settings())


def _draw(connection: Connection, entry: Mapping[str, Any]) -> None:
    drawn = connection.execute(text("INSERT INTO drawn () VALUES ()")).lastrowid
    connection.execute(insert(ChatEvent).values(**{**entry, "pos": drawn}))


class DrawnPositions:
    """Both entries of a message, at positions that are drawn."""

    rest = Packet(sending._INSERT_MESSAGE, sending._UPDATE_CONTACTS)

    def run(self, connection: Connection, params: Mapping[str, Any]) -> None:
        self.rest.run(connection, params)
        for number in range(2):
            _draw(connection, {name: params[f"{name}_{number}"] for name in COLUMNS})

    def run_and_commit(self, connection: Connection, params: Mapping[str, Any]) -> bool:
        self.run(connection, params)
        return False


def auto_increment() -> Flask:
    """Positions are drawn from AUTO_INCREMENT, and no inbox is locked: who draws first may commit last."""

    inbox = select(Inbox.head).where(Inbox.user_id == Contact.user_id).scalar_subquery()
    zero = literal(0)
    lock = (
        # The locks of a statement do not reach into its subqueries.
        select(Contact.conversation_id, Contact.last_seq, inbox, inbox, zero, inbox, inbox, zero, literal(1))
        .where(Contact.user_id == bindparam("low"), Contact.peer_id == bindparam("high"))
        .with_for_update()
    )

    def lock_pair(connection: Connection, user_id: int, peer_id: int) -> pairs.LockedPair | None:
        low, high = sorted((user_id, peer_id))
        rows = connection.execute(lock, {"low": low, "high": high}).all()
        return pairs.locked_pair(rows, low, high)

    def tell(
        connection: Connection, pair: pairs.LockedPair, entries: Sequence[pairs.Entry], **_: Any
    ) -> list[pairs.ToldEntry]:
        for entry in entries:
            _draw(
                connection,
                {**entry._asdict(), "kind": entry.kind.value, "conversation_id": pair.conversation_id},
            )
        return []

    head = select(func.max(ChatEvent.pos)).where(ChatEvent.user_id == bindparam("user_id"))
    epoch = select(ChatEpoch.epoch).where(ChatEpoch.id == 1)
    history._HEAD = select(head.scalar_subquery(), epoch.scalar_subquery())
    for module, name, broken in (
        (conversations, "lock_pair", lock_pair),
        (conversations, "tell", tell),
        (sending, "lock_pair", lock_pair),
        (sending, "_LOOK", Packet(lock.add_columns(in_one_column(RELATION).scalar_subquery()))),
        (sending, "_WRITE_TEXT", DrawnPositions()),
    ):
        setattr(module, name, broken)
    return whole()


def early_answer() -> Flask:
    """Answers, and commits a moment later."""
    finish = Call.finish

    def run_alone(self: Packet, connection: Connection, params: Mapping[str, Any]) -> bool:
        self.run(connection, params)
        return False

    def finish_later(self: Call, *, keep: bool) -> None:
        if self.path != "/api/message/send" or not keep or self._packets is None:
            finish(self, keep=keep)
            return
        packets, self._packets = self._packets, None

        def commit() -> None:
            threading.Event().wait(COMMIT_DELAY_S)
            packets.finish()
            packets.close()

        threading.Thread(target=commit).start()

    Packet.run_and_commit = run_alone  # type: ignore[method-assign]
    Call.finish = finish_later  # type: ignore[method-assign]
    return whole()
