"""Weights of givers: how much the attention that an account gives counts for others.

A fresh account counts nothing, so no number of them moves anybody. An account counts in full once it has existed for
some weeks and was used on several days, and less on a day on which it gives attention to very many people.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from datingtoday.discovery.hot.models import HotAttention, HotDay
from datingtoday.discovery.hot.ranking import day_of

FULL_AGE_FACTOR = 4
"""An account counts in full at this multiple of the age at which it begins to count."""
MIN_ACTIVE_DAYS = 2
"""Used on no more days than these: counts nothing."""
FULL_ACTIVE_DAYS = 8
FULL_PEOPLE_PER_DAY = 50
"""Given to more people on a day, all of them together get no more than so many would in full."""
_STEPS = 64
"""Weights are multiples of 1/64, so that sums of them are exact and do not depend on their order."""
_DAY_S = 86_400

RegisteredAt = Callable[[Session, Collection[int]], Mapping[int, datetime]]
"""Tells when people registered; those who do not exist are left out."""


class GiverWeights:
    """Reads what accounts have done and tells their weights.

    :param min_age_days: younger accounts count nothing; 0: every account counts in full at once.
    """

    def __init__(self, min_age_days: int, registered_at: RegisteredAt) -> None:
        self._min_age_days = min_age_days
        self._registered_at = registered_at

    def weights(self, session: Session, giver_ids: Collection[int], now: datetime) -> dict[int, float]:
        """Weights from 0 to 1 by user id; 0 for an account that does not exist. Locks nothing."""
        if self._min_age_days == 0:
            standing = dict.fromkeys(giver_ids, 1.0)
        else:
            active = self._active_days(session, giver_ids)
            standing = dict.fromkeys(giver_ids, 0.0) | {
                user_id: self._standing((now - since).total_seconds() / _DAY_S, active[user_id])
                for user_id, since in self._registered_at(session, giver_ids).items()
            }
        given = self._given_today(session, [user_id for user_id in giver_ids if standing[user_id]], now)
        return {
            user_id: _in_steps(weight * min(1.0, FULL_PEOPLE_PER_DAY / (given[user_id] + 1)))
            for user_id, weight in standing.items()
        }

    def _standing(self, age_days: float, active_days: int) -> float:
        growing_days = self._min_age_days * (FULL_AGE_FACTOR - 1)
        by_age = (age_days - self._min_age_days) / growing_days
        by_activity = (active_days - MIN_ACTIVE_DAYS) / (FULL_ACTIVE_DAYS - MIN_ACTIVE_DAYS)
        return min(1.0, max(0.0, by_age), max(0.0, by_activity))

    @staticmethod
    def _active_days(session: Session, user_ids: Collection[int]) -> Counter[int]:
        days = select(HotDay.user_id, func.count()).where(HotDay.user_id.in_(user_ids), HotDay.active)
        return Counter(dict(session.execute(days.group_by(HotDay.user_id)).all()))

    @staticmethod
    def _given_today(session: Session, user_ids: Collection[int], now: datetime) -> Counter[int]:
        if not user_ids:
            return Counter()
        given = select(HotAttention.peer_id, func.count()).where(
            HotAttention.peer_id.in_(user_ids),
            HotAttention.day == day_of(now),
            HotAttention.user_id != HotAttention.peer_id,
        )
        return Counter(dict(session.execute(given.group_by(HotAttention.peer_id)).all()))


def _in_steps(weight: float) -> float:
    return math.floor(weight * _STEPS) / _STEPS
