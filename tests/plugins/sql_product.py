"""MariaDB and MySQL: the one place that knows where the two differ, as far as tests care.

The tests run on MariaDB, or on MySQL if the environment variable ``MYSQLD`` names its server: a path, or a name on the
PATH (``make test MYSQLD=mysqld``).
"""

from __future__ import annotations

import getpass
import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

MYSQLD = os.environ.get("MYSQLD", "")


@dataclass(frozen=True)
class SqlProduct:
    """A server program of one kind: how to set it up, start it, and ask what the two say differently."""

    name: str
    tool: str
    """Its name in `tools.TOOLS`."""
    programs: tuple[str, ...]
    """The server's program first."""
    packages: tuple[str, ...]
    """Debian packages; none where there is no such package."""
    minimum: tuple[int, int]
    administrator: str
    """Account that may do anything, over the server's socket and without a password."""
    options: tuple[str, ...]
    password_plugin: str
    """Authentication plugin of an account that was made without naming one."""
    offers_tls: bool
    """True if it makes itself a certificate."""
    read_only_transactions: str
    """The global variable that makes new transactions read-only."""
    explain: str
    """The words before a statement that ask for its plan as a table: a row for each table that is read."""

    def initialise(self, programs: Sequence[str], data: Path) -> str:
        """The shell command that makes an empty data folder."""
        server, *others = programs
        if self is MARIADB:
            command = [*others, "--no-defaults", "--skip-test-db"]
        else:
            command = [server, "--no-defaults", "--initialize-insecure", *self.options]
        return shlex.join([*command, *run_as(), f"--datadir={data}"])

    def users(self, name: str, password: str) -> str:
        """Statements, one a line, run at every start: a user who may do anything to databases ``dt_…``."""
        account = f"'{name}'@'127.0.0.1'"
        return (
            f"CREATE USER IF NOT EXISTS {account};\n"
            f"ALTER USER {account} IDENTIFIED BY '{password}' ACCOUNT UNLOCK;\n"
            f"GRANT ALL ON `dt\\_%`.* TO {account};\n"
        )

    def without_repetition(self, schema: str) -> str:
        """Statements of ``SHOW CREATE TABLE``, without a character set beside the collation that implies it.

        Whether MySQL names it depends on how the table was made.
        """
        return schema.replace(" CHARACTER SET utf8mb4 COLLATE utf8mb4", " COLLATE utf8mb4")

    def has_version(self, text: str) -> bool:
        """True if a server that says this of its version is of this product."""
        return ("MariaDB" in text) == (self is MARIADB)


MARIADB = SqlProduct(
    name="MariaDB",
    tool="mariadb",
    programs=("mariadbd", "mariadb-install-db"),
    packages=("mariadb-server",),
    minimum=(10, 6),
    # mariadb-install-db makes an account of the operating system's user.
    administrator=getpass.getuser(),
    options=("--innodb-log-file-size=48M",),
    password_plugin="mysql_native_password",
    offers_tls=False,
    read_only_transactions="tx_read_only",
    explain="EXPLAIN",
)
MYSQL = SqlProduct(
    name="MySQL",
    tool="mysql",
    programs=(MYSQLD or "mysqld",),
    packages=(),
    minimum=(8, 0),
    administrator="root",
    # `loose-` ignores what an older 8.0 does not know.
    options=("--loose-innodb-redo-log-capacity=48M", "--mysqlx=OFF", "--secure-file-priv=NULL"),
    password_plugin="caching_sha2_password",
    offers_tls=True,
    read_only_transactions="transaction_read_only",
    # Its default is a setting, and another one in newer versions.
    explain="EXPLAIN FORMAT=TRADITIONAL",
)
TESTED = MYSQL if MYSQLD else MARIADB
"""The product that this run of the tests is on."""


def run_as() -> list[str]:
    """The option without which neither server starts as root."""
    return ["--user=root"] if os.getuid() == 0 else []


@dataclass(frozen=True)
class PlanStep:
    """Access to one table. On SQLite all that is known of a step is in `extra`."""

    table: str
    access: str
    extra: str
    text: str
    """All of it, for looking for words."""


def plan_of(connection: Connection, statement: str, values: Any = ()) -> list[PlanStep]:
    """The plan of a statement, on SQLite too."""
    words = "EXPLAIN QUERY PLAN" if connection.dialect.name == "sqlite" else TESTED.explain
    steps = []
    for row in connection.exec_driver_sql(f"{words} {statement}", values).mappings():
        text = " ".join(str(value) for value in row.values())
        told = {name: str(row.get(name) or "") for name in ("table", "type", "Extra", "detail")}
        steps.append(PlanStep(told["table"], told["type"], told["Extra"] or told["detail"], text))
    return steps
