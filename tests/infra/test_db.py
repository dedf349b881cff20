"""Sessions and transactions of a database, beyond what every feature shows by working."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import func, select

import datingtoday
from datingtoday.accounts.models import SmsNumber
from datingtoday.infra.db import Database, on_commit
from tests.plugins.api import Api


def count(database: Database) -> int:
    with database.transaction(write=False) as session:
        return session.scalar(select(func.count()).select_from(SmsNumber)) or 0


def test_a_session_that_nothing_was_done_with_is_used_again(api: Api) -> None:
    database = api.parts.base.database
    session = database.session(write=False)
    on_commit(session, lambda: None)
    database.give_back(session, write=False)
    assert database.session(write=False) is session
    assert not session.info, "what was to be done after its commit is not done after another transaction's"
    assert database.session(write=True) is not session


def test_nothing_of_one_request_is_left_for_the_next(api: Api) -> None:
    database = api.parts.base.database
    before, now = count(database), datetime.now(UTC)
    for keep in (True, False):
        session = database.session(write=True)
        # Held on to, as a view might.
        row = SmsNumber(phone=f"+86139{before:07d}{keep:d}", last_sent_at=now)
        session.add(row)
        if keep:
            session.commit()
            assert row in session
        database.give_back(session, write=True)
        another = database.session(write=True)
        assert another is not session and row not in session
        another.commit()
        another.close()
    assert count(database) == before + 1


def test_no_upsert_is_written_as_text() -> None:
    """``VALUES(column)`` is MariaDB's; MySQL names the new row. SQLAlchemy's ``inserted`` becomes either."""
    sources = Path(datingtoday.__file__).parent.rglob("*.py")
    assert [file.name for file in sources if re.search(r"\bVALUES\(", file.read_text(encoding="utf-8"))] == []
