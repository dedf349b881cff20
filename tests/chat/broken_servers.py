"""Servers that break a promise on purpose, for the proof that the checker notices: factories for gunicorn."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

from flask import Flask
from sqlalchemy import Connection, bindparam, func, insert, select, text

from datingtoday.app import create_app
from datingtoday.chat import conversations, history, pairs, sending
from datingtoday.chat.models import ChatEpoch, ChatEvent, Contact
from datingtoday.infra.config.settings import load_settings
from datingtoday.protocol.call import Call

COMMIT_DELAY_S = 0.3


def whole() -> Flask:
    """The product as it is."""
    return create_app(load_settings())


def auto_increment() -> Flask:
    """Positions are drawn from AUTO_INCREMENT, and no inbox is locked: who draws first may commit last."""

    def lock_pair(connection: Connection, user_id: int, peer_id: int) -> pairs.LockedPair | None:
        low, high = sorted((user_id, peer_id))
        row = connection.execute(
            select(Contact.conversation_id, Contact.last_seq)
            .where(Contact.user_id == low, Contact.peer_id == high)
            .with_for_update()
        ).one_or_none()
        if row is None:
            return None
        return pairs.LockedPair(row[0], row[1], 1, {low: 0, high: 0}, {low: 0, high: 0}, frozenset())

    def tell(
        connection: Connection, pair: pairs.LockedPair, entries: Sequence[pairs.Entry], **_: Any
    ) -> list[pairs.ToldEntry]:
        for entry in entries:
            drawn = connection.execute(text("INSERT INTO drawn () VALUES ()")).lastrowid
            connection.execute(
                insert(ChatEvent).values(
                    user_id=entry.user_id, pos=drawn, kind=entry.kind.value, conversation_id=pair.conversation_id,
                    seq=entry.seq, peer_id=entry.peer_id, by_me=entry.by_me,
                )
            )  # fmt: skip
        return []

    head = select(func.max(ChatEvent.pos)).where(ChatEvent.user_id == bindparam("user_id"))
    epoch = select(ChatEpoch.epoch).where(ChatEpoch.id == 1)
    history._HEAD = select(head.scalar_subquery(), epoch.scalar_subquery())
    for module in (sending, conversations):
        module.lock_pair, module.tell = lock_pair, tell  # type: ignore[attr-defined]
    return whole()


def early_answer() -> Flask:
    """Answers, and commits a moment later."""
    finish = Call.finish

    def finish_later(self: Call, *, keep: bool) -> None:
        if self.path != "/api/message/send" or not keep or self._session is None:
            finish(self, keep=keep)
            return
        session, self._session = self._session, None

        def commit() -> None:
            threading.Event().wait(COMMIT_DELAY_S)
            session.commit()
            session.close()

        threading.Thread(target=commit).start()

    Call.finish = finish_later  # type: ignore[method-assign]
    return whole()
