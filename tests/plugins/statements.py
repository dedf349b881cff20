"""The SQL that a database runs meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from sqlalchemy import event

from datingtoday.infra.db import Database


class Statement(NamedTuple):
    """As it is given to the driver."""

    text: str
    values: Any


@contextmanager
def statements(database: Database) -> Iterator[list[Statement]]:
    """All statements but those that begin a transaction, in their order; the list grows as they run."""
    seen: list[Statement] = []

    def note(_connection: Any, _cursor: Any, text: str, values: Any, *_: Any) -> None:
        if not text.startswith("BEGIN"):
            seen.append(Statement(text, values))

    event.listen(database.engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(database.engine, "before_cursor_execute", note)
