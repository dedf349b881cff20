"""Limits of an account at their edges, at moments that the test chooses."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from flask import Response
from structlog.testing import capture_logs

from datingtoday.infra.cache import ReadyCache
from datingtoday.infra.cache_reader import CacheReader
from datingtoday.infra.redis import RedisRole
from datingtoday.infra.text import Text
from datingtoday.protocol.account_limits import AccountLimits, PeopleLimit, PeopleShown, RequestLimit
from datingtoday.protocol.call import Call, Endpoint, Shown
from datingtoday.protocol.errors import RateLimited
from datingtoday.protocol.login import Login
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

    def test_a_full_day_that_is_not_over_it(self, redis: RedisRole) -> None:
        people = PeopleShown(redis, {"cards": PeopleLimit(per_hour=3, per_day=4)})
        with capture_logs() as logs:
            self.show(people, 0, 1, 2, 3, 4)
        assert self.over_until(redis) == 20 * 60
        assert [(log["event"], log["user_id"], log["shown"], log["hour"], log["day"]) for log in logs] == [
            ("too_many_people_shown", 7, "cards", 4, 4)
        ]

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


class TestBoth:
    """Commands for the guard's round trip, and the judgement of their answers."""

    @pytest.fixture
    def limits(self, redis: RedisRole) -> AccountLimits:
        of_people: dict[Shown, PeopleLimit] = {
            "cards": PeopleLimit(per_hour=2, per_day=99),
            "profiles": PeopleLimit(per_hour=1, per_day=99),
        }
        return AccountLimits(redis, 10, of_people)

    @staticmethod
    def call(lab: Lab, shows: Shown | None, **params: str) -> Call:
        call = Call(
            endpoint=Endpoint(Text("x", "x"), shows=shows), method="GET", path="/x", params=params, file=None,
            address="10.0.0.1", is_local=False, now=at(90), lang="en", database=lab.database,
            cache=CacheReader(ReadyCache(lab.redis, lab.database), at(90)), token_digest="digest",
        )  # fmt: skip
        call.login = Login(user_id=7, session_id=1)
        return call

    def test_what_is_asked(self, lab: Lab, limits: AccountLimits) -> None:
        plain, cards = self.call(lab, None), self.call(lab, "cards")
        over = "shown:over:{7}:cards"
        assert limits.commands(plain, 7) == []
        assert limits.commands(cards, 7) == [("MGET", over)]
        limits.check(plain, 7, [])
        minute = START_S // 60 + 1
        this, before = f"limit:account:{{7}}:{minute}", f"limit:account:{{7}}:{minute - 1}"
        count = [("INCR", this), ("EXPIRE", this, 120, "NX")]
        assert limits.commands(plain, 7) == [*count, ("MGET", before)]
        assert limits.commands(cards, 7) == [*count, ("MGET", before, over)]
        assert limits.commands(replace(cards, token_digest="another"), 7) == [("MGET", over)]

    @pytest.mark.parametrize("is_known", [False, True])
    def test_whoever_is_over_is_refused_where_people_are_shown(
        self, lab: Lab, limits: AccountLimits, redis: RedisRole, *, is_known: bool
    ) -> None:
        plain, cards = self.call(lab, None), self.call(lab, "cards")
        if is_known:
            limits.check(plain, 7, [])
        limits.people.add("cards", 7, frozenset({1, 2, 3}), at(90).timestamp())
        limits.people.flush()
        with pytest.raises(RateLimited) as refused:
            limits.check(cards, 7, redis.round_trip(limits.commands(cards, 7)))
        assert refused.value.data == {"retry_after_s": 20 * 60 - 90}
        limits.check(plain, 7, redis.round_trip(limits.commands(plain, 7)))
        profiles = self.call(lab, "profiles", peerId="9")
        limits.check(profiles, 7, redis.round_trip(limits.commands(profiles, 7)))

    def test_whom_an_answer_shows(self, lab: Lab, limits: AccountLimits, redis: RedisRole) -> None:
        def shown(kind: str) -> int:
            limits.people.flush()
            keys = list(redis.client.scan_iter(f"shown:{{{kind}:7}}:1200:*"))
            return int(redis.client.pfcount(*keys)) if keys else 0

        cards = self.call(lab, "cards")
        limits.people.note(cards, b'{"data":[{"user_id":7},{"user_id":8},{"user_id":9}]}')
        limits.people.note(cards, Response(b'[{"user_id":9},{"user_id":10}]'))
        assert shown("cards") == 3, "the account itself is not counted"
        limits.people.note(self.call(lab, "profiles"), b'{"user_id":7,"peer":{"user_id":8}}')
        assert shown("profiles") == 0, "the own profile"
        limits.people.note(self.call(lab, "profiles", peerId="7"), b"{}")
        assert shown("profiles") == 0
        limits.people.note(self.call(lab, "profiles", peerId="8"), b'[{"user_id":9},{"user_id":10}]')
        assert shown("profiles") == 1
        without_limits = AccountLimits(redis, None, {})
        with capture_logs() as logs:
            without_limits.people.note(cards, b'{"user_id":8}')
            without_limits.people.flush()
        assert logs == [] and without_limits.commands(cards, 7) == []
