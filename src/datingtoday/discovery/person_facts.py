"""Facts about people from which discovery derives its own rows, and the hook that is called when they change."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import Engine, event, select
from sqlalchemy.engine import Connection
from sqlalchemy.orm import Session

from datingtoday.discovery.hot.ranking import DETAILS
from datingtoday.profiles.enumerations import NOBODY
from datingtoday.profiles.models import UserInfo, UserStatus


@dataclass(frozen=True, slots=True)
class PersonFacts:
    """Facts about a person from which discovery derives its own rows."""

    user_id: int
    nickname: str
    gender: int
    sexual: int
    details_given: int
    """Number of `ranking.DETAILS`."""
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


def registered_at(session: Session, user_ids: Collection[int]) -> dict[int, datetime]:
    """Moments at which these people registered; those who do not exist are left out."""
    rows = select(UserInfo.id, UserInfo.create_time).where(UserInfo.id.in_(user_ids))
    return dict(session.execute(rows).all())


def next_people(session: Session, after_id: int, most: int) -> list[PersonFacts]:
    """The next people by id, none of whom anybody else can change until the transaction ends."""
    rows = select(UserInfo).where(UserInfo.id > after_id).order_by(UserInfo.id).limit(most).with_for_update()
    return [PersonFacts.of(row) for row in session.scalars(rows)]
