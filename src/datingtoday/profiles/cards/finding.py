"""Cards of those whom a viewer may find: what pages of hot list and nearby are made of.

`Action.FIND` for the candidates of a page, answered from the cache in one round trip with their cards: a card's head
has what the person decided about who sees them, and the viewer's *circle* whom they have to do with.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache, lru_cache
from typing import Any, NamedTuple

import orjson
from sqlalchemy import select
from sqlalchemy.orm import Session

from datingtoday.infra.cache import NOTHING_AHEAD, CacheEntry, CacheRequest, ReadAhead, ReadyCache, value_of
from datingtoday.profiles.cards.entries import KEPT_S, Cards
from datingtoday.profiles.cards.signable_json import ReadyBytes
from datingtoday.profiles.enumerations import FOLLOWED
from datingtoday.profiles.models import UserBlock, UserFollow
from datingtoday.profiles.visibility import Action, Relation, Rule, Ties, Visibility, circle_key

MAX_CIRCLE = 300
"""People of either kind who are listed in a circle; who has more is answered by SQL."""

_MAX_LOADED = 5_000
"""Cards that a process keeps in the form in which they are signed; about 2 KB each."""
_MAX_TOGETHER = 1_000
"""Pages of people that a process keeps; 20 to 40 KB each …"""
_MAX_PEOPLE_TOGETHER = 24
"""… but larger ones, which few ask for."""
_MAX_JOINED = 4
"""Forms of such a page: two lists may show the same people, and a person's distance depends on where one is."""
_MAX_CIRCLES_LOADED = 200
"""The same of circles, most of which are empty, and a few large."""


class Circle(NamedTuple):
    """Whom a viewer has to do with; None: too many to be listed."""

    blocked: frozenset[int] | None
    """Who blocks the viewer, or is blocked by them."""
    fans: frozenset[int] | None
    """Who follows the viewer."""

    def may_find(self, target_id: int, head: Sequence[Any]) -> bool | None:
        """Whether the viewer may find somebody; None if SQL must be asked. :param head: of their card."""
        authority, banned, deleted = head
        if self.blocked is None or (self.fans is None and authority == FOLLOWED):
            return None
        is_fan = self.fans is not None and target_id in self.fans
        return _may_find(authority, banned, deleted, is_fan, target_id in self.blocked)


@cache
def _may_find(authority: int, banned: bool, deleted: bool, is_fan: bool, is_blocked: bool) -> bool:
    # Which of the two blocks makes no difference to what may be found.
    relation = Relation(authority, banned, deleted, Ties(False, is_fan, is_blocked, False))
    rule = Visibility.rule(Action.FIND, relation)
    if rule not in (Rule.YES, Rule.NO):
        raise AssertionError("finding depends on what only SQL knows: it has to be asked here")
    return rule is Rule.YES


class CircleEntries:
    """Of the user id: the circle. `Visibility.ties_changed` lets it be made anew."""

    def key(self, what: int) -> str:
        return circle_key(what)

    def make(self, session: Session, wanted: Sequence[int], now: datetime) -> Mapping[int, CacheEntry]:
        return {user_id: CacheEntry(orjson.dumps(_lists(session, user_id)), KEPT_S) for user_id in wanted}

    @staticmethod
    @lru_cache(maxsize=_MAX_CIRCLES_LOADED)
    def load(data: bytes) -> Circle:
        blocked, fans = orjson.loads(data)
        return Circle(
            None if blocked is None else frozenset(blocked), None if fans is None else frozenset(fans)
        )


def _lists(session: Session, user_id: int) -> list[list[int] | None]:
    own = select(UserBlock.peer_id).where(UserBlock.user_id == user_id)
    others = select(UserBlock.user_id).where(UserBlock.peer_id == user_id)
    fans = select(UserFollow.user_id).where(UserFollow.peer_id == user_id)
    by_kind = [list(session.scalars(ids.limit(MAX_CIRCLE + 1))) for ids in (own, others, fans)]
    blocked = sorted({*by_kind[0], *by_kind[1]})
    return [ids if len(ids) <= MAX_CIRCLE else None for ids in (blocked, by_kind[2])]


class _Card(NamedTuple):
    """Whoever is in one page is in many, which share this."""

    value: bytes | None
    """What its key holds."""
    ready: ReadyBytes


@lru_cache(maxsize=_MAX_LOADED)
def _loaded(entry: bytes) -> _Card:
    return _Card(value_of(entry), ReadyBytes.load(entry))


class Found:
    """Cards of those whom a viewer may find. Immutable, and perhaps the same for many viewers."""

    def __init__(self, cards: Mapping[int, ReadyBytes]) -> None:
        self.cards = cards
        self._joined: dict[tuple[tuple[int, bytes], ...], ReadyBytes | None] = {}

    def joined(self, people: tuple[tuple[int, bytes], ...]) -> ReadyBytes | None:
        """The cards of these people side by side, each with what it gets at its end; None if none of them is found."""
        try:
            return self._joined[people]
        except KeyError:
            cards = [
                (card, more) for user_id, more in people if (card := self.cards.get(user_id)) is not None
            ]
            joined = ReadyBytes.joined(cards) if cards else None
            if len(self._joined) < _MAX_JOINED:
                self._joined[people] = joined
            return joined


