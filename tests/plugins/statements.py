"""The SQL that a database runs meanwhile."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from sqlalchemy import event

from datingtoday.infra.db import Database

_NOW_AND_THEN = re.compile(r"SELECT .*\b(client_app|redis_memory|redis_unsent_change)\b", re.DOTALL)
"""Tables that a process reads anew every second or so, on the occasion of any request."""


class Statement(NamedTuple):
    """As it is given to the driver."""

    text: str
    values: Any


@contextmanager
def statements(database: Database) -> Iterator[list[Statement]]:
    """Statements in their order, the list grows as they run.

    Without those that begin a transaction, and those that depend on the time and not on what is done.
    """
    seen: list[Statement] = []

    def note(_connection: Any, _cursor: Any, text: str, values: Any, *_: Any) -> None:
        if not text.startswith("BEGIN") and not _NOW_AND_THEN.match(text):
            seen.append(Statement(text, values))

    event.listen(database.engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(database.engine, "before_cursor_execute", note)
