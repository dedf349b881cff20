"""Limits counted in SQL, from the rows of what is limited; see docs/decisions/ways-to-count-a-limit.md."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from datingtoday.protocol.errors import RateLimited


def refuse_above(
    session: Session,
    moment: InstrumentedAttribute[datetime],
    most: int | None,
    span: timedelta,
    now: datetime,
    *which: ColumnElement[bool],
) -> None:
    """Refuse if ``most`` rows or more are younger than ``span``; looks at ``most`` rows.

    Two requests at the same time are kept apart by a lock that the caller holds; without one they may pass together.

    :param moment: the column that says when a row was made.
    :param which: conditions of the rows that count; none: all.
    :param most: None if the limit is switched off.
    :raises RateLimited: until the oldest of the newest ``most`` rows is old enough.
    """
    if most is None:
        return
    newest = select(moment.label("at")).where(*which, moment > now - span).order_by(moment.desc()).limit(most)
    rows = newest.subquery()
    count, oldest = session.execute(select(func.count(rows.c.at), func.min(rows.c.at))).one()
    if count >= most:
        raise RateLimited((oldest + span - now).total_seconds())
