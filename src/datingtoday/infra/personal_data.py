"""Stores of personal data: every feature declares its columns, exports them and deletes them.

Features register their stores in `PersonalData`. A test holds them against all tables: a column that names a person
and that no store declares fails it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from sqlalchemy import ColumnElement, Table, delete, select, tuple_
from sqlalchemy.orm import Session

from datingtoday.infra.db import Base


@dataclass(frozen=True, slots=True)
class PersonColumn:
    """A column that names a person, by id or by phone number.

    :param not_exported, not_removed: why rows found by this column are not handed out to, or not removed with, the
        person; empty if they are.
    """

    table: str
    column: str
    not_exported: str = ""
    not_removed: str = ""


class PersonalDataStore(Protocol):
    """One feature's part."""

    @property
    def name(self) -> str:
        """Name of this store's part of an export."""

    @property
    def holds(self) -> tuple[PersonColumn, ...]:
        """Every column of its tables that names a person."""

    def export(self, session: Session, user_id: int, now: datetime) -> dict[str, Any]:
        """All data stored on the person, by kind; values as `envelope.to_json` takes them.

        Nothing of others beyond what the person could see.
        """

    def remove(self, session: Session, user_id: int, most: int) -> int:
        """Remove up to ``most`` rows; how many there were, 0 once nothing is left. Called until then, each time in a
        transaction of its own, and perhaps again after an interruption.
        """


class PersonalData:
    """The stores of one application, registered by each feature as it is made, lower features first."""

    def __init__(self) -> None:
        self._stores: list[PersonalDataStore] = []

    def register(self, store: PersonalDataStore) -> None:
        """Add a store.

        :raises RuntimeError: its name is taken.
        """
        if any(store.name == other.name for other in self._stores):
            raise RuntimeError(f"two stores of personal data are called {store.name}")
        self._stores.append(store)

    def __iter__(self) -> Iterator[PersonalDataStore]:
        """In the order of an export."""
        return iter(tuple(self._stores))

    def __reversed__(self) -> Iterator[PersonalDataStore]:
        """In the order of a removal: what refers to others goes before them."""
        return reversed(tuple(self._stores))


def remove_some(session: Session, table: type[Base], which: ColumnElement[bool], most: int) -> int:
    """Remove up to ``most`` rows of a table; how many went."""
    rows: Table = table.__table__  # type: ignore[assignment]
    key = list(rows.primary_key.columns)
    found = session.execute(select(*key).where(which).limit(most)).all()
    if found:
        session.execute(delete(rows).where(tuple_(*key).in_([tuple(row) for row in found])))
    return len(found)
