"""Cards that a process remembers in the form in which they are signed, one by one and by pages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from datingtoday.infra.cache import value_of
from datingtoday.profiles.cards.signable_json import SignableJson

_MAX_LOADED = 5_000
"""Cards that a process keeps; about 2 KB each."""
MAX_TOGETHER = 1_000
"""Pages of people that a process keeps; 20 to 40 KB each …"""
MAX_PEOPLE_TOGETHER = 24
"""… but larger ones, which few ask for."""
_MAX_JOINED = 4
"""Forms of such a page: two lists may show the same people, and a person's distance depends on where the viewer is."""


class LoadedCard(NamedTuple):
    """Whoever is in one page is in many, which share this."""

    value: bytes | None
    """Value of its key."""
    ready: SignableJson


@lru_cache(maxsize=_MAX_LOADED)
def loaded_card(entry: bytes) -> LoadedCard:
    return LoadedCard(value_of(entry), SignableJson.load(entry))


class Found:
    """Cards of those whom a viewer may find. Immutable, and perhaps the same for many viewers."""

    def __init__(self, cards: Mapping[int, SignableJson]) -> None:
        self.cards = cards
        self._joined: dict[tuple[tuple[int, bytes], ...], SignableJson | None] = {}

    def joined(self, people: tuple[tuple[int, bytes], ...]) -> SignableJson | None:
        """The cards of these people side by side, each with what it gets at its end; None if none of them is found."""
        try:
            return self._joined[people]
        except KeyError:
            cards = [
                (card, more) for user_id, more in people if (card := self.cards.get(user_id)) is not None
            ]
            joined = SignableJson.joined(cards) if cards else None
            if len(self._joined) < _MAX_JOINED:
                self._joined[people] = joined
            return joined


NOBODY = Found({})


class FoundTogether(NamedTuple):
    """Remembered result for people who were asked for together."""

    keys: Sequence[str]
    """Keys of the cards."""
    values: Sequence[bytes | None]
    """Values of those keys."""
    found: Found
    """All of them."""
    is_open: bool
    """True if everybody who is not blocked may find them."""
