"""A viewer's circle: blocks and follows, as far as they decide whom the viewer may find and what profiles tell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache, lru_cache
from typing import Any, NamedTuple

import orjson
from sqlalchemy import select
from sqlalchemy.orm import Session

from datingtoday.infra.cache import CacheEntry
from datingtoday.profiles.cards.entries import KEPT_S
from datingtoday.profiles.enumerations import FOLLOWED
from datingtoday.profiles.models import UserBlock, UserFollow
from datingtoday.profiles.visibility import Action, Relation, Rule, Ties, Visibility, circle_key

MAX_CIRCLE = 300
"""People of either kind who are listed in a circle; who has more is answered by SQL."""
_MAX_CIRCLES_LOADED = 200
"""Circles that a process keeps in the form in which they are used; most are empty, and a few large."""


class Circle(NamedTuple):
    """Blocks and follows of a viewer; None: too many to be listed."""

    blocked: frozenset[int] | None
    """People who block the viewer, or are blocked by them."""
    fans: frozenset[int] | None
    """People who follow the viewer."""
    followed: frozenset[int] | None
    """People whom the viewer follows."""

    def ties(self, target_id: int) -> Ties | None:
        """Ties between the viewer and a person, either block standing for both; None if they are not known."""
        if self.blocked is None or self.fans is None or self.followed is None:
            return None
        is_blocked = target_id in self.blocked
        return Ties(target_id in self.followed, target_id in self.fans, is_blocked, is_blocked)

    def may_find(self, target_id: int, head: Sequence[Any]) -> bool | None:
        """True if the viewer may find a person; None if SQL must be asked. :param head: of their card."""
        authority, banned, deleted = head
        if self.blocked is None or (self.fans is None and authority == FOLLOWED):
            return None
        is_fan = self.fans is not None and target_id in self.fans
        return may_find(authority, banned, deleted, is_fan, target_id in self.blocked)


@cache
def may_find(authority: int, banned: bool, deleted: bool, is_fan: bool, is_blocked: bool) -> bool:
    # Which of the two blocks makes no difference to what may be found.
    relation = Relation(authority, banned, deleted, Ties(False, is_fan, is_blocked, False))
    # The row of the table has no other rules than yes and no.
    return Visibility.rule(Action.FIND, relation) is Rule.YES


class CircleEntries:
    """Cache entry: user id → circle. `Visibility.ties_changed` lets it be made anew."""

    def key(self, what: int) -> str:
        return circle_key(what)

    def make(self, session: Session, wanted: Sequence[int], now: datetime) -> Mapping[int, CacheEntry]:
        return {user_id: CacheEntry(orjson.dumps(_lists(session, user_id)), KEPT_S) for user_id in wanted}

    @staticmethod
    @lru_cache(maxsize=_MAX_CIRCLES_LOADED)
    def load(data: bytes) -> Circle:
        return Circle(*(None if ids is None else frozenset(ids) for ids in orjson.loads(data)))


def _lists(session: Session, user_id: int) -> list[list[int] | None]:
    own = select(UserBlock.peer_id).where(UserBlock.user_id == user_id)
    others = select(UserBlock.user_id).where(UserBlock.peer_id == user_id)
    fans = select(UserFollow.user_id).where(UserFollow.peer_id == user_id)
    followed = select(UserFollow.peer_id).where(UserFollow.user_id == user_id)
    kinds = (own, others, fans, followed)
    by_kind = [list(session.scalars(ids.limit(MAX_CIRCLE + 1))) for ids in kinds]
    blocked = sorted({*by_kind[0], *by_kind[1]})
    return [ids if len(ids) <= MAX_CIRCLE else None for ids in (blocked, *by_kind[2:])]
