"""Limits of an account at their edges, at moments that the test chooses."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from datingtoday.infra.redis import RedisRole
from datingtoday.protocol.account_limits import PeopleLimit, PeopleShown, RequestLimit
from datingtoday.protocol.errors import RateLimited
from tests.protocol.lab import Lab

START_S = 1_699_977_600
"""A moment at which a day's part of 8 hours, an hour's of 20 minutes, and a minute begin."""
HOUR, DAY = 3600, 86_400


@pytest.fixture
def redis(lab: Lab) -> RedisRole:
    return lab.redis


def at(second: float) -> datetime:
    return datetime.fromtimestamp(START_S + second, UTC)


class TestRequests:
    """Ten a minute: those of this minute, and those of the one before by what is left of it."""

    @pytest.mark.parametrize(
        ("second", "here", "before", "retry_after_s"),
        [
            (15, 4, 8, None),  # 4 + 8 x 3/4
            (15, 5, 8, 8),  # in 7.5 s a third of the minute before is left, and one more fits
            (15, 1, 1000, None),  # refused ones do not count on
            (15, 10, 0, None),
            (15, 11, 0, 45),
            (0, 11, 10, 60),
            (59.5, 9, 10, None),
            (59.5, 10, 10, 1),
        ],
    )
    def test_at_the_limit(
        self, redis: RedisRole, second: float, here: int, before: int, retry_after_s: int | None
    ) -> None:
        limit = RequestLimit(redis, 10)
        answers = [here, 1, [str(before).encode() if before else None]]
        if retry_after_s is None:
            limit.check("digest", 7, at(second), answers)
            return
        with pytest.raises(RateLimited) as refused:
            limit.check("digest", 7, at(second), answers)
        assert refused.value.data == {"retry_after_s": retry_after_s}
        assert refused.value.headers == {"Retry-After": str(retry_after_s)}

    def test_a_minute_is_remembered_to_the_end_of_the_next(self, redis: RedisRole) -> None:
        RequestLimit(redis, 10).check("digest", 7, at(0), [])
        keys = list(redis.client.scan_iter("limit:account:*"))
        assert [100 < redis.client.ttl(key) <= 120 for key in keys] == [True]

    def test_only_a_verified_token_is_counted_ahead(self, redis: RedisRole) -> None:
        limit = RequestLimit(redis, 10)
        assert limit.commands("digest", 7, at(0), None) == []
        limit.check("digest", 7, at(0), [])
        assert len(limit.commands("digest", 7, at(1), None)) == 3
        assert limit.commands("digest", 8, at(1), None) == []
        assert limit.commands("other", 7, at(1), None) == []

    def test_without_a_limit_nothing_is_asked(self, redis: RedisRole) -> None:
        limit = RequestLimit(redis, None)
        limit.check("digest", 7, at(0), [])
        assert limit.commands("digest", 7, at(1), None) == []
        assert list(redis.client.scan_iter("*")) == []


class TestPeople:
    """Three in an hour, five in a day."""

    @pytest.fixture
    def people(self, redis: RedisRole) -> PeopleShown:
        return PeopleShown(redis, {"cards": PeopleLimit(per_hour=3, per_day=5)})

    def over_until(self, redis: RedisRole, user_id: int = 7) -> float | None:
        """Seconds after `START_S` until when the account is over; None: it is not."""
        found = redis.execute("GET", f"shown:over:{{{user_id}}}:cards")
        return None if found is None else float(found) - START_S

    def show(self, people: PeopleShown, second: float, *shown: int, user_id: int = 7) -> None:
        people.add("cards", user_id, frozenset(shown), START_S + second)
        people.flush()

    def test_an_hour(self, people: PeopleShown, redis: RedisRole) -> None:
        self.show(people, 100, 1, 2, 3)
        self.show(people, 200, 1, 2, 3)
        assert self.over_until(redis) is None
        self.show(people, 300, 4)
        assert self.over_until(redis) == 20 * 60
        assert 0 < redis.client.ttl("shown:over:{7}:cards") <= 20 * 60

    def test_a_day(self, people: PeopleShown, redis: RedisRole) -> None:
        self.show(people, 0, 1, 2, 3)
        self.show(people, 2 * HOUR, 4, 5)
        assert self.over_until(redis) is None
        self.show(people, 4 * HOUR, 6)
        assert self.over_until(redis) == 8 * HOUR
        assert HOUR < redis.client.ttl("shown:over:{7}:cards") <= 8 * HOUR

    def test_people_count_for_sixty_to_eighty_minutes(self, redis: RedisRole) -> None:
        people = PeopleShown(redis, {"cards": PeopleLimit(per_hour=3, per_day=99)})
        self.show(people, 20 * 60 - 1, 1, 2)
        self.show(people, 80 * 60, 3, 4)
        assert self.over_until(redis) is None, "after an hour and a second"
        self.show(people, 140 * 60 - 1, 5)
        assert self.over_until(redis) is None
        self.show(people, 140 * 60 - 1, 6)
        assert self.over_until(redis) == 140 * 60, "still within the hour"

    def test_people_count_for_a_day_to_a_third_more(self, redis: RedisRole) -> None:
        people = PeopleShown(redis, {"cards": PeopleLimit(per_hour=99, per_day=3)})
        self.show(people, 8 * HOUR - 1, 1, 2)
        self.show(people, 32 * HOUR, 3, 4)
        assert self.over_until(redis) is None, "after a day and a second"
        self.show(people, 56 * HOUR - 1, 5)
        assert self.over_until(redis) is None
        self.show(people, 56 * HOUR - 1, 6)
        assert self.over_until(redis) == 56 * HOUR, "still within the day"

    def test_redis_keeps_them_as_long_as_they_count(self, people: PeopleShown, redis: RedisRole) -> None:
        self.show(people, 0, 1)
        left = sorted(redis.client.ttl(key) for key in redis.client.scan_iter("shown:{cards:7}:*"))
        assert len(left) == 2
        assert 75 * 60 < left[0] <= 80 * 60 and 31 * HOUR < left[1] <= 32 * HOUR

    def test_each_account_of_many_is_judged_by_its_own(self, people: PeopleShown, redis: RedisRole) -> None:
        for user_id in range(1, 121):
            people.add("cards", user_id, frozenset(range(3 + user_id % 2)), float(START_S))
        people.flush()
        assert [user_id for user_id in range(1, 121) if self.over_until(redis, user_id) is not None] == list(
            range(1, 121, 2)
        )

    def test_over_until_that_moment(self, people: PeopleShown) -> None:
        people.check(at(0), None)
        people.check(at(0), str(START_S).encode())
        people.check(at(0), str(START_S - 1).encode())
        with pytest.raises(RateLimited) as refused:
            people.check(at(0), str(START_S + 0.5).encode())
        assert refused.value.data == {"retry_after_s": 1}
        with pytest.raises(RateLimited) as refused:
            people.check(at(0.5), str(START_S + 60).encode())
        assert refused.value.data == {"retry_after_s": 60}
