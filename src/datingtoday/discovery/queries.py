"""Reads of profile tables: the only place of discovery that knows them."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import ColumnElement, Engine, Select, and_, event, func, literal, select, true, union_all
from sqlalchemy.engine import Connection
from sqlalchemy.orm import InstrumentedAttribute, Session

from datingtoday.discovery.models_people import SearchGram, SearchName
from datingtoday.discovery.ranking import DETAILS
from datingtoday.profiles.enumerations import NOBODY
from datingtoday.profiles.models import UserInfo, UserLabel, UserStatus
from datingtoday.profiles.visibility import findable

COUNTED_MOST = 1_000
"""Leading filters are compared up to this many people."""

# --- search


@dataclass(frozen=True)
class Leader:
    """A filter by which people can be walked in the order of their ids: an index begins with it and ends with them."""

    user_id: InstrumentedAttribute[int]
    where: ColumnElement[bool]


def everybody() -> Leader:
    return Leader(UserInfo.id, true())


def by_gram(gram: int) -> Leader:
    return Leader(SearchGram.user_id, SearchGram.gram == gram)


def by_label(label_id: int) -> Leader:
    return Leader(UserLabel.user_id, UserLabel.label_id == label_id)


def by_education(education: int) -> Leader:
    return Leader(UserInfo.id, UserInfo.education == education)


def rarest(session: Session, leaders: Sequence[Leader]) -> Leader:
    """The one with the fewest people, looking at `COUNTED_MOST` of each."""
    if len(leaders) == 1:
        return leaders[0]
    counts = []
    for number, leader in enumerate(leaders):
        some = select(leader.user_id).where(leader.where).limit(COUNTED_MOST).subquery()
        counts.append(select(literal(number), func.count()).select_from(some))
    fewest = min(session.execute(union_all(*counts)), key=lambda row: (row[1], row[0]))
    return leaders[fewest[0]]


@dataclass(frozen=True)
class Matching:
    """Which of the leader's people are wanted.

    :param text: a folded part of the nickname.
    """

    viewer_id: int
    text: str | None
    label_id: int | None
    conditions: Sequence[ColumnElement[bool]]
    now: datetime


def conditions(
    *,
    gender: int | None,
    born_until: date | None,
    born_after: date | None,
    height_min: int | None,
    height_max: int | None,
    education: int | None,
    emotion: int | None,
    salary_min: int | None,
) -> list[ColumnElement[bool]]:
    """What a person's row must say; who has not said what is asked for is not found."""
    wanted: list[tuple[Any, InstrumentedAttribute[Any], Callable[[Any, Any], ColumnElement[bool]]]] = [
        (gender, UserInfo.gender, operator.eq),
        (born_until, UserInfo.birthday, operator.le),
        (born_after, UserInfo.birthday, operator.gt),
        (height_min, UserInfo.height, operator.ge),
        (height_max, UserInfo.height, operator.le),
        (education, UserInfo.education, operator.eq),
        (emotion, UserInfo.emotion, operator.eq),
        (salary_min, UserInfo.salary, operator.ge),
    ]
    return [compare(column, value) for value, column, compare in wanted if value is not None]


def last_of_next(session: Session, leader: Leader, start: int, rows: int) -> int | None:
    """The last of the next so many of the leader's people below ``start``; None if there are fewer."""
    walk = select(leader.user_id).where(leader.where, leader.user_id < start)
    return session.scalar(walk.order_by(leader.user_id.desc()).limit(1).offset(rows - 1))


def find(session: Session, leader: Leader, matching: Matching, start: int, end: int, most: int) -> list[int]:
    """The ids of those who match and may be found, from below ``start`` down to ``end``."""
    found = _matching(leader, matching).where(leader.user_id < start, leader.user_id >= end)
    return list(session.scalars(found.order_by(leader.user_id.desc()).limit(most)))


def count(session: Session, leader: Leader, matching: Matching, *, most: int) -> int:
    """How many match and may be found, up to ``most``."""
    some = _matching(leader, matching).limit(most).subquery()
    return session.scalar(select(func.count()).select_from(some)) or 0


def _matching(leader: Leader, matching: Matching) -> Select[int]:
    # In the order in which the tables are to be read: the leader, then single rows by primary key. Left to itself
    # MariaDB may begin with another table, or make all of a subquery first, and look at everybody.
    found = select(leader.user_id).prefix_with("STRAIGHT_JOIN", dialect="mysql")
    found = found.prefix_with("STRAIGHT_JOIN", dialect="mariadb").select_from(leader.user_id.class_)
    if leader.user_id.class_ is not UserInfo:
        found = found.join(UserInfo, UserInfo.id == leader.user_id)
    if matching.text is not None:
        found = found.join(
            SearchName,
            and_(SearchName.user_id == UserInfo.id, func.instr(SearchName.folded, matching.text) > 0),
        )
    if matching.label_id is not None and leader.user_id.class_ is not UserLabel:
        found = found.join(
            UserLabel, and_(UserLabel.user_id == UserInfo.id, UserLabel.label_id == matching.label_id)
        )
    return found.where(
        leader.where,
        *matching.conditions,
        leader.user_id != matching.viewer_id,
        findable(matching.viewer_id, UserInfo, matching.now),
    )


# --- what is derived from people


@dataclass(frozen=True, slots=True)
class PersonFacts:
    """What discovery derives its own rows from."""

    user_id: int
    nickname: str
    gender: int
    sexual: int
    details_given: int
    """How many of `ranking.DETAILS`."""
    create_time: datetime
    is_deleted: bool
    is_hidden: bool
    """From everybody."""

    @classmethod
    def of(cls, person: UserInfo) -> PersonFacts:
        return cls(
            user_id=person.id,
            nickname=person.nickname,
            gender=person.gender or 0,
            sexual=person.sexual or 0,
            details_given=sum(bool(getattr(person, name)) for name in DETAILS) + (person.emotion == 0),
            create_time=person.create_time,
            is_deleted=person.status == UserStatus.DELETED,
            is_hidden=person.authority == NOBODY,
        )


PersonListener = Callable[[Connection, PersonFacts, bool], None]
_listeners: WeakKeyDictionary[Engine, PersonListener] = WeakKeyDictionary()


def on_person_written(engine: Engine, listener: PersonListener) -> None:
    """Call ``listener(connection, facts, is_new)`` whenever a person's row is written through the ORM on this engine,
    within the same transaction: what it derives can never disagree with what was committed.
    """
    _listeners[engine] = listener


@event.listens_for(UserInfo, "after_insert")
def _person_inserted(_mapper: Any, connection: Connection, person: UserInfo) -> None:
    if listener := _listeners.get(connection.engine):
        listener(connection, PersonFacts.of(person), True)


@event.listens_for(UserInfo, "after_update")
def _person_updated(_mapper: Any, connection: Connection, person: UserInfo) -> None:
    if listener := _listeners.get(connection.engine):
        listener(connection, PersonFacts.of(person), False)


def next_people(session: Session, after_id: int, most: int) -> list[PersonFacts]:
    """The next people by id, none of whom anybody else can change until the transaction ends."""
    rows = select(UserInfo).where(UserInfo.id > after_id).order_by(UserInfo.id).limit(most).with_for_update()
    return [PersonFacts.of(row) for row in session.scalars(rows)]
