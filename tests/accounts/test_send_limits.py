"""Limits of codes at the very moment at which one more may be sent; and the row that a wrong code writes."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from datingtoday.accounts.even_work import write_decoy
from datingtoday.accounts.models import SmsCode, SmsDecoy
from datingtoday.accounts.send_limits import SendLimits, SmsRules
from datingtoday.infra.db import Base, Database
from datingtoday.protocol.errors import AppError, RateLimited

NOW = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)
TICK, SECOND, HOUR, DAY = (
    timedelta(microseconds=1),
    timedelta(seconds=1),
    timedelta(hours=1),
    timedelta(days=1),
)
PHONE, OTHER_PHONE = "+8613900000000", "+8613900000001"


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(f"sqlite:///{tmp_path}/codes.db")
    Base.metadata.create_all(
        database.engine, tables=[Base.metadata.tables[name] for name in ("sms_code", "sms_decoy")]
    )
    yield database
    database.dispose()


def keep(database: Database, *ages: timedelta, phone: str = PHONE, unclear: bool = False) -> None:
    with database.transaction() as session:
        for age in ages:
            session.add(
                SmsCode(
                    phone=phone, prefix=phone[:6], network="", purpose="login", code_hash="0" * 64,
                    sent_at=NOW - age, expires_at=NOW, unclear=unclear,
                )
            )  # fmt: skip


def wait_s(database: Database, rules: SmsRules, *, before: timedelta | None = None) -> int | None:
    """Seconds to wait for another code; None: it may be sent now. :param before: age of the newest code."""
    limits, sent_before = SendLimits(rules), None if before is None else NOW - before
    with database.reading() as session:
        try:
            limits.refuse_number(session, PHONE, sent_before, NOW)
            limits.refuse_ceilings(session, PHONE, NOW)
        except RateLimited as refused:
            assert refused.data is not None
            return int(refused.data["retry_after_s"])
    return None


OFF = SmsRules(
    gap_s=None, per_hour=None, per_day=None, per_prefix_per_day=None, in_all_per_day=None, is_limited=False
)
"""Each limit is looked at alone."""


@pytest.mark.parametrize(
    ("before", "left_s"),
    [
        (timedelta(0), 60),
        (30 * SECOND, 30),
        (60 * SECOND - TICK, 1),
        (60 * SECOND, None),
        (61 * SECOND, None),
        (None, None),
        (-HOUR, 60),  # a clock that was set back must not lock the number out
    ],
)
def test_the_gap(database: Database, before: timedelta | None, left_s: int | None) -> None:
    rules = SmsRules(per_hour=None, per_day=None, is_limited=False)
    assert wait_s(database, rules, before=before) == left_s
    assert wait_s(database, OFF, before=before) is None


@pytest.mark.parametrize(
    ("rules", "span", "unclear"),
    [
        ({"per_hour": 2}, HOUR, False),
        ({"per_hour": 2}, HOUR, True),
        ({"per_day": 2}, DAY, False),
        ({"is_limited": True, "code_tries": 45}, DAY + timedelta(seconds=300), False),
        ({"is_limited": True, "code_tries": 45}, DAY + timedelta(seconds=300), True),
        ({"per_prefix_per_day": 2}, DAY, False),
        ({"in_all_per_day": 2}, DAY, False),
    ],
)
def test_two_in_a_span(database: Database, rules: dict[str, int], span: timedelta, *, unclear: bool) -> None:
    limited = SmsRules(**{**{name: getattr(OFF, name) for name in SmsRules.__slots__}, **rules})
    keep(database, span, span - SECOND, unclear=unclear)
    assert wait_s(database, limited) is None
    keep(database, SECOND, unclear=unclear)
    assert wait_s(database, limited) == 1
    assert wait_s(database, OFF) is None


def test_limits_of_a_number_are_its_own_and_those_that_are_unclear_count_apart(database: Database) -> None:
    rules = SmsRules(gap_s=None, per_hour=1, per_day=1, is_limited=False)
    keep(database, SECOND, SECOND, phone=OTHER_PHONE)
    assert wait_s(database, rules) is None
    keep(database, 2 * HOUR, unclear=True)
    assert wait_s(database, rules) is None
    keep(database, SECOND, unclear=True)
    assert wait_s(database, rules) == 3599


def test_a_region_that_is_not_served() -> None:
    SendLimits(SmsRules()).refuse_region("+16502530000")
    limits = SendLimits(SmsRules(regions=("CN", "HK")))
    limits.refuse_region(PHONE)
    with pytest.raises(AppError) as refused:
        limits.refuse_region("+16502530000")
    assert refused.value.message("zh") == "手机号 phone 所属的国家或地区暂不支持；允许：CN, HK 的号码"


def test_a_decoy_is_another_one_every_time(database: Database) -> None:
    """A row that is written as it was is not brought to the disk, and a number that grew on would end one day."""
    rows = []
    for _ in range(4):
        with database.transaction() as session:
            write_decoy(session, "0fff")
            (found,) = session.scalars(select(SmsDecoy).execution_options(populate_existing=True))
            rows.append((found.id, found.tries))
    assert rows == [(1023, 0), (1023, 1), (1023, 0), (1023, 1)]
