"""Keys of tables as the models declare them and as the migrations make them: ids that are given out, and never twice.

What Alembic compares by itself (columns, types, indexes) is in `test_migrations.py`.
"""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import Dialect, Table
from sqlalchemy.dialects import mysql, sqlite
from sqlalchemy.schema import CreateTable

from datingtoday.infra.db import Base
from tests.house.source import PROJECT
from tests.house.test_constants import modules
from tests.plugins.schema import bring_up

_PRIMARY_KEY = re.compile(r"PRIMARY KEY\s*\(([^)]*)\)")


def tables() -> list[Table]:
    # Every model is known once every module is imported.
    assert all(modules())
    return list(Base.metadata.sorted_tables)


def keys_in(statement: str) -> tuple[bool, list[str]]:
    """True if the table gives out ids by itself (on SQLite: each once), and the columns of its primary key."""
    gives_ids = "AUTOINCREMENT" in statement.upper().replace("AUTO_INCREMENT", "AUTOINCREMENT")
    if found := _PRIMARY_KEY.search(statement):
        return gives_ids, [name.strip(' `"') for name in found[1].split(",")]
    return gives_ids, re.findall(r'^[\s(]*[`"]?(\w+)[`"]? \w+ NOT NULL PRIMARY KEY', statement, re.M)


def declared(dialect: Dialect) -> dict[str, tuple[bool, list[str]]]:
    return {table.name: keys_in(str(CreateTable(table).compile(dialect=dialect))) for table in tables()}


def migrated_on_mysql() -> dict[str, str]:
    script = (PROJECT / "datingtoday.sql").read_text()
    return {
        found[1]: found[0]
        for found in re.finditer(r"^CREATE TABLE `?(\w+)`? \(.*?^\)", script, re.M | re.DOTALL)
    }


def migrated_on_sqlite(folder: Path) -> dict[str, str]:
    bring_up(f"sqlite:///{folder / 'keys.db'}")
    with closing(sqlite3.connect(folder / "keys.db")) as connection:
        rows = connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'table'").fetchall()
    return dict(rows)


@pytest.mark.parametrize("product", ["mysql", "sqlite"])
def test_keys_are_those_that_the_models_declare(product: str, tmp_path: Path) -> None:
    dialect: Dialect = mysql.dialect() if product == "mysql" else sqlite.dialect()
    made = migrated_on_mysql() if product == "mysql" else migrated_on_sqlite(tmp_path)
    found = {name: keys_in(made[name]) for name in declared(dialect)}
    assert found == declared(dialect)
    assert len(found) > 30 and all(key for _, key in found.values())
    assert found["user_order"] == (True, ["id"])
    assert found["contacts"] == (False, ["user_id", "peer_id"])
