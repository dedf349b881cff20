"""Cards of those whom a viewer may find: what pages of hot list and nearby are made of.

`Action.FIND` for the candidates of a page, answered from the cache in one round trip with their cards: a card's head
has what the person decided about who sees them, and the viewer's *circle* whom they have to do with.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy.orm import Session

from datingtoday.infra.bounded_memory import BoundedMemory
from datingtoday.infra.cache import CacheRequest
from datingtoday.infra.cache_reader import CacheReader
from datingtoday.infra.paired import paired
from datingtoday.profiles.cards.circles import Circle, CircleEntries, may_find
from datingtoday.profiles.cards.entries import Cards
from datingtoday.profiles.cards.found import (
    MAX_PEOPLE_TOGETHER,
    MAX_TOGETHER,
    NOBODY,
    Found,
    FoundTogether,
    loaded_card,
)
from datingtoday.profiles.cards.signable_json import SignableJson
from datingtoday.profiles.visibility import Action, Visibility, circle_key


class Finding:
    """Answers for every list of people whom the viewer does not know yet."""

    def __init__(self, cards: Cards, visibility: Visibility) -> None:
        self._cards = cards
        self._visibility = visibility
        self._circles = CircleEntries()
        # The same people are on top for many viewers, and near to many.
        self._together = BoundedMemory[tuple[int, ...], FoundTogether]("found", MAX_TOGETHER)

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

    def _entries(self, viewer_id: int, user_ids: Sequence[int], cache: CacheReader) -> Sequence[bytes | None]:
        """The circle and the cards."""
        entries = cache.entries_read(self.keys(viewer_id, user_ids))
        if entries is not None:
            return entries
        requests: list[CacheRequest[Any]] = [CacheRequest(self._circles, viewer_id)]
        requests += [CacheRequest(self._cards.cards, user_id) for user_id in user_ids]
        return cache.fetch(requests)

    def cards_of(
        self, session: Session, viewer_id: int, user_ids: Sequence[int], cache: CacheReader
    ) -> Found:
        """Cards of the people among these whom the viewer may find, never the viewer's own.

        At most one round trip to the cache if all is there, and one statement for people about whom the viewer's
        circle is too large to decide. Neither grows with the number of anybody's follows and blocks.
        """
        others = tuple([user_id for user_id in dict.fromkeys(user_ids) if user_id != viewer_id])
        if not others:
            return NOBODY
        together = self._together.get(others)
        if together is None or cache.values(together.keys) != together.values:
            circle_bytes, *entries = self._entries(viewer_id, others, cache)
            together = self._remember(others, entries)
        else:
            circle_bytes = cache.fetch_one(self._circles, viewer_id)
        circle = CircleEntries.load(circle_bytes) if circle_bytes else Circle(None, None, None)
        if together.is_open and circle.blocked is not None and circle.blocked.isdisjoint(others):
            return together.found
        cards: dict[int, SignableJson] = {}
        unsure: dict[int, SignableJson] = {}
        for user_id, card in together.found.cards.items():
            may = circle.may_find(user_id, card.head)
            if may:
                cards[user_id] = card
            elif may is None:
                unsure[user_id] = card
        if unsure:
            allowed = self._visibility.allowed(session, viewer_id, unsure, Action.FIND, cache.now)
            cards.update((user_id, unsure[user_id]) for user_id in allowed)
        return Found(cards)

    def _remember(self, user_ids: tuple[int, ...], entries: Sequence[bytes | None]) -> FoundTogether:
        loaded = [None if entry is None else loaded_card(entry) for entry in entries]
        # Nobody has an id of which there is no entry.
        cards = {user_id: card.ready for user_id, card in paired(user_ids, loaded) if card is not None}
        # Fans may find more people than others, never less.
        is_open = all(may_find(*card.head, is_fan=False, is_blocked=False) for card in cards.values())
        values = [None if card is None else card.value for card in loaded]
        together = FoundTogether(self.card_keys(user_ids), values, Found(cards), is_open)
        # Where an entry is missing, the next viewer asks again.
        if None not in values and len(user_ids) <= MAX_PEOPLE_TOGETHER:
            self._together.put(user_ids, together)
        return together
