"""Attention that people receive, counted in SQL: who counted for whom on which day, and what became of it.

Everybody counts at most once a day for another person, with the most that they did that day and with a weight of their
own (`givers.py`), and for each person at most N different ones a day. These bounds are what one account, or a swarm of
them, can do for another.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import select, tuple_
from sqlalchemy.orm import Session

from datingtoday.discovery.hot.givers import GiverWeights
from datingtoday.discovery.hot.models import HotAttention, HotDay, HotPerson
from datingtoday.discovery.hot.ranking import Attention, ForwardDecay, day_of
from datingtoday.infra.personal_data import remove_some

ATTENTION_KEPT_DAYS = 2
HALF_LIVES_KEPT = 12
"""After them a day's attention is worth less than a four-thousandth."""


class Given(NamedTuple):
    """The most that one person did for another on a UTC day, counted from the landmark."""

    user_id: int
    day: int
    peer_id: int
    kind: Attention
    at: datetime


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
        return self.note_all(session, [Given(user_id, day_of(now), peer_id, kind, now)]) == 1

    def note_all(self, session: Session, batch: Sequence[Given]) -> int:
        """`note` of many, in few statements; how many count. Of each pair and day there is one at most."""
        if not batch:
            return 0
        chosen = sorted({given.user_id for given in batch})
        rankings = {
            ranking.user_id: ranking
            for ranking in session.scalars(
                select(HotPerson)
                .where(HotPerson.user_id.in_(chosen))
                .order_by(HotPerson.user_id)
                .with_for_update()
                .execution_options(populate_existing=True)
            )
        }
        counted = 0
        for part in with_each_giver_once(batch):
            counted += self._note_part(session, part, rankings)
        return counted

    def _note_part(self, session: Session, part: Sequence[Given], rankings: Mapping[int, HotPerson]) -> int:
        """:param part: each giver stands in it once, so what they give here does not weigh on the rest of it."""
        givers = {given.peer_id for given in part if given.kind is not Attention.ACTIVE}
        now = max(given.at for given in part)
        weights = self._givers.weights(session, sorted(givers), now) if givers else {}
        days, known = self._rows_of(session, part)
        counted = 0
        for given in part:
            weight = 1.0 if given.kind is Attention.ACTIVE else weights[given.peer_id]
            ranking = rankings.get(given.user_id)
            if ranking is None or weight == 0:
                continue
            if (given.user_id, given.day) not in days:
                new = HotDay(user_id=given.user_id, day=given.day, weight=0, people=0, active=False)
                days[given.user_id, given.day] = new
                session.add(new)
            today = days[given.user_id, given.day]
            counted += self._count(session, given, weight, ranking, today, known.get(given[:3]))
        return counted

    @staticmethod
    def _rows_of(
        session: Session, part: Sequence[Given]
    ) -> tuple[dict[tuple[int, int], HotDay], dict[tuple[int, int, int], HotAttention]]:
        fresh = {"populate_existing": True}
        by_day = tuple_(HotDay.user_id, HotDay.day).in_(sorted({given[:2] for given in part}))
        days = session.scalars(select(HotDay).where(by_day).execution_options(**fresh))
        key = tuple_(HotAttention.user_id, HotAttention.day, HotAttention.peer_id)
        rows = session.scalars(
            select(HotAttention).where(key.in_([given[:3] for given in part])).execution_options(**fresh)
        )
        return (
            {(row.user_id, row.day): row for row in days},
            {(row.user_id, row.day, row.peer_id): row for row in rows},
        )

    def _count(
        self,
        session: Session,
        given: Given,
        weight: float,
        ranking: HotPerson,
        today: HotDay,
        counted: HotAttention | None,
    ) -> bool:
        if given.kind is Attention.ACTIVE:
            today.active = True
        if counted is None:
            if today.people >= (self._people_per_day if weight == 1 else self._people_per_day // 2):
                return False
            counted = HotAttention(user_id=given.user_id, day=given.day, peer_id=given.peer_id, weight=0)
            session.add(counted)
            today.people += 1
        gained = int(given.kind) * weight - counted.weight
        if gained <= 0:
            return False
        counted.weight += gained
        today.weight += gained
        ranking.attention = self.decay.add(ranking.attention, gained, given.day)
        ranking.score = ranking.attention + ranking.bonus
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


def with_each_giver_once(batch: Sequence[Given]) -> Iterator[list[Given]]:
    """Parts of a batch. What a giver has given before weighs on what they give next, so it has to be in SQL by then."""
    rest = list(batch)
    while rest:
        seen: set[int] = set()
        part: list[Given] = []
        later: list[Given] = []
        for given in rest:
            (later if given.peer_id in seen else part).append(given)
            seen.add(given.peer_id)
        yield part
        rest = later
