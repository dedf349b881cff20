"""Moments at which a profile changes on its own: birthdays, the end of VIP and of bans."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta

import pytest

from datingtoday.infra.days import ServiceDays
from datingtoday.profiles.models import UserInfo, UserStatus
from datingtoday.profiles.people import Person, age_in_years, is_gone, next_birthday, true_until
from datingtoday.profiles.service import neutral_nickname

NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
SHANGHAI = ServiceDays("Asia/Shanghai")


@pytest.mark.parametrize(
    ("born", "today", "age", "next_"),
    [
        (date(1990, 1, 5), date(2026, 1, 4), 35, date(2026, 1, 5)),
        (date(1990, 1, 5), date(2026, 1, 5), 36, date(2027, 1, 5)),
        (date(1990, 1, 5), date(2026, 6, 1), 36, date(2027, 1, 5)),
        (date(1990, 12, 31), date(2026, 12, 31), 36, date(2027, 12, 31)),
        (date(2000, 2, 29), date(2026, 2, 28), 25, date(2026, 3, 1)),
        (date(2000, 2, 29), date(2026, 3, 1), 26, date(2027, 3, 1)),
        (date(2000, 2, 29), date(2027, 3, 1), 27, date(2028, 2, 29)),
        (date(2000, 2, 29), date(2028, 2, 28), 27, date(2028, 2, 29)),
        (date(2000, 2, 29), date(2028, 2, 29), 28, date(2029, 3, 1)),
    ],
)
def test_birthdays(born: date, today: date, age: int, next_: date) -> None:
    assert age_in_years(born, today) == age
    assert next_birthday(born, today) == next_
    assert age_in_years(born, next_ - timedelta(days=1)) == age
    assert age_in_years(born, next_) == age + 1
    # The day begins in the time zone of the service.
    person = Person(UserInfo(birthday=born, status=UserStatus.ACTIVE), days=SHANGHAI)
    morning = datetime(today.year, today.month, today.day, tzinfo=UTC)
    begins = datetime(next_.year, next_.month, next_.day, tzinfo=UTC) - timedelta(hours=8)
    assert true_until(person, morning) == begins


def test_the_earliest_moment_counts() -> None:
    row = UserInfo(
        birthday=date(1990, 7, 3), status=UserStatus.BANNED, banned_until=datetime(2026, 7, 2, tzinfo=UTC)
    )
    vip_until = datetime(2026, 7, 1, 18, tzinfo=UTC)
    person = Person(row, vip_until=vip_until)
    assert true_until(person, NOW) == vip_until
    # Of VIP and a ban that end now nothing is left that could change.
    assert true_until(person, vip_until - SECOND) == vip_until
    assert true_until(person, vip_until) == row.banned_until
    assert row.banned_until is not None
    assert true_until(person, row.banned_until) == datetime(2026, 7, 3, tzinfo=UTC)


def test_a_profile_that_never_changes_on_its_own() -> None:
    for status, banned_until in (
        (UserStatus.ACTIVE, None),
        (UserStatus.BANNED, None),
        (UserStatus.BANNED, NOW),
        (UserStatus.ACTIVE, NOW + SECOND),
        (UserStatus.DELETED, NOW + SECOND),
    ):
        row = UserInfo(birthday=None, status=status, banned_until=banned_until)
        assert true_until(Person(row, vip_until=NOW), NOW) is None
        assert true_until(Person(row), NOW) is None


def test_a_ban_ends_at_its_moment_and_a_deletion_never() -> None:
    def gone(status: UserStatus, until: datetime | None) -> bool:
        return is_gone(UserInfo(status=status, banned_until=until), NOW)

    assert gone(UserStatus.BANNED, None) and gone(UserStatus.BANNED, NOW + SECOND)
    assert not gone(UserStatus.BANNED, NOW) and not gone(UserStatus.BANNED, NOW - SECOND)
    assert gone(UserStatus.DELETED, None) and gone(UserStatus.DELETED, NOW - SECOND)
    assert not gone(UserStatus.ACTIVE, None) and not gone(UserStatus.ACTIVE, NOW + SECOND)


def test_vip_ends_at_its_moment() -> None:
    ends = [Person(UserInfo(), vip_until=NOW + by).is_vip(NOW) for by in (-SECOND, 0 * SECOND, SECOND)]
    assert ends == [False, False, True]
    assert not Person(UserInfo()).is_vip(NOW)


def test_a_neutral_nickname_tells_nothing() -> None:
    names = {neutral_nickname() for _ in range(50)}
    assert all(re.fullmatch(r"用户[2-9a-hjkmnp-z]{8}", name) for name in names)
    assert len(names) == 50
