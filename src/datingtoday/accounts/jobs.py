"""Work without a request: rows of logins that nothing looks at any more are removed."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, delete, or_, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from datingtoday.accounts.models import SmsCode, SmsNumber, UserSession
from datingtoday.infra.db import Base, Database

CODES_KEPT = timedelta(days=2)
"""Twice as long as the longest limit looks back."""
SESSIONS_KEPT = timedelta(days=30)
"""After they expired: for so long their token is told (1101) from one that never was (504)."""
PAUSE_S = 0.02
"""Between two batches, so that on SQLite others get the write lock too."""


@dataclass(frozen=True, slots=True)
class _OldRows:
    """Rows of one table to remove. ``order`` has an index, by which they are found without reading the others."""

    table: type[Base]
    key: InstrumentedAttribute[Any]
    order: InstrumentedAttribute[Any]
    old: ColumnElement[bool]


def purge(
    database: Database,
    now: datetime,
    *,
    batch_rows: int = 1000,
    report_progress: Callable[[str, int], None] = lambda table, removed: None,
) -> dict[str, int]:
    """Remove old codes, numbers and sessions, a batch a transaction: nothing else waits for longer than one takes.

    May run at any time beside servers and other purges, and be stopped and started again.

    :param batch_rows: the most rows that a statement touches.
    :param report_progress: called after every batch with the table's name and how many of its rows are gone so far.
    :return: how many rows were removed, by table.
    :raises DatabaseDown: what was removed until then stays removed.
    """
    removed: dict[str, int] = {}
    for rows in _old_rows(now):
        name = rows.table.__tablename__
        removed[name] = 0
        while keys := _find(database, rows, batch_rows):
            removed[name] += database.retried(_removal(rows, keys))
            report_progress(name, removed[name])
            time.sleep(PAUSE_S)
    return removed


def _old_rows(now: datetime) -> list[_OldRows]:
    codes, sessions = now - CODES_KEPT, now - SESSIONS_KEPT
    return [
        _OldRows(SmsCode, SmsCode.id, SmsCode.sent_at, SmsCode.sent_at < codes),
        _OldRows(
            SmsNumber,
            SmsNumber.phone,
            SmsNumber.last_sent_at,
            # Null: the only code was taken back, because the provider failed.
            or_(SmsNumber.last_sent_at < codes, SmsNumber.last_sent_at.is_(None)),
        ),
        _OldRows(UserSession, UserSession.id, UserSession.expires_at, UserSession.expires_at < sessions),
    ]


def _find(database: Database, rows: _OldRows, most: int) -> Sequence[Any]:
    with database.reading() as session:
        return session.scalars(select(rows.key).where(rows.old).order_by(rows.order).limit(most)).all()


def _removal(rows: _OldRows, keys: Sequence[Any]) -> Callable[[Session], int]:
    def remove(session: Session) -> int:
        # Looked at again: a code may have been sent to the number since it was found.
        found: Any = session.execute(delete(rows.table).where(rows.key.in_(keys), rows.old))
        return int(found.rowcount)

    return remove
