"""The SQL database: engine, declarative base, transactions, and what to run after a commit.

Works on SQLite (WAL; the embedded default) and on MariaDB, or MySQL 8.0 and later, through PyMySQL. Error numbers that
only one of the two servers has stand in the sets below, and nowhere else.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from typing import Any, Protocol, TypeVar

import structlog
from sqlalchemy import Connection, DateTime, Dialect, Engine, MetaData, create_engine, event
from sqlalchemy.dialects.mysql import DATETIME as MYSQL_DATETIME
from sqlalchemy.engine import ExceptionContext, make_url
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.orm import DeclarativeBase, Session
from sqlalchemy.types import TypeDecorator

from datingtoday.infra import pooled_connections
from datingtoday.infra.kept_connections import KeptConnections

log = structlog.get_logger(__name__)

T = TypeVar("T")

_BEFORE_COMMIT = "before_commit"
_AFTER_COMMIT = "after_commit"
_ATTEMPTS = 5
ANSWER_S = 10.0
"""Time for which a server of requests waits for the answer to one statement: far beyond any that a request needs."""
LONG_ANSWER_S = 300.0
"""The same for commands, which touch many rows at once, and where nobody waits."""
_LOCK_WAIT_S = 5
"""Time that MariaDB or MySQL waits for a row that another transaction has locked."""
_MYSQL_RETRY = frozenset({1020, 1205, 1213, 3101})
"""Record changed since last read (MariaDB), lock wait timeout, deadlock, conflict within a group (MySQL): the same
work may succeed when done again."""

_MYSQL_OTHER_SERVER = frozenset(
    # Whom it lets in, and what they may do: another server, or another configuration of this one.
    {1040, 1044, 1045, 1049, 1129, 1130, 1142, 1143, 1203, 1226, 1227, 1370, 1698}
    # Account locked (MariaDB 4151, MySQL 3118 and 3955), password expired, TLS required (MySQL).
    | {1820, 1862, 3118, 3159, 3955, 4151}
    # Read-only by an option, by the transaction, by its mode; a cluster's node that is not part of it; offline.
    | {1047, 1290, 1792, 1836, 3032, 3168}
    # Shutting down, or done with this connection: killed, aborted, timed out on the network.
    | {0, 1053, 1158, 1159, 1160, 1161, 1184}
    # Killed (MariaDB 1927, MySQL 3169), idle for too long (MySQL).
    | {1927, 3169, 4031}
)
"""After these the server at the other end is not the one that the connection was made to, or not for this user: the
connection is thrown away, and so are all that were made before."""
_MYSQL_BUSY = frozenset(
    # The statement was ended, by an operator, by a time limit (MariaDB 1969, MySQL 3024) or because the server stops.
    {1317, 1969, 3024}
    # Disk, memory, threads, locks.
    | {1021, 1023, 1024, 1026, 1030, 1037, 1038, 1041, 1114, 1135, 1206}
)
"""The server is the same, and cannot do this now."""
_SQLITE_IS_DOWN = (
    "database is locked",
    "unable to open database",
    "disk I/O error",
    "database or disk is full",
)

MYSQL_TABLE = {
    "mysql_engine": "InnoDB",
    "mysql_charset": "utf8mb4",
    "mysql_collate": "utf8mb4_bin",
    "mariadb_engine": "InnoDB",
    "mariadb_charset": "utf8mb4",
    "mariadb_collate": "utf8mb4_bin",
}
"""Table options of every table; values compare by byte on MySQL as they do on SQLite."""


class Base(DeclarativeBase):
    """The declarative base of every table, with names for all constraints so that migrations can drop them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


class UTCDateTime(TypeDecorator[datetime]):
    """A moment in UTC with microseconds: aware in Python, without a zone in the database."""

    impl = DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> Any:
        if dialect.name in ("mysql", "mariadb"):
            return dialect.type_descriptor(MYSQL_DATETIME(fsp=6))
        return dialect.type_descriptor(DateTime())

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without a zone must not reach the database")
        return value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else value.replace(tzinfo=UTC)


class WithHooks(Protocol):
    """A transaction that hooks can be hung on: a session, or a `PacketTransaction`."""

    @property
    def info(self) -> dict[Any, Any]:
        """Whatever belongs to it."""


class DatabaseDown(Exception):
    """The database cannot be reached, or did not answer in time."""


