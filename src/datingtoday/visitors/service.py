"""Visitors: recorded by the worker, listed for VIPs, counted for everybody."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence, Set
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from sqlalchemy import func, select, update
from sqlalchemy.dialects import mysql, sqlite
from sqlalchemy.orm import Session

from datingtoday.infra.db import Database, on_commit
from datingtoday.infra.paired import paired
from datingtoday.infra.streams import Appender, Entry, Stream, Streams
from datingtoday.profiles.cards.entries import Cards
from datingtoday.profiles.service import ProfileVisited
from datingtoday.profiles.visibility import Visibility, findable_id
from datingtoday.protocol.envelope import ReadyJson, to_json
from datingtoday.protocol.paging import Cursors, PageRequest, Total, count_up_to_most, newest_first
from datingtoday.vip.errors import VipRequired
from datingtoday.visitors.models import Visitor, VisitStatus
from datingtoday.visitors.push_events import VisitorPush

LIST_NAME = "visitors"
_READ_AT_ONCE = 500
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Visits(NamedTuple):
    """Visits to add to the row of a pair."""

    user_id: int
    visitor_id: int
    visits: int
    visit_time: datetime


class VisitorCount(NamedTuple):
    """Visitors of a profile, and how many of them its owner has not seen in the list; each up to `MAX_TOTAL`."""

    total: Total
    unread: int

    def form(self) -> dict[str, object]:
        """The answer of `visitor/count`."""
        more = {"total_more": True} if self.total.more else {}
        return {"total": self.total.number, **more, "unread": self.unread}


class Visitors:
    """The rules of visitors.

    A visit is recorded if the visitor is not stealthy and neither is hidden from the other, all of it as it is when it
    happens. The list shows of them those whom the owner of the profile may find when it is read.
    """

    def __init__(
        self,
        database: Database,
        streams: Streams,
        push: VisitorPush,
        visibility: Visibility,
        cards: Cards,
        cursors: Cursors,
    ) -> None:
        self._database = database
        self._push = push
        self._visibility = visibility
        self._cards = cards
        self._cursors = cursors
        self._appender: Appender = streams.register(Stream("visits", self.write))

    # --- recording

    def visited(self, event: ProfileVisited) -> None:
        """Listener: a profile was shown; after the answer's transaction."""
        if event.is_listed:
            self._appender.append([event.user_id, event.visitor_id, (event.at - _EPOCH) // _MICROSECOND])

    def write(self, session: Session, entries: Sequence[Entry]) -> None:
        """Write a batch in one statement, and tell the owners of the profiles after the commit."""
        rows = [{**visits._asdict(), "status": VisitStatus.UNREAD.value} for visits in fold(entries)]
        if session.get_bind().dialect.name == "sqlite":
            new = sqlite.insert(Visitor)
            session.execute(
                new.on_conflict_do_update(
                    index_elements=[Visitor.user_id, Visitor.visitor_id],
                    set_={
                        "visits": Visitor.visits + new.excluded.visits,
                        "visit_time": func.max(Visitor.visit_time, new.excluded.visit_time),
                        "status": new.excluded.status,
                    },
                ).values(rows)
            )
        else:
            # `inserted` becomes what the server understands: MySQL names the new row, MariaDB does not.
            insert = mysql.insert(Visitor).values(rows)
            session.execute(
                insert.on_duplicate_key_update(
                    visits=Visitor.visits + insert.inserted.visits,
                    visit_time=func.greatest(Visitor.visit_time, insert.inserted.visit_time),
                    status=insert.inserted.status,
                )
            )
        owners = sorted({row["user_id"] for row in rows})
        on_commit(session, lambda: self._push.tell(owners))

    def has_seen(self, session: Session, viewer_id: int, target_ids: Collection[int]) -> Set[int]:
        """The people, of these, whose profile the viewer has visited."""
        seen = select(Visitor.user_id).where(
            Visitor.user_id.in_(sorted(target_ids)), Visitor.visitor_id == viewer_id
        )
        return set(session.scalars(seen))

    # --- reading

    def count(self, session: Session, user_id: int) -> VisitorCount:
        """Counts two ranges of indexes, of which no more than `MAX_TOTAL` rows each are looked at."""
        return count_visitors(session, user_id)

    def list(self, session: Session, user_id: int, page: PageRequest, now: datetime) -> ReadyJson:
        """A page of the visitors whom the person may find now, the latest first.

        The first page marks every visit up to now as read, in a transaction of its own after this one; it shows the
        status from before.

        :raises VipRequired: with nothing that tells who. :raises ParameterError: the cursor is not one of this list.
        """
        if not self._visibility.is_vip(session, user_id, now):
            raise VipRequired
        matching = select(Visitor.visit_time, Visitor.visitor_id, Visitor.visits, Visitor.status).where(
            Visitor.user_id == user_id, findable_id(Visitor.visitor_id, user_id, now)
        )
        found = newest_first(
            session, matching, Visitor.visit_time, Visitor.visitor_id, page, self._cursors, LIST_NAME, user_id
        )
        cards = self._cards.of(user_id, [row.visitor_id for row in found.rows], now)
        items = [
            to_json(
                {
                    "peer": card,
                    "visit_time": row.visit_time,
                    "visits": row.visits,
                    "status": row.status,
                }
            )
            for row, card in paired(found.rows, cards)
        ]
        if page.cursor is None and page.offset == 0:
            on_commit(session, lambda: self._mark_read(user_id, now))
        return found.answer(items)

    def _mark_read(self, user_id: int, now: datetime) -> None:
        """In small transactions, which lock rows in the order in which recording does."""
        while self._database.retried(lambda session: _mark_some(session, user_id, now)):
            pass


def fold(entries: Iterable[Entry]) -> list[Visits]:
    """Visits by pair: how many, and when the last one was; in the order in which rows are locked."""
    pairs: dict[tuple[int, int], tuple[int, int]] = {}
    for user_id, visitor_id, at_us in entries:
        visits, last_us = pairs.get((user_id, visitor_id), (0, at_us))
        pairs[user_id, visitor_id] = visits + 1, max(last_us, at_us)
    return [
        Visits(*pair, visits, _EPOCH + last_us * _MICROSECOND)
        for pair, (visits, last_us) in sorted(pairs.items())
    ]


def count_visitors(session: Session, user_id: int) -> VisitorCount:
    """See `Visitors.count`."""
    of_user = select(Visitor.visitor_id).where(Visitor.user_id == user_id)
    unread = count_up_to_most(session, of_user.where(Visitor.status == VisitStatus.UNREAD.value))
    return VisitorCount(count_up_to_most(session, of_user), unread.number)


def _mark_some(session: Session, user_id: int, now: datetime) -> int:
    is_unread = (
        (Visitor.user_id == user_id)
        & (Visitor.status == VisitStatus.UNREAD.value)
        & (Visitor.visit_time <= now)
    )
    some = select(Visitor.visitor_id).where(is_unread).order_by(Visitor.visitor_id).limit(_READ_AT_ONCE)
    ids = session.scalars(some).all()
    if ids:
        session.execute(
            update(Visitor)
            .where(is_unread, Visitor.visitor_id.in_(ids))
            .values(status=VisitStatus.READ.value)
            .execution_options(synchronize_session=False)
        )
    return len(ids)
