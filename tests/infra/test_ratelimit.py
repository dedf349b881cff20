"""Limits to the millisecond: any span of time holds so many and no more, and the answer says when there is room."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime, timedelta

import pytest

from datingtoday.infra.ratelimit import RateLimits, TooMany
from tests.plugins.api import Api

NOW = datetime(2026, 11, 29, 12, 0, 0, 250_000, tzinfo=UTC)


def later(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


class Limit:
    """Two a minute, of a key that nobody else counts."""

    def __init__(self, limits: RateLimits) -> None:
        self.limits = limits
        self.key = secrets.token_hex(8)

    def hit(self, seconds: float) -> float:
        """Seconds until there is room; 0 where it was counted."""
        try:
            assert self.limits.hit("test", self.key, 2, per_s=60, now=later(seconds))
        except TooMany as refused:
            return refused.retry_after_s
        return 0

    def look(self, seconds: float) -> float:
        try:
            self.limits.refuse_if_reached("test", self.key, 2, per_s=60, now=later(seconds))
        except TooMany as refused:
            return refused.retry_after_s
        return 0


@pytest.fixture
def limit(api: Api) -> Limit:
    return Limit(api.parts.base.limits)


def test_room_comes_when_the_oldest_is_a_minute_old(limit: Limit) -> None:
    assert [limit.hit(0), limit.hit(1)] == [0, 0]
    assert [limit.hit(2), limit.hit(59.999)] == [58, 0.001]
    assert limit.hit(60) == 0
    assert limit.hit(60.5) == 0.5, "the second one is the oldest now"


def test_looking_counts_nothing_and_refuses_like_a_count(limit: Limit) -> None:
    assert [limit.look(0), limit.hit(0), limit.look(0), limit.hit(0)] == [0] * 4
    assert [limit.look(1), limit.look(1)] == [59, 59]
    assert limit.look(60) == 0


def test_a_count_can_be_given_back_and_the_oldest_forgiven(limit: Limit) -> None:
    receipt = limit.limits.hit("test", limit.key, 2, per_s=60, now=later(0))
    assert [limit.hit(10), limit.hit(20)] == [0, 40]
    limit.limits.give_back("test", limit.key, receipt)
    assert [limit.hit(20), limit.hit(20)] == [0, 50]
    limit.limits.forgive("test", limit.key)
    assert limit.look(20) == 0
    limit.limits.give_back("test", limit.key, "")


def test_counting_beyond_the_limit_is_no_error_and_keeps_no_more(limit: Limit) -> None:
    for seconds in (0, 1, 2, 3):
        limit.limits.count("test", limit.key, 2, per_s=60, now=later(seconds))
    assert limit.look(3) == 57
    assert limit.limits._redis.execute("ZCARD", f"limit:test:{limit.key}") == 2
    assert 0 < limit.limits._redis.execute("PTTL", f"limit:test:{limit.key}") <= 60_000


def test_a_limit_that_is_off_counts_nothing(limit: Limit) -> None:
    assert limit.limits.hit("test", limit.key, None, per_s=60, now=NOW) == ""
    limit.limits.count("test", limit.key, None, per_s=60, now=NOW)
    assert limit.limits._redis.execute("EXISTS", f"limit:test:{limit.key}") == 0


def test_a_refusal_says_for_how_long() -> None:
    assert str(TooMany(1.25)) in ("limit reached for 1.2 s", "limit reached for 1.3 s")
