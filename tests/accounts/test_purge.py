"""`datingtoday purge`: what is old goes, in batches, and nothing else."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import event, insert, text

from datingtoday.accounts.jobs import CODES_KEPT, SESSIONS_KEPT, purge
from datingtoday.accounts.models import SmsCode, SmsNumber, UserSession
from datingtoday.app import Parts
from datingtoday.cli.main import run
from datingtoday.infra.db import Database
from tests.accounts.rows import all_rows
from tests.plugins.api import Api, User, new_phone
from tests.plugins.backend import Backend
from tests.plugins.sql_product import plan_of
from tests.plugins.statements import statements

NOW = datetime.now(UTC)
SECOND = timedelta(seconds=1)


@pytest.fixture
def parts(app_of: Callable[..., Api]) -> Parts:
    return app_of().parts


def add_codes(parts: Parts, ages: list[timedelta]) -> None:
    with parts.base.database.transaction() as session:
        for age in ages:
            sent_at = NOW - age
            session.add(
                SmsCode(
                    phone=f"+86{new_phone()}",
                    purpose="login",
                    code_hash="0" * 64,
                    sent_at=sent_at,
                    expires_at=sent_at + timedelta(minutes=5),
                )
            )


def add_numbers(parts: Parts, ages: list[timedelta | None]) -> None:
    with parts.base.database.transaction() as session:
        for age in ages:
            last = None if age is None else NOW - age
            session.add(SmsNumber(phone=f"+86{new_phone()}", last_sent_at=last))


def add_sessions(parts: Parts, expired_for: list[timedelta], **values: Any) -> None:
    person = parts.profiles.service
    with parts.base.database.transaction() as session:
        user_id = person.register(session, phone=f"+86{new_phone()}", now=NOW).id
        for number, age in enumerate(expired_for):
            session.add(
                UserSession(
                    user_id=user_id,
                    token_hash=f"{user_id:032}{number:032}",
                    login_time=NOW - age - timedelta(days=7),
                    last_seen=NOW - age - timedelta(days=7),
                    expires_at=NOW - age,
                    **values,
                )
            )


def count(parts: Parts, table: str) -> int:
    return sum(name == table for name, _ in all_rows(parts))


class TestWhatGoes:
    def test_codes_that_no_limit_looks_back_at(self, parts: Parts) -> None:
        add_codes(parts, [timedelta(0), CODES_KEPT - SECOND, CODES_KEPT + SECOND, timedelta(days=400)])
        assert purge(parts.base.database, NOW)["sms_code"] == 2
        assert count(parts, "sms_code") == 2

    def test_numbers_without_codes(self, parts: Parts) -> None:
        add_numbers(parts, [timedelta(0), CODES_KEPT - SECOND, CODES_KEPT + SECOND, None])
        assert purge(parts.base.database, NOW)["sms_number"] == 2
        assert {row["last_sent_at"] for row in all_rows(parts).values()} == {NOW, NOW - CODES_KEPT + SECOND}

    def test_logins_that_expired_long_ago(self, parts: Parts) -> None:
        add_sessions(
            parts, [-timedelta(days=7), timedelta(0), SESSIONS_KEPT - SECOND, SESSIONS_KEPT + SECOND]
        )
        add_sessions(
            parts, [SESSIONS_KEPT - SECOND, SESSIONS_KEPT + SECOND], ended_at=NOW, end_reason="logged_out"
        )
        assert purge(parts.base.database, NOW)["user_session"] == 2
        assert count(parts, "user_session") == 4
        assert count(parts, "user_info") == 2

    def test_a_number_that_is_being_used_stays(self, parts: Parts) -> None:
        """It was old when it was found, and not when it is removed."""
        add_numbers(parts, [CODES_KEPT + SECOND])
        (phone,) = [key for table, key in all_rows(parts) if table == "sms_number"]

        sent: list[str] = []

        def send_now(_connection: Any, _cursor: Any, statement: str, *_others: Any) -> None:
            if statement.startswith("SELECT sms_number") and not sent:
                sent.append(phone)
                parts.accounts.service.codes.send(phone, "login", address="10.0.0.1", now=NOW)

        event.listen(parts.base.database.engine, "after_cursor_execute", send_now)
        assert purge(parts.base.database, NOW)["sms_number"] == 0
        assert sent and count(parts, "sms_number") == 1

    def test_a_login_that_is_used_survives_many_purges(self, app_of: Callable[..., Api]) -> None:
        api = app_of()
        user = api.new_user()
        before = all_rows(api.parts)
        purge(api.parts.base.database, NOW)
        assert all_rows(api.parts) == before
        assert api.get("/api/user/show", user).code == 0

    def test_a_purged_token_is_as_one_that_never_was(self, app_of: Callable[..., Api]) -> None:
        api = app_of()
        user: User = api.new_user()
        api.post("/api/auth/logout", user).data  # noqa: B018 - asserts success
        purge(api.parts.base.database, datetime.now(UTC) + SESSIONS_KEPT + timedelta(days=6))
        api.parts.base.guard_redis.client.delete(*api.parts.base.guard_redis.client.keys("session:*"))
        assert api.get("/api/user/show", user).code == 1101
        purge(api.parts.base.database, datetime.now(UTC) + SESSIONS_KEPT + timedelta(days=7))
        api.parts.base.guard_redis.client.delete(*api.parts.base.guard_redis.client.keys("session:*"))
        assert api.get("/api/user/show", user).code == 504


class TestBatches:
    def test_no_statement_touches_more_rows(self, parts: Parts) -> None:
        add_codes(parts, [CODES_KEPT + SECOND] * 45)
        touched: list[int] = []

        def look(_connection: Any, cursor: Any, statement: str, *_others: Any) -> None:
            if statement.startswith("DELETE"):
                touched.append(cursor.rowcount)

        event.listen(parts.base.database.engine, "after_cursor_execute", look)
        told: list[tuple[str, int]] = []
        removed = purge(
            parts.base.database, NOW, batch_rows=20, report_progress=lambda *step: told.append(step)
        )
        assert touched == [20, 20, 5]
        assert told == [("sms_code", 20), ("sms_code", 40), ("sms_code", 45)]
        assert removed == {"sms_code": 45, "sms_number": 0, "user_session": 0}

    def test_others_write_in_between(self, parts: Parts) -> None:
        add_codes(parts, [CODES_KEPT + SECOND] * 10)
        sent: list[str] = []

        def send(*_step: Any) -> None:
            phone = f"+86{new_phone()}"
            sent.append(parts.accounts.service.codes.send(phone, "login", address="10.0.0.1", now=NOW))

        purge(parts.base.database, NOW, batch_rows=2, report_progress=send)
        assert len(sent) == 5 == count(parts, "sms_code")

    def test_what_was_stopped_goes_on(self, parts: Parts) -> None:
        add_codes(parts, [CODES_KEPT + SECOND] * 10)

        def stop(*_step: Any) -> None:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            purge(parts.base.database, NOW, batch_rows=4, report_progress=stop)
        assert count(parts, "sms_code") == 6
        assert purge(parts.base.database, NOW, batch_rows=4)["sms_code"] == 6

    def test_the_rows_are_found_by_an_index(self, backend: Backend, parts: Parts) -> None:
        """Reading all rows to find the old ones, again for every batch, would take hours where there are millions."""
        with statements(parts.base.database) as seen:
            purge(parts.base.database, NOW)
        reading = [statement for statement in seen if statement.text.startswith("SELECT")]
        assert len(reading) == 3
        for statement, parameters in reading:
            with parts.base.database.engine.connect() as connection:
                plan = repr(plan_of(connection, statement, parameters))
            assert re.search("ix_(sms_code_sent_at|sms_number_last_sent_at|user_session_expires_at)", plan), (
                plan
            )
            assert "filesort" not in plan.lower() and "TEMP B-TREE" not in plan


class TestCommand:
    @pytest.fixture
    def settings(self, backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("DATINGTODAY_DATABASE_URI", backend.database_uri)
        monkeypatch.setenv("LC_ALL", "C.UTF-8")

    def test_says_what_went(self, parts: Parts, settings: None, capsys: pytest.CaptureFixture[str]) -> None:
        add_codes(parts, [timedelta(0), CODES_KEPT + timedelta(days=1)])
        assert run(["purge", "--batch", "1"]) == 0
        assert capsys.readouterr().out.splitlines()[-5:] == [
            "sms_code: 1 removed",
            "sms_number: 0 removed",
            "user_session: 0 removed",
            "accounts: 0 removed",
            "kept_signature: 0 removed",
        ]
        assert count(parts, "sms_code") == 1

    def test_is_quiet_if_asked(
        self, parts: Parts, settings: None, capsys: pytest.CaptureFixture[str]
    ) -> None:
        add_codes(parts, [CODES_KEPT + timedelta(days=1)])
        assert run(["purge", "--quiet"]) == 0
        captured = capsys.readouterr()
        assert captured.out == captured.err == ""
        assert count(parts, "sms_code") == 0

    def test_tells_its_progress(
        self,
        parts: Parts,
        settings: None,
        capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr("datingtoday.cli.progress._LINE_EVERY_S", 0)
        monkeypatch.setenv("LC_ALL", "zh_CN.UTF-8")
        add_codes(parts, [CODES_KEPT + timedelta(days=1)] * 3)
        assert run(["purge", "--batch", "2"]) == 0
        told = capsys.readouterr()
        assert told.err.splitlines() == ["sms_code: 已删除 2 行 …", "sms_code: 已删除 3 行 …"]
        assert told.out.splitlines()[0] == "sms_code: 已删除 3 行"

    def test_without_a_schema_says_what_to_do(
        self, backend: Backend, settings: None, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert run(["purge"]) == 1
        assert capsys.readouterr().err == (
            "datingtoday: the database is not up to date: run `datingtoday db upgrade`\n"
        )


def test_a_large_table_is_purged_quickly(parts: Parts) -> None:
    """20,000 rows in the default batches; the time is generous, what it forbids is a scan for every batch."""
    database: Database = parts.base.database
    rows = [
        {
            "phone": f"+8613{number:09}",
            "purpose": "login",
            "code_hash": "0" * 64,
            "tries": 0,
            "unclear": False,
        }
        | {"sent_at": NOW - CODES_KEPT - SECOND, "expires_at": NOW - CODES_KEPT}
        for number in range(20_000)
    ]
    with database.transaction() as session:
        session.execute(insert(SmsCode), rows)
    assert purge(database, NOW)["sms_code"] == 20_000
    with database.transaction(write=False) as session:
        assert session.execute(text("SELECT count(*) FROM sms_code")).scalar() == 0
