"""Checks of the schema: revision, and tables, columns and indexes against the program's models."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import Connection, Index, Inspector, Table, inspect, text
from sqlalchemy.engine import Dialect
from sqlalchemy.exc import DBAPIError
from sqlalchemy.schema import CreateIndex

from datingtoday.cli.doctor.findings import Context, Finding, error, ok, warning
from datingtoday.cli.doctor.servers import database_cli, database_engine, reason_of
from datingtoday.infra.config.settings import Settings
from datingtoday.infra.db import Base
from datingtoday.infra.migrations import MigrationError, current, is_newer, require_current
from datingtoday.infra.text import Text


def check_schema(context: Context) -> Iterator[Finding]:
    """Nothing where the database cannot be reached: its own area says so."""
    settings = context.settings
    with database_engine(settings) as engine:
        if engine is None:
            return
        try:
            require_current(settings.database.uri, newer_too=settings.database.newer_schema)
        except MigrationError as failure:
            is_older = current(settings.database.uri) is None or "db upgrade" in failure.en
            fix = Text(
                "datingtoday db upgrade" if is_older else "pip install of the newer program",
                "datingtoday db upgrade" if is_older else "安装更新的程序",
            )
            yield error("schema.revision", failure.text, fix)
            return
        if is_newer(current(settings.database.uri)):
            yield warning(
                "schema.revision",
                Text(
                    "a newer release has migrated the database, and [DATABASE] newer_schema accepts it",
                    "数据库已被更新的版本迁移，[DATABASE] newer_schema 允许继续使用",
                ),
                Text("install the newer program", "安装更新的程序"),
            )
            return
        yield ok("schema.revision", "up to date", "已是最新")
        try:
            with engine.connect() as connection:
                yield from _structure(connection, settings)
        except DBAPIError as failure:
            reason = reason_of(failure)
            yield error(
                "schema.structure",
                Text(f"cannot be read: {reason}", f"无法读取：{reason}"),
                "datingtoday db current",
            )


def _structure(connection: Connection, settings: Settings) -> Iterator[Finding]:
    # The models register themselves when the application is imported.
    import datingtoday.app  # noqa: F401

    found = list(_differences(connection, settings))
    yield from found
    if not found:
        count = len(Base.metadata.sorted_tables)
        yield ok("schema.structure", f"{count} tables with all indexes", f"{count} 张表，索引齐全")
    if connection.dialect.name != "sqlite":
        wrong = list(_table_options(connection, settings))
        yield from wrong
        if not wrong:
            yield ok("schema.options", "all tables are InnoDB and utf8mb4", "所有表均为 InnoDB 与 utf8mb4")


def _differences(connection: Connection, settings: Settings) -> Iterator[Finding]:
    inspector = inspect(connection)
    existing = set(inspector.get_table_names())
    for table in Base.metadata.sorted_tables:
        if table.name not in existing:
            yield error(
                "schema.tables",
                Text(f"the table {table.name} is missing", f"缺少表 {table.name}"),
                Text("restore it from a backup", "从备份恢复"),
            )
            continue
        yield from _columns(inspector, table)
        for index in missing_indexes(inspector, table, connection.dialect):
            statement = str(CreateIndex(index).compile(dialect=connection.dialect)).strip()
            yield error(
                "schema.indexes",
                Text(
                    f"the index {index.name} of {table.name} is missing",
                    f"表 {table.name} 缺少索引 {index.name}",
                ),
                _run(connection, settings, statement),
            )


def _columns(inspector: Inspector, table: Table) -> Iterator[Finding]:
    missing = {column.name for column in table.columns} - {
        column["name"] for column in inspector.get_columns(table.name)
    }
    if missing:
        names = ", ".join(sorted(missing))
        yield error(
            "schema.columns",
            Text(f"{table.name} lacks the columns {names}", f"表 {table.name} 缺少列 {names}"),
            Text("restore the table from a backup", "从备份恢复该表"),
        )


def missing_indexes(inspector: Inspector, table: Table, dialect: Dialect) -> Iterator[Index]:
    """Indexes of the model that the database does not have, by name."""
    existing = {str(index["name"]).lower() for index in inspector.get_indexes(table.name)}
    for index in sorted(table.indexes, key=lambda it: str(it.name)):
        name = str(dialect.identifier_preparer.format_index(index))
        if name.strip('`"').lower() not in existing:
            yield index


def _table_options(connection: Connection, settings: Settings) -> Iterator[Finding]:
    rows = connection.execute(
        text(
            "SELECT TABLE_NAME, ENGINE, TABLE_COLLATION FROM information_schema.TABLES "
            "WHERE TABLE_SCHEMA = DATABASE() AND TABLE_TYPE = 'BASE TABLE'"
        )
    )
    ours = {table.name for table in Base.metadata.sorted_tables}
    for name, engine, collation in rows:
        if name not in ours or (engine == "InnoDB" and str(collation).startswith("utf8mb4")):
            continue
        statement = (
            f"ALTER TABLE {name} ENGINE = InnoDB, CONVERT TO CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"
        )
        yield error(
            "schema.tables",
            Text(
                f"{name} is {engine}, {collation}; InnoDB and utf8mb4 are needed",
                f"{name} 为 {engine}、{collation}；需要 InnoDB 与 utf8mb4",
            ),
            _run(connection, settings, statement),
        )


def _run(connection: Connection, settings: Settings, statement: str) -> str:
    """The command that runs a statement in this database."""
    database = connection.engine.url.database
    if connection.dialect.name == "sqlite":
        return f'sqlite3 {database} "{statement}"'
    # Quoting of names is needed for none of ours, and backquotes would be the shell's.
    return database_cli(settings, f"USE {database}; {statement.replace('`', '')}")
