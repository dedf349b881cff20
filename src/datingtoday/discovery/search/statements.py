"""Reads of profile tables: the only place of discovery that knows them."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto
from functools import cache, lru_cache
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from sqlalchemy import (
    ColumnElement,
    CompoundSelect,
    Engine,
    Integer,
    Select,
    and_,
    bindparam,
    event,
    func,
    literal,
    select,
    union_all,
)
from sqlalchemy.engine import Connection
from sqlalchemy.orm import InstrumentedAttribute, Session

from datingtoday.discovery.hot.ranking import DETAILS
from datingtoday.discovery.models_people import SearchGram, SearchName
from datingtoday.profiles.enumerations import NOBODY
from datingtoday.profiles.models import UserInfo, UserLabel, UserStatus
from datingtoday.profiles.visibility import findable

MAX_COUNTED = 1_000
"""Leading filters are compared up to this many people."""
_MAX_SHAPES = 500
"""Statements that a process keeps, one for each combination of filters."""

# --- search
#
# Making a statement costs more than most of these take to run: each is made once for what is asked for, and run with
# the values.


class LeaderKind(Enum):
    """Filters by which people can be walked in the order of their ids: an index begins with one and ends with them."""

    EVERYBODY = auto()
    GRAM = auto()
    LABEL = auto()
    EDUCATION = auto()


class Leader(NamedTuple):
    """One of them, with its value."""

    kind: LeaderKind
    value: int | None = None


_LED: Mapping[LeaderKind, tuple[InstrumentedAttribute[int], InstrumentedAttribute[Any] | None]] = {
    LeaderKind.EVERYBODY: (UserInfo.id, None),
    LeaderKind.GRAM: (SearchGram.user_id, SearchGram.gram),
    LeaderKind.LABEL: (UserLabel.user_id, UserLabel.label_id),
    LeaderKind.EDUCATION: (UserInfo.id, UserInfo.education),
}
"""The people of a leader, and the column that has its value."""

_CONDITIONS: Mapping[str, tuple[InstrumentedAttribute[Any], Callable[[Any, Any], ColumnElement[bool]]]] = {
    "gender": (UserInfo.gender, operator.eq),
    "born_until": (UserInfo.birthday, operator.le),
    "born_after": (UserInfo.birthday, operator.gt),
    "height_min": (UserInfo.height, operator.ge),
    "height_max": (UserInfo.height, operator.le),
    "education": (UserInfo.education, operator.eq),
    "emotion": (UserInfo.emotion, operator.eq),
    "salary_min": (UserInfo.salary, operator.ge),
}
"""What a person's row must say; who has not said what is asked for is not found."""


def rarest(session: Session, leaders: Sequence[Leader]) -> Leader:
    """The one with the fewest people, looking at `MAX_COUNTED` of each."""
    if len(leaders) == 1:
        return leaders[0]
    values = {f"value{number}": leader.value for number, leader in enumerate(leaders)}
    counts = session.execute(_counts(tuple(leader.kind for leader in leaders)), values)
    fewest = min(counts, key=lambda row: (row[1], row[0]))
    return leaders[int(fewest[0])]


@cache
def _counts(kinds: tuple[LeaderKind, ...]) -> CompoundSelect[*tuple[Any, ...]]:
    counts = []
    for number, kind in enumerate(kinds):
        some = _led_by(kind, f"value{number}").limit(MAX_COUNTED).subquery()
        counts.append(select(literal(number), func.count()).select_from(some))
    return union_all(*counts)


def _led_by(kind: LeaderKind, value: str = "value") -> Select[int]:
    """:param value: the name of the bound parameter."""
    user_id, column = _LED[kind]
    walk = select(user_id)
    return walk if column is None else walk.where(column == bindparam(value))


