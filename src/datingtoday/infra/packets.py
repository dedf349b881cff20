"""Several statements in one packet: a round trip and a parse less for each of them.

MariaDB and MySQL take several statements at once if the connection was opened for it (`infra/db.py`). The statements
are SQLAlchemy's, compiled once; values go through the driver's own escaping, as they do for one statement.

A query answers one column, a JSON array of its own columns: PyMySQL parses the description of every column of every
answer, in Python, which was a fifth of the CPU of a message that is sent (docs/decisions/chat-in-sql.md).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from typing import Any, NamedTuple

import orjson
from sqlalchemy import Connection, Dialect, Executable, Select, func
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.compiler import SQLCompiler

from datingtoday.infra.db import is_other_server
from datingtoday.infra.paired import paired

_DRIVER = "pymysql"
OPTION = "datingtoday_tracing"
"""Execution option of an engine whose statements are traced (`tracing.py`)."""

Rows = Sequence[Sequence[Any]]
_RUN, _RUN_AND_COMMIT = attrgetter("run_packet"), attrgetter("run_and_commit")
_AS_TEXT = frozenset({int, bool})
"""Types whose text is SQL: the driver's escaping comes to the same, after a search through its types."""
_PLACE = re.compile(r"%\((\w+)\)s")


class _Text(NamedTuple):
    """Statements as one text."""

    template: str
    """With a ``%s`` for each value."""
    names: tuple[str, ...]
    """Names of the values, in their order; one that is used twice stands here twice."""
    own: dict[str, Any]
    """Values that belong to the statements."""


class Packet:
    """Statements that are always run together, in this order, with the same parameters.

    :param statements: columns of queries hold numbers, texts and moments (which come as texts, in UTC).
    :raises ValueError: two of them have different values of their own for the same name.
    """

    def __init__(self, *statements: Executable) -> None:
        self._statements = [in_one_column(it) if isinstance(it, Select) else it for it in statements]
        self._texts: dict[str, _Text] = {}
        self._names: list[frozenset[str]] = []

    def run(self, connection: Connection, params: Mapping[str, Any]) -> list[Rows]:
        """Run them; the rows of each statement, none where it returns none.

        :raises DBAPIError: of the first statement that fails; those after it are not run.
        """
        if connection.dialect.driver != _DRIVER:
            return self._run_each(connection, params)
        columns: list[list[bytes]] = self._run_together(connection, params, _RUN)
        return [[orjson.loads(row) for row in column] for column in columns]

    def run_and_commit(self, connection: Connection, params: Mapping[str, Any]) -> bool:
        """Run them as the last of a transaction. COMMIT goes in the same packet if the driver takes one.

        :return: whether it did; if not, the transaction is still open.
        :raises DBAPIError: nothing was committed, but for a connection that was lost: then nobody knows.
        """
        if connection.dialect.driver != _DRIVER:
            self._run_each(connection, params)
            return False
        self._run_together(connection, params, _RUN_AND_COMMIT)
        return True

    def _run_together(
        self, connection: Connection, params: Mapping[str, Any], method: Callable[..., Any]
    ) -> Any:
        """:param method: of the connection, which takes the text."""
        template, names, own = self._text(connection.dialect)
        raw: Any = connection.connection.driver_connection
        values = {**own, **params} if own else params
        escape = raw.escape
        text = template % tuple(
            [value if type(value := values[name]) in _AS_TEXT else escape(value) for name in names]
        )
        tracing = connection.get_execution_options().get(OPTION)
        try:
            if tracing is None:
                return method(raw)(text)
            with tracing.packet(connection.dialect.name, len(self._statements)):
                return method(raw)(text)
        except raw.Error as error:
            raise _translated(connection, template, error) from error

    def _run_each(self, connection: Connection, params: Mapping[str, Any]) -> list[Rows]:
        """One after another, where the driver takes no more at once."""
        if not self._names:
            self._names = [frozenset(_compiled(it, connection.dialect).params) for it in self._statements]
        found: list[Rows] = []
        for statement, names in paired(self._statements, self._names):
            result = connection.execute(statement, {name: params[name] for name in names & params.keys()})
            found.append([orjson.loads(row[0]) for row in result.all()] if result.returns_rows else ())
        return found

    def _text(self, dialect: Dialect) -> _Text:
        found = self._texts.get(dialect.name)
        if found is None:
            texts: list[str] = []
            own: dict[str, Any] = {}
            for statement in self._statements:
                compiled = _compiled(statement, dialect)
                texts.append(str(compiled))
                for name, value in compiled.params.items():
                    if value is not None and own.setdefault(name, value) != value:
                        raise ValueError(f"two statements of a packet have values of their own for {name}")
            text = ";\n".join(texts)
            found = self._texts[dialect.name] = _Text(
                _PLACE.sub("%s", text), tuple(_PLACE.findall(text)), own
            )
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


def _compiled(statement: Executable, dialect: Dialect) -> SQLCompiler:
    made: SQLCompiler = statement.compile(dialect=dialect)  # type: ignore[attr-defined]
    return made


def _translated(connection: Connection, text: str, error: Exception) -> BaseException:
    """As SQLAlchemy tells of errors of its own statements, and what it does about connections that are lost."""
    pooled: Any = connection.connection
    dialect: Any = connection.dialect
    is_lost = dialect.is_disconnect(error, pooled.driver_connection, None) or is_other_server(error)
    if is_lost:
        # Those that were made before are asked for no request any more.
        connection.engine.pool._invalidate(pooled, error)
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
