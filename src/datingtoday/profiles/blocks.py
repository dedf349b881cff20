"""Blocking people. A block counts both ways: neither finds, sees or writes to the other."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import and_, delete, or_, select
from sqlalchemy.orm import Session

from datingtoday.infra.events import Events
from datingtoday.profiles.cards.entries import Cards
from datingtoday.profiles.errors import UserNotFound
from datingtoday.profiles.follows import refuse_own_account
from datingtoday.profiles.models import UserBlock, UserFollow
from datingtoday.profiles.people import lock_people
from datingtoday.profiles.visibility import Action, Relation, Visibility
from datingtoday.protocol.envelope import ReadyJson
from datingtoday.protocol.paging import Cursors, PageRequest, newest_first


@dataclass(frozen=True, slots=True)
class Blocked:
    """Event: a user blocked another for the first time; follows between them are gone."""

    user_id: int
    peer_id: int
    at: datetime


class Blocks:
    """The rules of blocking; see `Follows` for what is locked."""

    def __init__(self, visibility: Visibility, cards: Cards, cursors: Cursors, events: Events) -> None:
        self._visibility = visibility
        self._cards = cards
        self._cursors = cursors
        self._events = events

    def block(self, session: Session, user_id: int, peer_id: int, now: datetime) -> None:
        """Block a user and end the follows between the two; nothing changes if the user is blocked already.

        Whom one may neither see nor has talked with cannot be blocked: the answer would tell that they exist.

        :raises ParameterError: the two are the same. :raises UserNotFound: the blocker neither sees nor knows them.
        """
        refuse_own_account(user_id, peer_id)
        lock_people(session, [user_id, peer_id])
        relation = self._visibility.relations(session, user_id, [peer_id], now)[peer_id]
        if relation.ties.blocks:
            return
        if not self._may_block(session, user_id, peer_id, relation, now):
            raise UserNotFound
        session.add(UserBlock(user_id=user_id, peer_id=peer_id, create_time=now))
        session.execute(
            delete(UserFollow).where(
                or_(
                    and_(UserFollow.user_id == user_id, UserFollow.peer_id == peer_id),
                    and_(UserFollow.user_id == peer_id, UserFollow.peer_id == user_id),
                )
            )
        )
        self._visibility.ties_changed(session, [(user_id, peer_id)])
        self._events.announce(session, Blocked(user_id, peer_id, now))

    def unblock(self, session: Session, user_id: int, peer_id: int) -> None:
        """Unblock a user; whoever it is, the answer is the same. The other's block stays, follows are gone.

        :raises ParameterError: the two are the same.
        """
        refuse_own_account(user_id, peer_id)
        session.execute(delete(UserBlock).where(UserBlock.user_id == user_id, UserBlock.peer_id == peer_id))
        self._visibility.ties_changed(session, [(user_id, peer_id)])

    def blocked(self, session: Session, user_id: int, page: PageRequest, now: datetime) -> ReadyJson:
        """Cards of those whom one has blocked, the latest first.

        Neutral ones of those whom one could not see without the block either.
        """
        matching = select(UserBlock.create_time, UserBlock.peer_id).where(UserBlock.user_id == user_id)
        found = newest_first(
            session, matching, UserBlock.create_time, UserBlock.peer_id, page, self._cursors, "blocked", user_id
        )  # fmt: skip
        peer_ids = [peer_id for _, peer_id in found.rows]
        relations = {
            peer_id: relation.but_for_own_block()
            for peer_id, relation in self._visibility.relations(session, user_id, peer_ids, now).items()
        }
        visible = self._visibility.decide(session, user_id, relations, Action.SHOW, now)
        return found.answer(self._cards.of(user_id, peer_ids, now, visible=visible))

    def _may_block(
        self, session: Session, user_id: int, peer_id: int, relation: Relation, now: datetime
    ) -> bool:
        if peer_id in self._visibility.decide(session, user_id, {peer_id: relation}, Action.SHOW, now):
            return True
        if relation.deleted:
            return False
        return peer_id in self._visibility.known(session, user_id, [peer_id])
