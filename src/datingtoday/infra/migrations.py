"""The schema: bring a database up to date, ask whether it is, and write all of it down as a MySQL script.

The revisions are files in `migrations/versions` at the root of the repository, which the wheel carries as a folder of
the package. Alembic is imported only where something has to be done: a start that finds the schema current is quick.
"""

from __future__ import annotations

import ast
import io
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, OperationalError, ProgrammingError
from sqlalchemy.pool import NullPool

from datingtoday.infra.checkout import checkout, migrations_folder
from datingtoday.infra.text import BilingualError

if TYPE_CHECKING:
    from alembic.config import Config

FOLDER = migrations_folder()
LOCK_WAIT_S = 600
"""Time to wait for another process that is migrating the same database."""
LOOK_WAIT_S = 10
"""Time for which a look at the schema waits for a database that is busy, and everything else for a connection."""

_NO_SUCH_TABLE = 1146


class MigrationError(BilingualError):
    """The schema could not be read or brought up to date. One line in both languages."""


class MigrationStopped(MigrationError):
    """The upgrade was stopped between two revisions."""


class DatabaseUnreachable(MigrationError):
    """The database does not answer, or not to this user; nothing is known of its schema."""


def head() -> str:
    """The newest revision among the files; found without importing Alembic. Raises MigrationError."""
    below = _revisions()
    heads = sorted(set(below) - set(below.values()))
    if len(heads) != 1:
        found = ", ".join(heads) or "none"
        raise MigrationError(
            f"{FOLDER}/versions must have exactly one newest revision; found: {found}",
            f"{FOLDER}/versions 必须恰有一个最新版本；现有：{found}",
        )
    return heads[0]


def _revisions() -> dict[str, str | None]:
    """Revision → the one below it, of every file."""
    below: dict[str, str | None] = {}
    for file in sorted((FOLDER / "versions").glob("*.py")):
        names = _constants(file, file.stat().st_mtime_ns)
        below[names["revision"] or ""] = names["down_revision"]
    return below


@cache
def _constants(file: Path, _changed_ns: int) -> dict[str, str | None]:
    """`revision` and `down_revision` of a migration, read without running it; parsed once while it is the same file."""
    found: dict[str, str | None] = {}
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        target: ast.expr
        value: ast.expr | None
        if isinstance(node, ast.AnnAssign):
            target, value = node.target, node.value
        elif isinstance(node, ast.Assign):
            target, value = node.targets[0], node.value
        else:
            continue
        if isinstance(target, ast.Name) and target.id in ("revision", "down_revision"):
            constant = value.value if isinstance(value, ast.Constant) else None
            found[target.id] = constant if isinstance(constant, str) else None
    if not found.get("revision") or "down_revision" not in found:
        raise MigrationError(
            f"{file} does not say revision and down_revision", f"{file} 未写明 revision 与 down_revision"
        )
    return found


def current(uri: str) -> str | None:
    """The revision that the database is at; None for a database without our schema. Raises MigrationError.

    A SQLite file that does not exist is not created.
    """
    url = make_url(uri)
    if url.get_backend_name() == "sqlite" and url.database and not Path(url.database).exists():
        return None
    engine = _engine(uri, begin="BEGIN", wait_s=LOOK_WAIT_S)
    try:
        with engine.connect() as connection:
            return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    except (OperationalError, ProgrammingError) as error:
        if "no such table" in str(error.orig) or _number(error) == _NO_SUCH_TABLE:
            return None
        raise _unreachable(error) from error
    finally:
        engine.dispose()


def is_current(uri: str) -> bool:
    """True if the database is up to date; cheap. Raises MigrationError."""
    return current(uri) == head()


def is_newer(revision: str | None) -> bool:
    """True for the revision of a newer program: this one does not know it. Migrations are safe for the previous one."""
    return revision is not None and revision not in _revisions()


def require_current(uri: str, *, newer_too: bool = False) -> None:
    """Refuse a schema that this program was not written for.

    :param newer_too: [DATABASE] newer_schema.
    :raises MigrationError: it is missing, older or newer, and what to do. :raises DatabaseUnreachable:
    """
    at, newest = current(uri), head()
    if at == newest or (newer_too and is_newer(at)):
        return
    if not is_newer(at):
        raise MigrationError(
            f"the database is at revision {at or 'none'}, this program needs {newest}: run `datingtoday db upgrade`",
            f"数据库处于版本 {at or '无'}，本程序需要 {newest}：请运行 `datingtoday db upgrade`",
        )
    raise _too_new(at, newest)


