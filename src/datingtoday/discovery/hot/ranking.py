"""Weights of attention, and their decay: what makes a person hot.

Attention halves with every half-life. Instead of letting all scores fade as time goes by, newer attention weighs more:
on a day d it is worth ``2 ** (d / half-life)`` times as much as on the landmark day. The order is the same at any
moment, and nobody's score has to be touched because time passes (forward decay). These sums would soon be beyond any
number, so what is kept is their binary logarithm, the *level*: it grows by one with each half-life.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import UTC, date, datetime
from enum import IntEnum

LANDMARK = date(2026, 1, 1)


class Attention(IntEnum):
    """Kinds of attention, with their weight for the person who receives it."""

    VISIT = 1
    ACTIVE = 2
    """Using the app on a day: counts for the user."""
    FOLLOW = 3
    CONTACT = 4
    """The first message."""


NEWCOMER = 20
"""Points of a new user: as if that much attention had come on the day of registration."""
DETAILS = ("avatar", "intro", "birthday", "height", "education", "salary", "emotion", "gender")
"""Columns of a complete profile."""

GENDERS = (0, 1, 2)
SHELVES = tuple(range(9))


def day_of(moment: datetime) -> int:
    """The UTC day, counted from the landmark; negative before it."""
    return (moment.astimezone(UTC).date() - LANDMARK).days


class ForwardDecay:
    """Levels for one half-life."""

    def __init__(self, half_life_days: float) -> None:
        self.half_life_days = half_life_days

    def level(self, weight: float, day: int) -> float:
        """Level of attention given on one day; ``weight`` is above 0."""
        return math.log2(weight) + day / self.half_life_days

    def add(self, level: float, weight: float, day: int) -> float:
        """The level after more attention came."""
        low, high = sorted((level, self.level(weight, day)))
        return high + math.log2(1 + 2.0 ** (low - high))

    def total(self, days: Iterable[tuple[int, float]]) -> float:
        """The level of attention by (day, weight); at least one."""
        levels = [self.level(weight, day) for day, weight in days]
        highest = max(levels)
        return highest + math.log2(math.fsum(2.0 ** (level - highest) for level in levels))

    def worth(self, level: float, day: int) -> float:
        """Value of a level on a day, in visits of that day."""
        return float(2.0 ** (level - day / self.half_life_days))


def completeness_bonus(details_given: int) -> float:
    """In levels: a complete profile counts twice as much as an empty one."""
    return math.log2(1 + details_given / len(DETAILS))


def shelf_of(gender: int, sexual: int) -> int:
    """People with the same gender who want the same gender stand together."""
    return gender * 3 + sexual


def shelves_for(gender: int, sexual: int) -> tuple[int, ...]:
    """The shelves that fit a viewer: who has the wanted gender and wants the viewer's, as far as each is set."""
    return tuple(
        shelf_of(its_gender, its_wanted)
        for its_gender in GENDERS
        for its_wanted in GENDERS
        if (sexual == 0 or its_gender == sexual) and (gender == 0 or its_wanted in (0, gender))
    )
