"""Several statements in one packet: a round trip and a parse less for each of them.

MariaDB and MySQL take several statements at once if the connection was opened for it (`infra/db.py`). The statements
are SQLAlchemy's, compiled once; values go through the driver's own escaping, as they do for one statement.

A query answers one column, a JSON array of its own columns: PyMySQL parses the description of every column of every
answer, in Python, which was a fifth of the CPU of a message that is sent (docs/decisions/chat-in-sql.md).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from sqlalchemy import Connection, Dialect, Executable, Select, func
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.compiler import SQLCompiler

_DRIVER = "pymysql"
OPTION = "datingtoday_tracing"
"""Execution option of an engine whose statements are traced (`tracing.py`)."""

Rows = Sequence[Sequence[Any]]


class Packet:
    """Statements that are always run together, in this order, with the same parameters.

    :param statements: columns of queries hold numbers, texts and moments (which come as texts, in UTC).
    :raises ValueError: two of them have different values of their own for the same name.
    """

    def __init__(self, *statements: Executable) -> None:
        self._statements = [in_one_column(it) if isinstance(it, Select) else it for it in statements]
        self._compiled: dict[str, tuple[str, dict[str, Any]]] = {}
        self._names: list[frozenset[str]] = []

    def run(self, connection: Connection, params: Mapping[str, Any]) -> list[Rows]:
        """Run them; the rows of each statement, none where it returns none.

        :raises DBAPIError: of the first statement that fails; those after it are not run.
        """
        if connection.dialect.driver != _DRIVER:
            return self._run_each(connection, params)
        text, own = self._text(connection.dialect)
        if (tracing := connection.get_execution_options().get(OPTION)) is not None:
            with tracing.packet(connection.dialect.name, len(self._statements)):
                return self._run_together(connection, text, {**own, **params})
        return self._run_together(connection, text, {**own, **params})

    @staticmethod
    def _run_together(connection: Connection, text: str, params: Mapping[str, Any]) -> list[Rows]:
        raw: Any = connection.connection.driver_connection
        found: list[Rows] = []
        cursor = raw.cursor()
        # The driver's escaping of a whole number is its text, after a search through the types.
        values = {name: value if type(value) is int else raw.escape(value) for name, value in params.items()}
        try:
            cursor.execute(text % values)
            found.append(_rows(cursor.fetchall()))
            while cursor.nextset():
                found.append(_rows(cursor.fetchall()))
        except raw.Error as error:
            raise _translated(connection, text, error) from error
        return found

    def _run_each(self, connection: Connection, params: Mapping[str, Any]) -> list[Rows]:
        """One after another, where the driver takes no more at once."""
        if not self._names:
            self._names = [frozenset(_compiled(it, connection.dialect).params) for it in self._statements]
        found: list[Rows] = []
        for statement, names in zip(self._statements, self._names, strict=True):
            result = connection.execute(statement, {name: params[name] for name in names & params.keys()})
            found.append(_rows(result.all()) if result.returns_rows else ())
        return found

    def _text(self, dialect: Dialect) -> tuple[str, dict[str, Any]]:
        found = self._compiled.get(dialect.name)
        if found is None:
            texts: list[str] = []
            own: dict[str, Any] = {}
            for statement in self._statements:
                compiled = _compiled(statement, dialect)
                texts.append(str(compiled))
                for name, value in compiled.params.items():
                    if value is None:
                        continue
                    if own.setdefault(name, value) != value:
                        raise ValueError(f"two statements of a packet have values of their own for {name}")
            found = self._compiled[dialect.name] = ";\n".join(texts), own
        return found


def in_one_column(query: Any) -> Select[Any]:
    """The query with all its columns in one, a JSON array: for a `Packet`, or as a subquery of one of its queries."""
    made: Select[Any] = query.with_only_columns(
        func.json_array(*query.selected_columns), maintain_column_froms=True
    )
    return made


def inner(value: list[Any] | str | None) -> list[list[Any]]:
    """The rows of a subquery that was put into one column: one or none.

    MariaDB and MySQL put an array into the array, SQLite the text of one.
    """
    if value is None:
        return []
    return [orjson.loads(value) if isinstance(value, str) else value]


def _rows(answer: Sequence[Sequence[Any]]) -> Rows:
    return [orjson.loads(row[0]) for row in answer]


def _compiled(statement: Executable, dialect: Dialect) -> SQLCompiler:
    made: SQLCompiler = statement.compile(dialect=dialect)  # type: ignore[attr-defined]
    return made


def _translated(connection: Connection, text: str, error: Exception) -> BaseException:
    """As SQLAlchemy tells of errors of its own statements."""
    raw: Any = connection.connection.driver_connection
    dialect: Any = connection.dialect
    is_lost = dialect.is_disconnect(error, raw, None)
    if is_lost:
        connection.invalidate(error)
    return DBAPIError.instance(
        text,
        None,
        error,
        dialect.loaded_dbapi.Error,
        hide_parameters=True,
        connection_invalidated=is_lost,
        dialect=dialect,
    )
