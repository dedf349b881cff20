"""Standing of people as other features need it: whether they take part, and when they were last active.

Features above profiles read this in place of the profile tables, which stay private.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Select, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from datingtoday.profiles.models import UserInfo, UserStatus, is_ban_in_force


class Standing(NamedTuple):
    """Values of one person's row, as they are committed."""

    status: str
    banned_until: datetime | None
    ban_reason: str | None
    gender: int
    authority: int
    last_active: datetime

    @property
    def is_deleted(self) -> bool:
        return self.status == UserStatus.DELETED

    @property
    def has_ban(self) -> bool:
        """A ban was given and not taken back; it may have run out."""
        return self.status == UserStatus.BANNED

    def is_banned(self, now: datetime) -> bool:
        """Banned now; a ban that has run out is none."""
        return is_ban_in_force(self.status, self.banned_until, now)

    def is_gone(self, now: datetime) -> bool:
        """Deleted, or banned now."""
        return self.is_deleted or self.is_banned(now)


_COLUMNS = tuple(getattr(UserInfo, name) for name in Standing._fields)


def standings_of(session: Session, user_ids: Collection[int]) -> dict[int, Standing]:
    """Standing by user id, of those who exist; one statement, which never answers from rows read before."""
    rows = session.execute(select(UserInfo.id, *_COLUMNS).where(UserInfo.id.in_(user_ids)))
    return {user_id: Standing(*values) for user_id, *values in rows}


def with_standing(
    statement: Select[*tuple[Any, ...]], user_id: InstrumentedAttribute[int]
) -> Select[*tuple[Any, ...]]:
    """Add to each row the `Standing` of its person, value by value.

    :param user_id: the column of the statement that names the person.
    """
    return statement.add_columns(*_COLUMNS).join(UserInfo, UserInfo.id == user_id)


def with_activity(
    statement: Select[*tuple[Any, ...]], user_id: InstrumentedAttribute[int], since: datetime
) -> Select[*tuple[Any, ...]]:
    """Add `last_active` to each row, and leave out the rows of people inactive since then."""
    joined = statement.add_columns(UserInfo.last_active).join(UserInfo, UserInfo.id == user_id)
    return joined.where(UserInfo.last_active > since)