class Database:
    """One engine and the transactions on it; made once per process, before or after a fork.

    :param uri: an SQLAlchemy URI, ``sqlite:///…`` or ``mysql+pymysql://…``.
    :param pool_size: connections kept open per process; as many more may be opened for a burst.
    :param timeout_s: how long to wait for a connection, and on SQLite for the write lock.
    """

    def __init__(self, uri: str, *, pool_size: int = 10, timeout_s: float = 5.0) -> None:
        self.uri = uri
        self.answer_s = ANSWER_S
        """Time that MariaDB or MySQL may take for one statement; then the connection is given up. Counts for
        connections that are made from now on. A server that hangs holds who asks for up to twice as long: the
        connection at hand is tried, then a new one."""
        self.engine = _make_engine(uri, pool_size, timeout_s)
        if not self.is_sqlite:
            event.listen(self.engine, "do_connect", self._connect)
        self.kept = KeptConnections(self.engine, most=0 if self.is_sqlite else pool_size // 2)
        self._reading = self.engine.execution_options(read_only=True)
        self._untouched: dict[bool, deque[Session]] = {True: deque(), False: deque()}

    @property
    def is_sqlite(self) -> bool:
        return self.engine.dialect.name == "sqlite"

    def _connect(self, dialect: Dialect, _record: object, cargs: list[Any], cparams: dict[str, Any]) -> Any:
        """A connection that packets can be sent on, where the driver has one; else None, and SQLAlchemy makes it."""
        cparams["read_timeout"] = cparams["write_timeout"] = self.answer_s
        if dialect.driver != "pymysql":
            return None
        from datingtoday.infra.packet_connection import PacketConnection

        return PacketConnection(*cargs, **cparams)

    def session(self, *, write: bool) -> Session:
        """A session that begins its transaction with the first statement; costs no round trip before that.

        :param write: False for work that only reads: on SQLite it then never waits for a writer.
        """
        try:
            return self._untouched[write].pop()
        except IndexError:
            return Session(self.engine if write else self._reading, expire_on_commit=False)

    def give_back(self, session: Session, *, write: bool) -> None:
        """Close a session, or keep it for whoever wants one next if nothing was done with it.

        Measured: 1 µs instead of 32 µs for the requests that are answered from the cache, which are most
        (docs/decisions/speed-tricks.md).
        """
        if session.in_transaction() or session.identity_map:
            session.close()
        else:
            session.info.clear()
            self._untouched[write].append(session)

    @contextmanager
    def transaction(self, *, write: bool = True) -> Iterator[Session]:
        """Commit at the end, roll back on any exception, then run what ``on_commit`` collected.

        :raises DatabaseDown: when the server cannot be reached.
        """
        session = self.session(write=write)
        try:
            yield session
            commit(session)
        except DBAPIError as error:
            if not should_retry(error):
                raise_if_down(error)
            raise
        except PoolTimeoutError as error:
            raise DatabaseDown(str(error)) from error
        finally:
            # Rolls back what was not committed.
            session.close()

    def reading(self) -> AbstractContextManager[Session]:
        """A transaction that only reads: on SQLite it never waits for a writer.

        :raises DatabaseDown: when the server cannot be reached.
        """
        return self.transaction(write=False)

    def retried(self, work: Callable[[Session], T], *, also: tuple[type[DBAPIError], ...] = ()) -> T:
        """The work in a transaction of its own, again after a lost race (deadlock, lock wait).

        :param also: other errors that mean a lost race, where rows are unique.
        :raises DatabaseDown: when the server cannot be reached, or the race was lost every time.
        """
        attempt = 1
        while True:
            try:
                with self.transaction() as session:
                    return work(session)
            except DBAPIError as error:
                if not (should_retry(error) or isinstance(error, also)):
                    raise
                if attempt == _ATTEMPTS:
                    raise DatabaseDown("lost every race") from error
                log.info("transaction_lost_a_race", attempt=attempt)
                attempt += 1

    @contextmanager
    def statements(self) -> Iterator[Connection]:
        """A transaction of few plain statements, without a session; committed at the end.

        :raises DatabaseDown: when the server cannot be reached.
        """
        try:
            with self.engine.begin() as connection:
                yield connection
        except DBAPIError as error:
            raise_if_down(error)
            raise
        except PoolTimeoutError as error:
            raise DatabaseDown(str(error)) from error

    def dispose(self, *, close: bool = True) -> None:
        """Let go of pooled connections; with ``close=False`` after a fork, leaving the parent's sockets alone."""
        self.kept.clear()
        self.engine.dispose(close=close)


def commit(session: Session) -> None:
    """Run what `before_commit` collected, commit, then run the after-commit hooks; each in the order of adding.

    A hook before the commit that fails prevents it. One after it that fails is logged: what was committed stays, and
    the other hooks still run.

    :raises DBAPIError: nothing was committed, but for a connection that was lost in the very moment: then nobody knows.
    """
    while hooks := session.info.pop(_BEFORE_COMMIT, ()):
        session.flush()
        for hook in hooks:
            hook()
    if session.in_transaction():
        # A session that no statement was sent on has nothing to commit, and is not worth the ceremony.
        session.flush()
        try:
            session.commit()
        except DBAPIError:
            # SQLite may leave the transaction open (disk full), and SQLAlchemy then does not roll it back: the next
            # user of the connection would be inside of it, and its write lock would stop everybody.
            session.invalidate()
            raise
    committed(session)


def committed(work: WithHooks) -> None:
    """Run the after-commit hooks of what has just been committed."""
    for hook in work.info.pop(_AFTER_COMMIT, ()):
        try:
            hook()
        except Exception:
            log.exception("after_commit_hook_failed", hook=getattr(hook, "__qualname__", repr(type(hook))))


def before_commit(session: Session, hook: Callable[[], None]) -> None:
    """Run ``hook`` directly before the session's transaction is committed; it may refuse by raising."""
    session.info.setdefault(_BEFORE_COMMIT, []).append(hook)


def on_commit(work: WithHooks, hook: Callable[[], None]) -> None:
    """Run ``hook`` once the transaction of a session (or of packets) is committed; never if it is rolled back."""
    work.info.setdefault(_AFTER_COMMIT, []).append(hook)


def should_retry(error: DBAPIError) -> bool:
    """True if the transaction lost a race (deadlock, lock wait) and the same work may be done again."""
    return _number(error.orig) in _MYSQL_RETRY


def raise_if_down(error: DBAPIError) -> None:
    """Raise `DatabaseDown` if `is_down` says so."""
    if is_down(error):
        raise DatabaseDown(type(error).__name__) from error


def is_down(error: DBAPIError) -> bool:
    """True if the error says that the server is unreachable, gone, replaced by another one, or too busy."""
    if error.connection_invalidated:
        return True
    number = _number(error.orig)
    if number is not None:
        # 2000 and above are PyMySQL's own, about the connection.
        known = number in _MYSQL_OTHER_SERVER or number in _MYSQL_BUSY or number in _MYSQL_RETRY
        return known or 2000 <= number < 2100
    # SQLite tells by text only.
    return isinstance(error, OperationalError) and any(word in str(error.orig) for word in _SQLITE_IS_DOWN)


def is_other_server(error: BaseException) -> bool:
    """True if this error of the driver says that the server is another one than the connection was made to."""
    return _number(error) in _MYSQL_OTHER_SERVER


def _number(error: BaseException | None) -> int | None:
    arguments = getattr(error, "args", ())
    return arguments[0] if arguments and isinstance(arguments[0], int) else None


def _throw_away(context: ExceptionContext) -> None:
    """Let SQLAlchemy drop the connection, and all that are older than this moment, where the server is another one."""
    if is_other_server(context.original_exception):
        context.is_disconnect = True


def _make_engine(uri: str, pool_size: int, timeout_s: float) -> Engine:
    if make_url(uri).get_backend_name() == "sqlite":
        engine = create_engine(
            uri,
            hide_parameters=True,
            connect_args={"timeout": timeout_s, "check_same_thread": False, "isolation_level": None},
            pool_size=pool_size,
            max_overflow=pool_size,
            pool_timeout=timeout_s,
        )
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine
    engine = create_engine(
        uri,
        # Every statement sees what others committed before it: no stale snapshot behind a lock that was waited for.
        isolation_level="READ COMMITTED",
        # An error's text goes to the log: without the values of the statement.
        hide_parameters=True,
        connect_args={
            "connect_timeout": max(1, int(timeout_s)),
            # A lock that is held longer is a transaction that hangs: the work is then done again, or refused with 503.
            "init_command": f"SET time_zone = '+00:00', innodb_lock_wait_timeout = {_LOCK_WAIT_S}",
        },
        pool_size=pool_size,
        max_overflow=pool_size,
        pool_timeout=timeout_s,
        pool_reset_on_return=None,
        pool_recycle=1800,
        pool_use_lifo=True,
    )
    event.listen(engine, "handle_error", _throw_away)
    pooled_connections.attend(engine)
    return engine


def _prepare_sqlite(connection: Any, _record: object) -> None:
    # FULL: an acknowledged commit survives a power cut, not only the end of the process.
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Any) -> None:
    # A transaction that will write takes the write lock at once: upgrading later fails without waiting when
    # another writer came between.
    read_only = connection.get_execution_options().get("read_only", False)
    connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")
