"""Findings from given facts of a database server: their state at each edge, and the exact repair."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from datingtoday.cli.doctor import database_checks
from datingtoday.cli.doctor.findings import Finding
from tests.cli.doctor.conftest import load

MYSQL = "mysql+pymysql://dt:hunter2secret@db.example/dating"
GOOD = {
    "version": "10.11.6-MariaDB",
    "innodb_flush_log_at_trx_commit": "1",
    "log_bin": "ON",
    "sync_binlog": "1",
    "binlog_format": "ROW",
    "sql_mode": "STRICT_TRANS_TABLES,NO_ZERO_DATE",
    "character_set_database": "utf8mb4",
    "max_connections": "500",
    "read_only": "OFF",
}
AS_ROOT = "mysql -h db.example -P 3306 -u root -p"


def fixes(found: Finding) -> str:
    assert found.fix is not None
    return found.fix.en


def found_of(folder: Path, variables: Mapping[str, str], level: str = "READ COMMITTED") -> dict[str, Finding]:
    connection: Any = SimpleNamespace(
        execute=lambda _: {**GOOD, **variables}.items(), get_isolation_level=lambda: level
    )
    settings = load(folder, DATABASE_URI=MYSQL, SERVER_WORKERS=3, DATABASE_POOL_SIZE=7)
    return {it.check: it for it in database_checks._server(connection, settings)}


def test_in_order(tmp_path: Path) -> None:
    found = found_of(tmp_path, {})
    assert {it.state for it in found.values()} == {"ok"} and "database.read_only" not in found
    assert found["database.max_connections"].message.en == "500; this host needs at most 70"


@pytest.mark.parametrize(
    ("variables", "check", "state", "fix"),
    [
        ({"max_connections": "71"}, "max_connections", "ok", None),
        ({"max_connections": "70"}, "max_connections", "warning", "SET GLOBAL max_connections = 120"),
        ({"read_only": "0"}, "read_only", None, None),
        ({"read_only": "ON"}, "read_only", "error", "SET GLOBAL read_only = OFF"),
        ({"sql_mode": "STRICT_ALL_TABLES"}, "sql_mode", "ok", None),
        ({"sql_mode": "A,B"}, "sql_mode", "error", "SET GLOBAL sql_mode = 'STRICT_TRANS_TABLES,A,B'"),
        ({"sql_mode": ""}, "sql_mode", "error", "SET GLOBAL sql_mode = 'STRICT_TRANS_TABLES'"),
        ({"log_bin": "1", "sync_binlog": "0"}, "sync_binlog", "error", "SET GLOBAL sync_binlog = 1"),
        ({"log_bin": "OFF", "sync_binlog": "0"}, "sync_binlog", "ok", None),
        ({"binlog_format": "STATEMENT"}, "binlog_format", "error", "SET GLOBAL binlog_format = ROW"),
        ({"binlog_format": "MIXED"}, "binlog_format", None, None),
        (
            {"innodb_flush_log_at_trx_commit": "2"},
            "flush_log",
            "error",
            "innodb_flush_log_at_trx_commit = 1",
        ),
        (
            {"character_set_database": "latin1"},
            "charset",
            "error",
            "ALTER DATABASE dating CHARACTER SET utf8mb4",
        ),
        ({"version": "10.10.9-MariaDB"}, "version", "error", "apt install mariadb-server"),
        ({"version": "10.11.0-MariaDB"}, "version", "ok", None),
        ({"version": "unknown"}, "version", "error", "apt install mariadb-server"),
    ],
)
def test_one_that_is_not(
    tmp_path: Path, variables: dict[str, str], check: str, state: str | None, fix: str | None
) -> None:
    found = found_of(tmp_path, variables)
    if state is None:
        assert f"database.{check}" not in found
        return
    finding = found[f"database.{check}"]
    assert finding.state == state
    assert (fix is None) == (finding.fix is None) and (fix or "") in (fixes(finding) if fix else "")
    assert sorted(it.check for it in found.values() if it.state != "ok") == (
        [] if state == "ok" else [finding.check]
    )


def test_too_old_and_a_proxy_in_between(tmp_path: Path) -> None:
    found = found_of(tmp_path, {"version": "5.7.44"}, "REPEATABLE READ")
    assert found["database.version"].message.en == "MySQL 5.7.44 is too old; 8.0 is needed"
    assert found["database.isolation"].state == "error"
    old = found_of(tmp_path, {"version": "10.5.23-MariaDB"})["database.version"]
    assert old.message.en == "MariaDB 10.5.23-MariaDB is too old; 10.11 is needed"


@pytest.mark.parametrize(
    ("uri", "reason", "fix"),
    [
        ("sqlite:////data/x.db", "unable to open database file", "ls -l /data/x.db"),
        (MYSQL, "(1045, 'x')", "mysql -h db.example -P 3306 -u dt -p dating"),
        (f"{MYSQL}?x=1", "Access denied for user", "mysql -h db.example -P 3306 -u dt -p dating"),
        (
            MYSQL.replace("example/", "example:3307/"),
            "(1045, 'x')",
            "mysql -h db.example -P 3307 -u dt -p dating",
        ),
        (MYSQL, "(1049, 'x')", f'{AS_ROOT} -e "CREATE DATABASE dating'),
        (MYSQL, "Unknown database 'dating'", f'{AS_ROOT} -e "CREATE DATABASE dating'),
        (MYSQL, "timed out", "systemctl status mariadb; mysqladmin -h db.example -P 3306 ping"),
        (
            MYSQL.replace("example/", "example:3307/"),
            "timed out",
            "mysqladmin -h db.example -P 3307 ping",
        ),
    ],
)
def test_one_that_cannot_be_used(tmp_path: Path, uri: str, reason: str, fix: str) -> None:
    failure = OperationalError("SELECT 1", None, Exception(reason))
    found = database_checks._unreachable(load(tmp_path, DATABASE_URI=uri), failure)
    assert (found.state, found.message.en) == ("error", f"cannot be used: {reason}")
    assert fix in fixes(found)
