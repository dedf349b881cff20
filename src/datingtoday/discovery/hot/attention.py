"""Attention on its way from what people do to the scores: noted after the commit, counted by the worker in batches."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from sqlalchemy.orm import Session

from datingtoday.discovery.hot.ranking import Attention, day_of
from datingtoday.discovery.hot.scores import Given, HotScores
from datingtoday.infra.bounded_memory import BoundedMemory
from datingtoday.infra.streams import Appender, Entry, Stream, Streams
from datingtoday.profiles.follows import Followed
from datingtoday.profiles.service import FirstActiveToday, ProfileVisited

_MAX_REMEMBERED = 50_000
_REMEMBERED_S = 600
"""After it the same is noted again: what Redis lost before the worker read it counts then."""


class AttentionListener:
    """Hears what happens and lets it be counted.

    Each process remembers some of what it noted in the last minutes: seeing the same profile again costs nothing. What
    counts is decided where it is counted, in SQL.
    """

    def __init__(self, streams: Streams, scores: HotScores) -> None:
        self._scores = scores
        self._remembered = BoundedMemory[tuple[int, int, Attention, int], float](
            "noted attention", _MAX_REMEMBERED
        )
        self._appender: Appender = streams.register(Stream("attention", self.write))

    def visited(self, event: ProfileVisited) -> None:
        """Visits of the stealthy leave no trace, not here either: they are not announced."""
        self.note(event.user_id, event.visitor_id, Attention.VISIT, event.at)

    def followed(self, event: Followed) -> None:
        self.note(event.peer_id, event.user_id, Attention.FOLLOW, event.at)

    def active(self, event: FirstActiveToday) -> None:
        self.note(event.user_id, event.user_id, Attention.ACTIVE, event.at)

    def note(self, user_id: int, peer_id: int, kind: Attention, now: datetime) -> None:
        """``peer_id`` did this for ``user_id``; chat calls it for first messages, after their commit."""
        if (user_id == peer_id) is not (kind == Attention.ACTIVE):
            return
        day, now_s = day_of(now), now.timestamp()
        what = (user_id, peer_id, kind, day)
        noted_s = self._remembered.get(what)
        if noted_s is not None and 0 <= now_s - noted_s < _REMEMBERED_S:
            return
        self._remembered.put(what, now_s)
        self._appender.append([user_id, day, peer_id, int(kind), int(now_s)])

    def write(self, session: Session, entries: Sequence[Entry]) -> None:
        """Count a batch; right also where some of it was counted before."""
        self._scores.note_all(session, fold(entries))


def fold(entries: Iterable[Entry]) -> list[Given]:
    """The most of what each person did for each other one on a day, in the order in which rows are locked."""
    most: dict[tuple[int, int, int], tuple[int, int]] = {}
    for user_id, day, peer_id, kind, at_s in entries:
        key = (user_id, day, peer_id)
        known_kind, known_s = most.get(key, (kind, at_s))
        most[key] = max(kind, known_kind), max(at_s, known_s)
    return [
        Given(*key, Attention(kind), datetime.fromtimestamp(at_s, UTC))
        for key, (kind, at_s) in sorted(most.items())
    ]