def require_utf8(uri: str) -> None:
    """Refuse a MySQL or MariaDB database whose character set cannot hold every text.

    :raises MigrationError: names the ALTER that helps. :raises DatabaseUnreachable:
    """
    url = make_url(uri)
    if url.get_backend_name() == "sqlite":
        return
    engine = _engine(uri, wait_s=LOOK_WAIT_S)
    try:
        with engine.connect() as connection:
            charset = connection.execute(text("SELECT @@character_set_database")).scalar()
    except DBAPIError as error:
        raise _unreachable(error) from error
    finally:
        engine.dispose()
    if charset != "utf8mb4":
        alter = f"ALTER DATABASE `{url.database}` CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"
        raise MigrationError(
            f"the database's character set is {charset}, which cannot hold every text: {alter}",
            f"数据库字符集为 {charset}，无法保存所有文字：请执行 {alter}",
        )


def _too_new(at: str | None, newest: str) -> MigrationError:
    return MigrationError(
        f"the database is at revision {at}, this program knows up to {newest}: install the newer program, or after a "
        "rollback set [DATABASE] newer_schema = true",
        f"数据库处于版本 {at}，本程序只到 {newest}：请安装更新的程序；若是回滚，请设置 [DATABASE] newer_schema = true",
    )


def upgrade(
    uri: str,
    progress: Callable[[str], None] | None = None,
    *,
    should_stop: Callable[[], bool] | None = None,
) -> None:
    """Apply what is missing; does nothing if nothing is.

    Safe when several processes or hosts do it at once: one does, the others wait (up to `LOCK_WAIT_S`). On
    SQLite all or nothing is applied; MySQL commits each statement that changes a table. `progress` gets one
    line for each revision applied. `should_stop` is asked between two revisions. Raises MigrationError.
    """
    from alembic import command
    from alembic.util.exc import CommandError

    require_utf8(uri)
    config = _config()
    config.attributes["progress"] = progress
    newest = head()
    try:
        with _exclusive(uri) as connection:
            config.attributes["connection"] = connection
            for target in _targets(connection, newest, single=should_stop is not None):
                if should_stop is not None and should_stop():
                    raise MigrationStopped(
                        "stopped between two revisions: run `datingtoday db upgrade` again to go on",
                        "已在两个版本之间停止：再次运行 `datingtoday db upgrade` 即可继续",
                    )
                command.upgrade(config, target)
    except CommandError as error:
        raise _too_new(current(uri), newest) from error
    except DBAPIError as error:
        if error.connection_invalidated or _number(error) >= 2000 or _number(error) in (1044, 1045, 1049):
            raise _unreachable(error) from error
        raise MigrationError(f"a migration failed: {error.orig}", f"迁移失败：{error.orig}") from error


def _targets(connection: Connection, newest: str, *, single: bool) -> list[str]:
    """Revisions to upgrade to, one after another. :param single: each of those that are missing."""
    if not single:
        return [newest]
    has_table = connection.dialect.has_table(connection, "alembic_version")
    at = connection.execute(text("SELECT version_num FROM alembic_version")).scalar() if has_table else None
    if connection.dialect.name != "sqlite":
        # An open transaction would keep Alembic from committing its own.
        connection.rollback()
    below, missing = _revisions(), [newest]
    while (parent := below.get(missing[-1])) not in (None, at):
        missing.append(str(parent))
    return missing[::-1]


def differences(uri: str) -> list[str]:
    """Differences between the program's tables and those of an up-to-date database; empty if there are none."""
    from alembic import command
    from alembic.util.exc import AutogenerateDiffsDetected

    config = _config()
    config.attributes["with_models"] = True
    engine = _engine(uri)
    try:
        with engine.connect() as connection:
            config.attributes["connection"] = connection
            command.check(config)
    except AutogenerateDiffsDetected as error:
        return [str(difference) for difference in error.diffs]
    finally:
        engine.dispose()
    return []


def new_revision(message: str) -> Path:
    """Write a migration with what the program's tables have and the migrations do not; returns its path.

    :raises NotInCheckout: the program is installed as a package.
    """
    from alembic import command

    checkout()
    numbers = [int(file.name[:4]) for file in (FOLDER / "versions").glob("[0-9][0-9][0-9][0-9]_*.py")]
    with tempfile.TemporaryDirectory() as folder:
        uri = f"sqlite:///{folder}/scratch.sqlite3"
        if numbers:
            upgrade(uri)
        config = _config()
        config.attributes["with_models"] = True
        engine = _engine(uri)
        try:
            with engine.connect() as connection:
                config.attributes["connection"] = connection
                revision: Any = command.revision(
                    config, message, autogenerate=True, rev_id=f"{max(numbers, default=0) + 1:04d}"
                )
        finally:
            engine.dispose()
    return Path(revision.path)


