"""Attention that people receive, counted in SQL: who counted for whom on which day, and what became of it.

Everybody counts at most once a day for another person, with the most that they did that day and with a weight of their
own (`givers.py`), and for each person at most N different ones a day. These bounds are what one account, or a swarm of
them, can do for another.
"""

from __future__ import annotations

from datetime import datetime

import structlog
from sqlalchemy.orm import Session

from datingtoday.discovery.hot.givers import GiverWeights
from datingtoday.discovery.hot.models import HotAttention, HotDay, HotPerson
from datingtoday.discovery.hot.ranking import Attention, ForwardDecay, day_of
from datingtoday.infra.bounded_memory import BoundedMemory
from datingtoday.infra.db import Database
from datingtoday.infra.personal_data import remove_some
from datingtoday.infra.redis import RedisDown, RedisRole
from datingtoday.profiles.follows import Followed
from datingtoday.profiles.service import FirstActiveToday, ProfileVisited
from datingtoday.profiles.visibility import Visibility

log = structlog.get_logger(__name__)

ATTENTION_KEPT_DAYS = 2
HALF_LIVES_KEPT = 12
"""After them a day's attention is worth less than a four-thousandth."""
_SEEN_S = 86_400
_MAX_REMEMBERED = 50_000


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

        Locks the person's place, so of several at the same time each sees what the others counted.
        """
        weight = 1.0
        if kind is not Attention.ACTIVE:
            weight = self._givers.weights(session, [peer_id], now)[peer_id]
            if weight == 0:
                return False
        place = session.get(HotPerson, user_id, with_for_update=True, populate_existing=True)
        if place is None:
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
        place.attention = self.decay.add(place.attention, gained, day)
        place.score = place.attention + place.bonus
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


class AttentionListener:
    """Hears what happens and lets it be counted, in a transaction of its own after the one that it happened in.

    :param redis: the cache role remembers what was counted today, so that seeing the same profile again costs SQL
        nothing; each process remembers some of that by itself, so that it costs Redis nothing. SQL decides.
    """

    def __init__(
        self, database: Database, redis: RedisRole, scores: HotScores, visibility: Visibility
    ) -> None:
        self._database = database
        self._redis = redis
        self._scores = scores
        self._visibility = visibility
        self._remembered = BoundedMemory[str, bool]("counted attention", _MAX_REMEMBERED)

    def visited(self, event: ProfileVisited) -> None:
        """Visits of the stealthy leave no trace, not here either."""
        self.note(event.user_id, event.visitor_id, Attention.VISIT, event.at)

    def followed(self, event: Followed) -> None:
        self.note(event.peer_id, event.user_id, Attention.FOLLOW, event.at)

    def active(self, event: FirstActiveToday) -> None:
        self.note(event.user_id, event.user_id, Attention.ACTIVE, event.at)

    def note(self, user_id: int, peer_id: int, kind: Attention, now: datetime) -> None:
        """Count it, if it does; for first messages chat calls this."""
        if (user_id == peer_id) is not (kind == Attention.ACTIVE):
            return
        key = f"hot:counted:{day_of(now)}:{user_id}:{peer_id}:{kind.value}"
        if self._is_counted(key):
            return

        def work(session: Session) -> None:
            is_visit = kind == Attention.VISIT
            if not (is_visit and self._visibility.is_stealthy(session, peer_id, now)):
                self._scores.note(session, user_id, peer_id, kind, now)

        self._database.retried(work)
        # Not before: what SQL refused must be counted when it happens again.
        self._remember(key)

    def _is_counted(self, key: str) -> bool:
        if self._remembered.get(key):
            return True
        try:
            is_counted = bool(self._redis.execute("EXISTS", key))
        except RedisDown:
            return False
        if is_counted:
            self._keep(key)
        return is_counted

    def _remember(self, key: str) -> None:
        try:
            self._redis.execute("SET", key, b"1", "EX", _SEEN_S)
        except RedisDown as error:
            log.info("attention_not_remembered", reason=str(error))
        self._keep(key)

    def _keep(self, key: str) -> None:
        self._remembered.put(key, True)
