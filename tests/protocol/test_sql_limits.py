"""Limits and numbers that are counted in SQL, at the moment at which a row is old enough."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from sqlalchemy import select

from datingtoday.accounts.jobs import purge
from datingtoday.accounts.models import SmsCode, SmsNumber
from datingtoday.accounts.send_limits import SmsRules
from datingtoday.accounts.sms_metrics import SmsNumbers
from datingtoday.infra.db import Base, Database
from datingtoday.protocol.errors import RateLimited
from datingtoday.protocol.sql_limits import refuse_above
from tests.plugins.statements import statements

NOW = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)
TICK, HOUR, DAY = timedelta(microseconds=1), timedelta(hours=1), timedelta(days=1)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(f"sqlite:///{tmp_path}/limits.db")
    names = ("sms_code", "sms_number", "user_session")
    Base.metadata.create_all(database.engine, tables=[Base.metadata.tables[name] for name in names])
    yield database
    database.dispose()


def keep(
    database: Database, *ages: timedelta, prefix: str = "+86139", purpose: str = "login", used: int = 0
) -> None:
    """Codes of these ages; of ``used`` the first were used."""
    with database.transaction() as session:
        for number, age in enumerate(ages):
            session.add(
                SmsCode(
                    phone=f"{prefix}00000000", prefix=prefix, network="", purpose=purpose, code_hash="0" * 64,
                    sent_at=NOW - age, expires_at=NOW, used_at=NOW if number < used else None,
                )
            )  # fmt: skip


def wait_s(database: Database, most: int | None) -> int | None:
    """Seconds that one more has to wait; None: it need not."""
    with database.reading() as session:
        try:
            refuse_above(session, SmsCode.sent_at, most, HOUR, NOW)
        except RateLimited as refused:
            assert refused.data is not None
            return int(refused.data["retry_after_s"])
    return None


def test_a_row_counts_until_it_is_as_old_as_the_span(database: Database) -> None:
    keep(database, HOUR, HOUR - TICK, HOUR / 2)
    assert wait_s(database, 3) is None
    assert wait_s(database, 2) == 1
    assert wait_s(database, 1) == 1800, "until the newest is old enough"
    assert wait_s(database, None) is None


def test_codes_and_numbers_are_kept_for_two_days(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twice as long as a limit looks back."""
    keep(database, 2 * DAY, 2 * DAY + TICK, HOUR)
    with database.transaction() as session:
        for number, at in enumerate((NOW - 2 * DAY, NOW - 2 * DAY - TICK, NOW, None)):
            session.add(SmsNumber(phone=f"+8613900000{number}", last_sent_at=at))
    paused: list[float] = []
    monkeypatch.setattr("datingtoday.accounts.jobs.time", SimpleNamespace(sleep=paused.append))
    with statements(database) as seen:
        for _ in range(2):
            removed = purge(database, NOW)
    assert paused == [0.02, 0.02], "for others after each batch, in which a thousand rows have room"
    assert sum(1_000 in it.values for it in seen) == sum("LIMIT" in it.text for it in seen) > 0
    assert removed == {"sms_code": 0, "sms_number": 0, "user_session": 0}, "the second time nothing is left"
    with database.reading() as session:
        ages = [NOW - at for at in session.scalars(select(SmsCode.sent_at).order_by(SmsCode.sent_at))]
        assert ages == [2 * DAY, HOUR]
        phones = session.scalars(select(SmsNumber.phone).order_by(SmsNumber.phone)).all()
        assert phones == ["+86139000000", "+86139000002"]


def test_without_rows_nobody_waits(database: Database) -> None:
    assert wait_s(database, 1) is None


def samples(database: Database, rules: SmsRules) -> dict[str, dict[str, float]]:
    numbers = SmsNumbers(database, rules)
    return {
        metric.name.removeprefix("datingtoday_sms_"): {
            sample.labels["prefix"]: sample.value for sample in metric.samples
        }
        for metric in numbers.read(NOW)
    }


def test_messages_of_a_day_and_what_became_of_them(database: Database) -> None:
    keep(database, DAY, DAY - TICK, HOUR, HOUR, HOUR, used=2)
    keep(database, HOUR, prefix="+85261", purpose="delete", used=1)
    found = samples(database, SmsRules(per_prefix_per_day=8, in_all_per_day=50))
    sent, converted, ceiling = found.values()
    assert sent == {"+86139": 4, "+85261": 1, "all": 5}
    assert converted == {"+86139": 0.25, "all": 0.25}, "the oldest of those used is a day old"
    assert ceiling == {"+86139": 0.5, "+85261": 0.125, "all": 0.1}


def test_fifty_prefixes_have_a_series_and_all_of_them_are_added_up(database: Database) -> None:
    for number in range(51):
        keep(database, *[HOUR] * (2 if number else 1), prefix=f"+1{number:04}")
    sent = next(iter(samples(database, SmsRules()).values()))
    assert len(sent) == 51 and "+10000" not in sent and sent["all"] == 101
