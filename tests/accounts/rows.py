"""Rows of the tables before and after a request, to compare them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Table, select, update

from datingtoday.accounts.models import SmsCode, SmsNumber, UserAuth, UserSession
from datingtoday.app import Parts
from datingtoday.profiles.models import UserInfo

Rows = dict[tuple[str, Any], dict[str, Any]]
MODELS = (UserInfo, UserAuth, UserSession, SmsNumber, SmsCode)


def all_rows(parts: Parts) -> Rows:
    """Every row of the tables of logging in, by table and primary key."""
    rows: Rows = {}
    with parts.base.database.transaction(write=False) as session:
        for model in MODELS:
            table = model.__table__
            assert isinstance(table, Table)
            (key,) = table.primary_key.columns
            for row in session.execute(select(table)).mappings():
                rows[table.name, row[key.name]] = dict(row)
    return rows


def changes(before: Rows, after: Rows) -> dict[str, set[str]]:
    """Per table the columns that differ; ``+`` and ``-`` stand for rows that came and went."""
    found: dict[str, set[str]] = {}
    for table, key in before.keys() | after.keys():
        old, new = before.get((table, key)), after.get((table, key))
        if old is None or new is None:
            found.setdefault(table, set()).add("-" if new is None else "+")
        elif old != new:
            found.setdefault(table, set()).update(name for name in old if old[name] != new[name])
    return found


def set_person(parts: Parts, user_id: int, **values: Any) -> None:
    """Change a person's row as the features above do, cached sessions included."""

    with parts.base.database.transaction() as session:
        session.execute(update(UserInfo).where(UserInfo.id == user_id).values(**values))
        parts.accounts.sessions.forget(session, user_id, datetime.now(UTC))
