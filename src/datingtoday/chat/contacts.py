"""The list of people with whom a user has talked."""

from __future__ import annotations

from collections.abc import Collection, Sequence, Set
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import Row, or_, select
from sqlalchemy.orm import Session

from datingtoday.chat.models import Contact
from datingtoday.infra.milliseconds import moment_of
from datingtoday.infra.paired import paired
from datingtoday.profiles.cards.entries import Cards
from datingtoday.profiles.people import neutral_card
from datingtoday.profiles.visibility import Action, Relation, Rule, Visibility
from datingtoday.protocol.envelope import ReadyJson, to_json
from datingtoday.protocol.paging import Cursors, PageRequest, count_up_to_most, page_answer

CONTACTS = "contacts"


class Contacts:
    """The rules of the list of contacts."""

    def __init__(self, visibility: Visibility, cards: Cards, cursors: Cursors) -> None:
        self._visibility = visibility
        self._cards = cards
        self._cursors = cursors

    def page(self, session: Session, user_id: int, page: PageRequest, now: datetime) -> ReadyJson:
        """Contacts, the latest message first; those that were removed are left out until the next message."""
        matching = select(
            Contact.update_ms, Contact.peer_id, Contact.last_msg, Contact.last_type, Contact.unread
        ).where(Contact.user_id == user_id, Contact.last_seq > Contact.hidden_seq)
        ordered = matching.order_by(Contact.update_ms.desc(), Contact.peer_id.desc()).limit(page.count + 1)
        if page.cursor is None:
            ordered = ordered.offset(page.offset)
        else:
            after_ms, after_id = self._cursors.read(CONTACTS, user_id, page.cursor)
            ordered = ordered.where(
                Contact.update_ms <= after_ms, or_(Contact.update_ms < after_ms, Contact.peer_id < after_id)
            )
        rows = session.execute(ordered).all()
        has_next = len(rows) > page.count
        rows = rows[: page.count]
        next_ = (
            self._cursors.write(CONTACTS, user_id, [rows[-1].update_ms, rows[-1].peer_id])
            if has_next
            else None
        )
        items = self._items(session, user_id, rows, now)
        return page_answer(items, total=count_up_to_most(session, matching), has_next=has_next, next_=next_)

    def known(self, session: Session, viewer_id: int, target_ids: Collection[int]) -> Set[int]:
        """Those who have written to the viewer; who talked with the viewer is among them."""
        return frozenset(
            session.scalars(
                select(Contact.peer_id).where(
                    Contact.user_id == viewer_id,
                    Contact.peer_id.in_(sorted(set(target_ids))),
                    Contact.known.is_(True),
                )
            )
        )

    def _items(
        self, session: Session, user_id: int, rows: Sequence[Row[*tuple[Any, ...]]], now: datetime
    ) -> list[bytes]:
        peer_ids = [row.peer_id for row in rows]
        relations = self._visibility.relations(session, user_id, peer_ids, now)
        cards = self._peers(user_id, peer_ids, relations, now)
        return [
            to_json(
                {
                    "peer": card,
                    "last_msg": row.last_msg,
                    "last_type": row.last_type,
                    "unread": row.unread,
                    "update_time": moment_of(row.update_ms),
                    "update_ms": row.update_ms,
                }
            )
            for row, card in paired(rows, cards)
        ]

    def _peers(
        self, user_id: int, peer_ids: Sequence[int], relations: dict[int, Relation], now: datetime
    ) -> list[ReadyJson]:
        """Cards by the row "read the old conversation" of the table of visibility."""
        rules = {
            peer_id: self._visibility.rule(Action.READ, relation) for peer_id, relation in relations.items()
        }
        named = {peer_id for peer_id, rule in rules.items() if rule is not Rule.NEUTRAL}
        cards = self._cards.of(user_id, peer_ids, now, visible=named)
        return [
            _without_link(card) if rules[peer_id] is Rule.WITHOUT_LINK else card
            for peer_id, card in paired(peer_ids, cards)
        ]


def _without_link(card: ReadyJson) -> ReadyJson:
    """The nickname, and nothing that leads on."""
    told = orjson.loads(bytes(card))
    return ReadyJson(to_json({**neutral_card(told["user_id"]), "nickname": told["nickname"]}))