NOBODY = Found({})


class _Together(NamedTuple):
    """What came out the last time for people who were asked for together."""

    keys: Sequence[str]
    """Of their cards …"""
    values: Sequence[bytes | None]
    """… and what these held."""
    found: Found
    """All of them."""
    is_open: bool
    """They may be found by everybody who is not blocked."""


class Finding:
    """Answers for every list of people whom the viewer does not know yet."""

    def __init__(self, entries: ReadyCache, cards: Cards, visibility: Visibility) -> None:
        self._cache = entries
        self._cards = cards
        self._visibility = visibility
        self._circles = CircleEntries()
        # The same people are on top for many viewers, and near to many.
        self._together: dict[tuple[int, ...], _Together] = {}

    def keys(self, viewer_id: int, user_ids: Sequence[int]) -> list[str]:
        """The entries of the cache that `cards_of` wants."""
        return [self.viewer_key(viewer_id), *self.card_keys(user_ids)]

    @staticmethod
    def viewer_key(viewer_id: int) -> str:
        """The one of them that depends on the viewer."""
        return circle_key(viewer_id)

    def card_keys(self, user_ids: Sequence[int]) -> Sequence[str]:
        """The others."""
        together = self._together.get(tuple(user_ids))
        return self._cards.cards.keys(user_ids) if together is None else together.keys

    def _entries(
        self, viewer_id: int, user_ids: Sequence[int], now: datetime, ahead: ReadAhead
    ) -> Sequence[bytes | None]:
        """The circle and the cards."""
        entries = self._cache.all_ahead(self.keys(viewer_id, user_ids), ahead)
        if entries is not None:
            return entries
        wishes: list[CacheRequest[Any]] = [CacheRequest(self._circles, viewer_id)]
        wishes += [CacheRequest(self._cards.cards, user_id) for user_id in user_ids]
        return self._cache.fetch(wishes, now, ahead)

    def look(self, keys: Sequence[str]) -> ReadAhead:
        """Read what is guessed to be wanted in one round trip, where the guard did not."""
        return self._cache.look(keys, NOTHING_AHEAD)

    def cards_of(
        self,
        session: Session,
        viewer_id: int,
        user_ids: Sequence[int],
        now: datetime,
        ahead: ReadAhead = NOTHING_AHEAD,
    ) -> Found:
        """The cards of those of these people whom the viewer may find; never the viewer's own.

        One round trip to the cache at the most, if all is there, and one statement for those whom the viewer's circle
        is too large to tell of. Neither grows with the number of anybody's follows and blocks.
        """
        others = tuple([user_id for user_id in dict.fromkeys(user_ids) if user_id != viewer_id])
        if not others:
            return NOBODY
        together = self._together.get(others)
        if together is None or list(map(ahead.get, together.keys)) != together.values:
            circle_bytes, *entries = self._entries(viewer_id, others, now, ahead)
            together = self._remember(others, entries)
        else:
            circle_bytes = self._cache.fetch_one(self._circles, viewer_id, now, ahead)
        circle = CircleEntries.load(circle_bytes) if circle_bytes else Circle(None, None)
        if together.is_open and circle.blocked is not None and circle.blocked.isdisjoint(others):
            return together.found
        cards: dict[int, ReadyBytes] = {}
        unsure: dict[int, ReadyBytes] = {}
        for user_id, card in together.found.cards.items():
            may = circle.may_find(user_id, card.head)
            if may:
                cards[user_id] = card
            elif may is None:
                unsure[user_id] = card
        if unsure:
            allowed = self._visibility.allowed(session, viewer_id, unsure, Action.FIND, now)
            cards.update((user_id, unsure[user_id]) for user_id in allowed)
        return Found(cards)

    def _remember(self, user_ids: tuple[int, ...], entries: Sequence[bytes | None]) -> _Together:
        loaded = [None if entry is None else _loaded(entry) for entry in entries]
        # Nobody has an id of which there is no entry.
        cards = {
            user_id: card.ready for user_id, card in zip(user_ids, loaded, strict=True) if card is not None
        }
        is_open = all(
            _may_find(*card.head, is_fan=is_fan, is_blocked=False)
            for card in cards.values()
            for is_fan in (False, True)
        )
        values = [None if card is None else card.value for card in loaded]
        together = _Together(self.card_keys(user_ids), values, Found(cards), is_open)
        # Where somebody's entry is missing, the next one asks again.
        if None not in values and len(user_ids) <= _MAX_PEOPLE_TOGETHER:
            if len(self._together) >= _MAX_TOGETHER:
                self._together.clear()
            self._together[user_ids] = together
        return together
