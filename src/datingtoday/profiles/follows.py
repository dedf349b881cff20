"""Follows, and the lists of followed users and followers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Select, delete, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from datingtoday.infra.events import Events
from datingtoday.profiles.cards.entries import Cards
from datingtoday.profiles.errors import UserNotFound
from datingtoday.profiles.models import UserFollow, UserInfo
from datingtoday.profiles.people import lock_people
from datingtoday.profiles.visibility import Action, Visibility, findable
from datingtoday.protocol.envelope import ReadyJson
from datingtoday.protocol.errors import ParameterError
from datingtoday.protocol.paging import Cursors, PageRequest, newest_first


@dataclass(frozen=True, slots=True)
class Followed:
    """Event: a user followed another for the first time."""

    user_id: int
    peer_id: int
    at: datetime


@dataclass(frozen=True, slots=True)
class FollowState:
    """Answer to a follow; ``mutual``: each follows the other."""

    following: bool
    mutual: bool


class Follows:
    """The rules of following. Every change locks the follower's row, and so does a block of either side: of a follow
    and a block at the same time whichever comes second sees the first.
    """

    def __init__(self, visibility: Visibility, cards: Cards, cursors: Cursors, events: Events) -> None:
        self._visibility = visibility
        self._cards = cards
        self._cursors = cursors
        self._events = events

    def follow(self, session: Session, user_id: int, peer_id: int, now: datetime) -> FollowState:
        """Follow a user; nothing changes if the user is followed already.

        :raises ParameterError: the two are the same. :raises UserNotFound: the follower may not see them.
        """
        refuse_own_account(user_id, peer_id)
        lock_people(session, [user_id])
        relations = self._visibility.relations(session, user_id, [peer_id], now)
        if peer_id not in self._visibility.decide(session, user_id, relations, Action.SHOW, now):
            raise UserNotFound
        ties = relations[peer_id].ties
        if not ties.follows:
            session.add(UserFollow(user_id=user_id, peer_id=peer_id, create_time=now))
            self._visibility.ties_changed(session, [(user_id, peer_id)])
            self._events.announce(session, Followed(user_id, peer_id, now))
        return FollowState(following=True, mutual=ties.followed)

    def unfollow(self, session: Session, user_id: int, peer_id: int) -> FollowState:
        """Unfollow a user; whoever it is, the answer is the same.

        :raises ParameterError: the two are the same.
        """
        refuse_own_account(user_id, peer_id)
        lock_people(session, [user_id])
        session.execute(
            delete(UserFollow).where(UserFollow.user_id == user_id, UserFollow.peer_id == peer_id)
        )
        self._visibility.ties_changed(session, [(user_id, peer_id)])
        return FollowState(following=False, mutual=False)

    def following(self, session: Session, user_id: int, page: PageRequest, now: datetime) -> ReadyJson:
        """Cards of those whom one follows and may find, the latest first."""
        matching = (
            select(UserFollow.create_time, UserFollow.peer_id)
            .join(UserInfo, UserInfo.id == UserFollow.peer_id)
            .where(UserFollow.user_id == user_id, findable(user_id, now))
        )
        return self._page(session, "following", user_id, matching, UserFollow.peer_id, page, now)

    def fans(self, session: Session, user_id: int, page: PageRequest, now: datetime) -> ReadyJson:
        """Cards of those who follow one and whom one may find, the latest first."""
        matching = (
            select(UserFollow.create_time, UserFollow.user_id)
            .join(UserInfo, UserInfo.id == UserFollow.user_id)
            .where(UserFollow.peer_id == user_id, findable(user_id, now))
        )
        return self._page(session, "fans", user_id, matching, UserFollow.user_id, page, now)

    def _page(
        self,
        session: Session,
        name: str,
        user_id: int,
        matching: Select[datetime, int],
        other: InstrumentedAttribute[int],
        page: PageRequest,
        now: datetime,
    ) -> ReadyJson:
        found = newest_first(
            session, matching, UserFollow.create_time, other, page, self._cursors, name, user_id
        )
        return found.answer(self._cards.of(user_id, [other_id for _, other_id in found.rows], now))


def refuse_own_account(user_id: int, peer_id: int) -> None:
    """:raises ParameterError: both are the same person."""
    if user_id == peer_id:
        raise ParameterError.plain(
            "peerId is yourself; allowed: the id of another user", "peerId 是你自己；允许：他人的 id"
        )
