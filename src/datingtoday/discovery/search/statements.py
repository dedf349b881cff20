"""SQL statements of the search.

Making a statement costs more than most of these take to run: each is made once for a combination of filters, and run
with the values.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto
from functools import cache, lru_cache
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    CompoundSelect,
    Integer,
    Select,
    and_,
    bindparam,
    func,
    literal,
    select,
    union_all,
)
from sqlalchemy.orm import InstrumentedAttribute, Session

from datingtoday.discovery.search.models import SearchGram, SearchName
from datingtoday.profiles.models import UserInfo, UserLabel
from datingtoday.profiles.visibility import findable
from datingtoday.protocol.fields import MAX_ID

ABOVE_ALL = MAX_ID + 1
"""The start of a walk: above the highest id."""
MAX_COUNTED = 1_000
"""Leading filters are compared up to this many people."""
_MAX_SHAPES = 500
"""Statements that a process keeps, one for each combination of filters."""


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
"""Conditions on a person's row; people whose profile lacks the value are not found."""


def rarest(session: Session, leaders: Sequence[Leader]) -> Leader:
    """The one with the fewest people, looking at `MAX_COUNTED` of each."""
    if len(leaders) == 1:
        return leaders[0]
    values = {f"value{number}": leader.value for number, leader in enumerate(leaders)}
    counts = session.execute(_counts(tuple(leader.kind for leader in leaders)), values)
    _, first = min((people, number) for number, people in counts)
    return leaders[int(first)]


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


@dataclass(frozen=True, slots=True)
class Matching:
    """Conditions on the leader's people.

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
    """The last of the next ``rows`` of the leader's people below ``start``; None if there are fewer."""
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
    """Count the people who match and may be found, up to ``most``."""
    bound = {**matching.bound(leader), "most": most}
    return session.scalars(_counting(_shape(leader, matching)), bound).one()


class _Shape(NamedTuple):
    """Inputs that decide the text of a statement."""

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