def mysql_script() -> str:
    """All migrations as one script for MySQL and MariaDB, ending with the database at `head()`."""
    from alembic import command

    buffer = io.StringIO()
    config = _config(buffer)
    config.attributes["dialect_name"] = "mysql"
    command.upgrade(config, "head", sql=True)
    body = "\n".join(line.rstrip() for line in buffer.getvalue().strip().splitlines())
    return (
        "-- The schema for MySQL 8.0+ and MariaDB 10.11+, made from migrations/ by `datingtoday docs write`.\n"
        "-- MySQL 8.0+ 与 MariaDB 10.11+ 的数据库结构，由 `datingtoday docs write` 从 migrations/ 生成。\n"
        "-- CREATE DATABASE datingtoday CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;\n\n"
        "SET NAMES utf8mb4;\nSET time_zone = '+00:00';\n\n"
        f"{body}\n"
    )


def _config(output: io.StringIO | None = None) -> Config:
    from alembic.config import Config

    config = Config(output_buffer=output, stdout=io.StringIO())
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    config.set_main_option("file_template", "%%(rev)s_%%(slug)s")
    config.set_main_option("path_separator", "newline")
    return config


def _engine(uri: str, *, begin: str = "BEGIN IMMEDIATE", wait_s: int = LOCK_WAIT_S) -> Engine:
    """An engine of its own: no time limit on statements, as changing a large table takes long."""
    if make_url(uri).get_backend_name() == "sqlite":
        engine = create_engine(
            uri, poolclass=NullPool, connect_args={"timeout": wait_s, "isolation_level": None}
        )
        event.listen(engine, "begin", lambda connection: connection.exec_driver_sql(begin))
        return engine
    return create_engine(
        uri,
        poolclass=NullPool,
        connect_args={"connect_timeout": LOOK_WAIT_S, "init_command": "SET time_zone = '+00:00'"},
    )


@contextmanager
def _exclusive(uri: str) -> Iterator[Connection]:
    """A connection that nobody else migrates beside. Commits on SQLite; MySQL commits by itself."""
    engine = _engine(uri)
    try:
        with engine.connect() as connection:
            if connection.dialect.name == "sqlite":
                # Where SQLite cannot alter a table it is made anew and renamed: references are checked last.
                # The switch works outside of transactions only, hence past SQLAlchemy.
                raw: Any = connection.connection.driver_connection
                raw.execute("PRAGMA foreign_keys=OFF")
                with connection.begin():
                    yield connection
                    broken = connection.exec_driver_sql("PRAGMA foreign_key_check").fetchall()
                    if broken:
                        raise MigrationError(
                            f"a migration would leave dangling references in {broken[0][0]}",
                            f"迁移会在 {broken[0][0]} 中留下悬空引用",
                        )
            else:
                with _mysql_lock(connection):
                    yield connection
    finally:
        engine.dispose()


@contextmanager
def _mysql_lock(connection: Connection) -> Iterator[None]:
    # The lock is the server's, not the database's: two databases on one server must not wait for each other.
    name = {"name": f"datingtoday.{connection.engine.url.database}"[:64]}
    taken = connection.execute(
        text("SELECT GET_LOCK(:name, :wait_s)"), {**name, "wait_s": LOCK_WAIT_S}
    ).scalar()
    # The lock lives with the connection; an open transaction would keep Alembic from committing its own.
    connection.commit()
    if taken != 1:
        raise MigrationError(
            f"another process has been migrating this database for {LOCK_WAIT_S} s; see what it does",
            f"另一个进程迁移此数据库已超过 {LOCK_WAIT_S} 秒；请检查后重试",
        )
    try:
        yield
    finally:
        if not connection.invalidated:
            connection.rollback()
            connection.execute(text("SELECT RELEASE_LOCK(:name)"), name)
            connection.commit()


def _number(error: DBAPIError) -> int:
    """MySQL's number of the error, 0 if it has none."""
    arguments = getattr(error.orig, "args", ())
    return arguments[0] if arguments and isinstance(arguments[0], int) else 0


def _unreachable(error: DBAPIError) -> DatabaseUnreachable:
    # The driver's text names user and host, never the password.
    return DatabaseUnreachable(
        f"[DATABASE] uri: the database cannot be used: {error.orig}",
        f"[DATABASE] uri：数据库无法使用：{error.orig}",
    )
