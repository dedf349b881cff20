"""Brakes on guessing codes: limits on wrong tries, per network and per prefix of numbers, counted in Redis.

Only a try against a code that is in force, and that was asked for from another network than the try comes from,
counts: a person's own code, typed where it was asked for, is never braked. Each purpose has counts of its own. Nothing
here acts on everybody at once; that each number is safe is decided in SQL, by how many codes it gets and how often each
is tried.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import structlog

from datingtoday.infra.days import HOUR_S
from datingtoday.infra.ratelimit import RateLimits, TooMany
from datingtoday.protocol.peer import limit_key
from datingtoday.protocol.phone_numbers import prefix_of

log = structlog.get_logger(__name__)

_NOT_COUNTED = "-"
"""A receipt that is nowhere."""


@dataclass(frozen=True, slots=True)
class _Place:
    """A place taken in a limit of Redis."""

    name: str
    key: str
    receipt: str


class GuessBrakes:
    """Counts wrong tries.

    :param per_network: wrong tries from one network in an hour. :param per_prefix: against numbers with one prefix.
        None: no limit. Both grow by one with every right try, so they are in proportion to honest use.
    """

    def __init__(self, limits: RateLimits, *, per_network: int | None, per_prefix: int | None) -> None:
        self._limits = limits
        self._per_network = per_network
        self._per_prefix = per_prefix

    def take(self, purpose: str, phone: str, address: str, now: datetime) -> list[_Place]:
        """Count a wrong try ahead: tries at the same time cannot share a place. `settle` ends it.

        :raises TooMany: nothing was counted.
        """
        network, prefix = f"{purpose}:{limit_key(address)}", f"{purpose}:{prefix_of(phone)}"
        mine = self._take("wrong-codes-network", network, self._per_network, now)
        try:
            return [mine, self._take("wrong-codes-prefix", prefix, self._per_prefix, now)]
        except TooMany:
            log.warning("guesses_braked", prefix=prefix_of(phone), purpose=purpose, per_hour=self._per_prefix)
            self._limits.give_back(mine.name, mine.key, mine.receipt)
            raise

    def settle(self, places: list[_Place], *, is_wrong: bool) -> None:
        """Count the result of a try. :param is_wrong: a code in force was guessed wrong; else nothing counts."""
        for place in places:
            # The same work in both cases: the time of an answer must not tell whether a code is in force.
            self._limits.give_back(place.name, place.key, _NOT_COUNTED if is_wrong else place.receipt)

    def forgive(self, places: list[_Place]) -> None:
        """A try was right: of those that were wrong before, one less counts."""
        for place in places:
            self._limits.forgive(place.name, place.key)

    def _take(self, name: str, key: str, most: int | None, now: datetime) -> _Place:
        return _Place(name, key, self._limits.hit(name, key, most, per_s=HOUR_S, now=now))