@dataclass(frozen=True)
class Matching:
    """Which of the leader's people are wanted.

    :param text: a folded part of the nickname. :param values: by the names of `_CONDITIONS`; None: anything.
    """

    viewer_id: int
    text: str | None
    label_id: int | None
    values: Mapping[str, Any]
    now: datetime

    def bound(self, leader: Leader) -> dict[str, Any]:
        """The values of the bound parameters."""
        return {
            **self.values,
            "value": leader.value,
            "viewer": self.viewer_id,
            "now": self.now,
            "text": self.text,
            "label": self.label_id,
        }


def last_of_next(session: Session, leader: Leader, start: int, rows: int) -> int | None:
    """The last of the next so many of the leader's people below ``start``; None if there are fewer."""
    return session.scalar(
        _last_of_next(leader.kind), {"value": leader.value, "start": start, "skipped": rows - 1}
    )


@cache
def _last_of_next(kind: LeaderKind) -> Select[int]:
    user_id, _ = _LED[kind]
    walk = _led_by(kind).where(user_id < bindparam("start")).order_by(user_id.desc())
    return walk.limit(1).offset(bindparam("skipped", type_=Integer))


def find(session: Session, leader: Leader, matching: Matching, start: int, end: int, most: int) -> list[int]:
    """The ids of those who match and may be found, from below ``start`` down to ``end``."""
    bound = {**matching.bound(leader), "start": start, "end": end, "most": most}
    return list(session.scalars(_finding(_shape(leader, matching)), bound))


def count(session: Session, leader: Leader, matching: Matching, *, most: int) -> int:
    """How many match and may be found, up to ``most``."""
    bound = {**matching.bound(leader), "most": most}
    return session.scalar(_counting(_shape(leader, matching)), bound) or 0


class _Shape(NamedTuple):
    """What decides about the text of a statement."""

    leader: LeaderKind
    conditions: tuple[str, ...]
    with_text: bool
    with_label: bool


def _shape(leader: Leader, matching: Matching) -> _Shape:
    conditions = tuple(name for name in _CONDITIONS if matching.values.get(name) is not None)
    return _Shape(leader.kind, conditions, matching.text is not None, matching.label_id is not None)


@lru_cache(maxsize=_MAX_SHAPES)
def _finding(shape: _Shape) -> Select[int]:
    user_id, _ = _LED[shape.leader]
    found = _matching(shape).where(user_id < bindparam("start"), user_id >= bindparam("end"))
    return found.order_by(user_id.desc()).limit(bindparam("most", type_=Integer))


@lru_cache(maxsize=_MAX_SHAPES)
def _counting(shape: _Shape) -> Select[int]:
    some = _matching(shape).limit(bindparam("most", type_=Integer)).subquery()
    return select(func.count()).select_from(some)


def _matching(shape: _Shape) -> Select[int]:
    # In the order in which the tables are to be read: the leader, then single rows by primary key. Left to itself
    # MariaDB may begin with another table, or make all of a subquery first, and look at everybody.
    user_id, _ = _LED[shape.leader]
    found = _led_by(shape.leader).prefix_with("STRAIGHT_JOIN", dialect="mysql")
    found = found.prefix_with("STRAIGHT_JOIN", dialect="mariadb").select_from(user_id.class_)
    if user_id.class_ is not UserInfo:
        found = found.join(UserInfo, UserInfo.id == user_id)
    if shape.with_text:
        is_part = func.instr(SearchName.folded, bindparam("text")) > 0
        found = found.join(SearchName, and_(SearchName.user_id == UserInfo.id, is_part))
    if shape.with_label and user_id.class_ is not UserLabel:
        is_chosen = UserLabel.label_id == bindparam("label")
        found = found.join(UserLabel, and_(UserLabel.user_id == UserInfo.id, is_chosen))
    asked = ((name, *_CONDITIONS[name]) for name in shape.conditions)
    return found.where(
        *(compare(column, bindparam(name)) for name, column, compare in asked),
        user_id != bindparam("viewer"),
        findable(bindparam("viewer"), bindparam("now")),
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
