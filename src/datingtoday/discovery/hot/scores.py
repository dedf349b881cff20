"""Attention that people receive, counted in SQL: who counted for whom on which day, and what became of it.

Everybody counts at most once a day for another person, with the most that they did that day and with a weight of their
own (`givers.py`), and for each person at most N different ones a day. These bounds are what one account, or a swarm of
them, can do for another.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.orm import Session

from datingtoday.discovery.hot.givers import GiverWeights
from datingtoday.discovery.hot.models import HotAttention, HotDay, HotPerson
from datingtoday.discovery.hot.ranking import Attention, ForwardDecay, day_of
from datingtoday.infra.personal_data import remove_some

ATTENTION_KEPT_DAYS = 2
HALF_LIVES_KEPT = 12
"""After them a day's attention is worth less than a four-thousandth."""


class HotScores:
    """The rules of counting.

    :param people_per_day: how many different people count for one person on one day. Those who do not count in full
        take at most half of these places: they cannot keep the others out.
    """

    def __init__(self, decay: ForwardDecay, givers: GiverWeights, *, people_per_day: int) -> None:
        self.decay = decay
        self._givers = givers
        self._people_per_day = people_per_day

    def note(self, session: Session, user_id: int, peer_id: int, kind: Attention, now: datetime) -> bool:
        """``peer_id`` did this for ``user_id``; whether it counts.

        Locks the person's ranking, so of several at the same time each sees what the others counted.
        """
        weight = 1.0
        if kind is not Attention.ACTIVE:
            weight = self._givers.weights(session, [peer_id], now)[peer_id]
            if weight == 0:
                return False
        ranking = session.get(HotPerson, user_id, with_for_update=True, populate_existing=True)
        if ranking is None:
            return False
        day = day_of(now)
        today = session.get(HotDay, (user_id, day), populate_existing=True)
        counted = session.get(HotAttention, (user_id, day, peer_id), populate_existing=True)
        if today is None:
            today = HotDay(user_id=user_id, day=day, weight=0, people=0, active=False)
            session.add(today)
        if kind is Attention.ACTIVE:
            today.active = True
        if counted is None:
            if today.people >= (self._people_per_day if weight == 1 else self._people_per_day // 2):
                return False
            counted = HotAttention(user_id=user_id, day=day, peer_id=peer_id, weight=0)
            session.add(counted)
            today.people += 1
        gained = int(kind) * weight - counted.weight
        if gained <= 0:
            return False
        counted.weight += gained
        today.weight += gained
        ranking.attention = self.decay.add(ranking.attention, gained, day)
        ranking.score = ranking.attention + ranking.bonus
        session.flush()
        return True

    def remove_old(self, session: Session, now: datetime, *, most: int) -> int:
        """Rows of days that are over: who counted, and what is worth nothing any more; how many went."""
        removed = 0
        last_day = day_of(now) - int(HALF_LIVES_KEPT * self.decay.half_life_days)
        tables: list[tuple[type[HotAttention | HotDay], int]] = [
            (HotAttention, day_of(now) - ATTENTION_KEPT_DAYS),
            (HotDay, last_day),
        ]
        for table, before in tables:
            removed += remove_some(session, table, table.day < before, most)
        return removed
