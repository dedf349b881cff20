"""Editions of the hot list: when one is made, how long it lasts, and what a process remembers of it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import orjson
import pytest
from sqlalchemy import update

from datingtoday.discovery.hot import editions as module
from datingtoday.discovery.hot.editions import Edition, EditionLost, Editions
from datingtoday.discovery.hot.models import HotPerson
from tests.discovery.rankings import ranked, score
from tests.plugins.api import Api, User
from tests.plugins.polling import wait_until

pytestmark = pytest.mark.parametrize("backend", ["embedded"], indirect=True)
NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
EVERYBODY = 0


def editions_of(api: Api, refresh_s: int = 300) -> Editions:
    """Those of another process."""
    base = api.parts.base
    return Editions(base.database, base.cache.memory, size=10_000, refresh_s=refresh_s)


def made(editions: Editions, now: datetime = NOW) -> Edition:
    edition = editions.make(now)
    assert edition is not None
    return edition


@pytest.fixture
def costs(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    """CPU seconds that making the next editions takes; nothing if empty."""
    costs: list[float] = []
    clock = [0.0, False]

    def thread_time() -> float:
        # Asked before and after.
        if clock[1] and costs:
            clock[0] += costs.pop(0)
        clock[1] = not clock[1]
        return float(clock[0])

    monkeypatch.setattr(module, "time", SimpleNamespace(thread_time=thread_time))
    yield costs


def test_the_newest_is_looked_for_once_a_second(own: Api) -> None:
    writer, reader = editions_of(own), editions_of(own)
    a, b = ranked(own, 2)
    first = made(writer)
    assert reader.newest(NOW) == first
    score(own, b, 2000.0)
    second = made(writer)
    assert second.name != first.name
    assert reader.newest(NOW + timedelta(seconds=0.999)) == first
    assert reader.newest(NOW + timedelta(seconds=1)) == second
    score(own, a, 3000.0)
    third = made(writer)
    # A clock that was put back counts as well.
    assert reader.newest(NOW + timedelta(seconds=0.5)) == second
    assert reader.newest(NOW) == third


def test_a_reader_makes_one_when_no_worker_has_for_twice_the_period(own: Api) -> None:
    ranked(own, 2)
    reader, another = editions_of(own, 100), editions_of(own, 100)
    made(another)
    reader.newest(NOW + timedelta(seconds=199))
    for seconds in (200, 400):
        moment = NOW + timedelta(seconds=seconds)
        reader.newest(moment)
        wait_until(lambda due=moment: _told(own)[1] == due.timestamp(), "the edition")  # type: ignore[misc]
        # The lock is given back a moment later.
        wait_until(lambda: own.parts.base.cache_redis.execute("GET", "hot:building") is None, "its end")


def _told(api: Api) -> list[object]:
    found: list[object] = orjson.loads(api.parts.base.cache.memory.read(["hot:now"])[0] or b"[0,0]")
    return found


@pytest.mark.parametrize(
    ("cost_s", "refresh_s", "kept_s"),
    [
        (0.0001, 2.5, 300),
        (0.02, 20.0, 300),
        (0.026, 26.0, 312),
        (0.06, 60.0, 720),
        (0.3, 300.0, 3600),
        (9.0, 300.0, 3600),
    ],
)
def test_an_edition_can_be_read_for_twelve_times_as_long_as_it_is_the_newest(
    own: Api, costs: list[float], cost_s: float, refresh_s: float, kept_s: int
) -> None:
    """From five minutes to an hour; making one takes a thousandth of a processor."""
    ranked(own, 2)
    editions, redis = editions_of(own), own.parts.base.cache_redis
    (told,) = own.parts.base.cache.memory.names(["hot:now"])
    for number in range(2):
        # The second one is the same, and lasts as long again.
        costs[:] = [cost_s]
        edition = made(editions, NOW + timedelta(seconds=number))
        assert edition.refresh_s == pytest.approx(refresh_s)
        (name,) = own.parts.base.cache.memory.names([f"hot:{edition.name}:{EVERYBODY}"])
        assert kept_s - 60 < redis.execute("TTL", name) <= kept_s
        # It is not told of for longer than it can be read.
        assert kept_s // 2 - 60 < redis.execute("TTL", told) <= kept_s // 2
        redis.execute("EXPIRE", name, 20)


def test_a_new_one_is_due_after_its_period(own: Api, costs: list[float]) -> None:
    ranked(own, 2)
    editions = editions_of(own)
    assert editions.is_due(NOW)
    costs[:] = [0.06]
    made(editions)
    assert not editions.is_due(NOW + timedelta(seconds=59.9))
    assert editions.is_due(NOW + timedelta(seconds=60))
    # A shorter period that was set meanwhile counts.
    assert editions_of(own, 30).is_due(NOW + timedelta(seconds=30))
    assert not editions_of(own, 30).is_due(NOW + timedelta(seconds=29.9))


def test_one_process_at_a_time_makes_it_and_one_that_dies_is_waited_for_a_minute(
    own: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    ranked(own, 2)
    redis, left_ms = own.parts.base.cache_redis, []

    def thread_time() -> float:
        left_ms.append(redis.execute("PTTL", "hot:building"))
        assert editions_of(own).make(NOW) is None
        return 0.0

    monkeypatch.setattr(module, "time", SimpleNamespace(thread_time=thread_time))
    made(editions_of(own))
    assert all(30_000 < left <= 60_000 for left in left_ms)
    assert redis.execute("GET", "hot:building") is None


def test_equal_scores_have_one_order_in_redis_and_sql(own: Api) -> None:
    people = [person.user_id for person in ranked(own, 12)]
    with own.parts.base.database.transaction() as session:
        session.execute(update(HotPerson).values(score=5.0))
    editions = editions_of(own)
    edition = made(editions)
    found = editions.read(edition.name, EVERYBODY, 12, 0, 12)
    assert [one.user_id for one in found] == sorted(people, reverse=True)
    assert {one.score for one in found} == {5.0}


@pytest.fixture
def parts_of_4(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PART", 4)
    monkeypatch.setattr(module, "_MAX_PARTS", 2)


@pytest.mark.usefixtures("parts_of_4")
class TestWhatAProcessRemembers:
    @pytest.fixture
    def people(self, own: Api) -> list[User]:
        return ranked(own, 12)

    def test_stretches(self, own: Api, people: list[User]) -> None:
        editions = editions_of(own)
        name = made(editions).name
        ids = [person.user_id for person in people]
        for start in range(13):
            for count in range(1, 6):
                found = editions.read(name, EVERYBODY, 12, start, count)
                assert [one.user_id for one in found] == ids[start : start + count]
                remembered = editions.remembered(name, EVERYBODY, start, count)
                assert remembered == found
                # Of the edition that is known to be the newest, if none is named.
                assert editions.remembered(None, EVERYBODY, start, count) == []
        assert editions.newest(NOW) is not None
        assert (
            editions.remembered(None, EVERYBODY, 10, 2) == editions.remembered(name, EVERYBODY, 10, 2) != []
        )
        assert editions.remembered(name, 1, 10, 2) == []
        editions.forget_all()
        assert editions.remembered(name, EVERYBODY, 10, 2) == []

    def test_the_parts_used_last(self, own: Api, people: list[User]) -> None:
        editions = editions_of(own)
        name = made(editions).name

        def known() -> list[bool]:
            return [bool(editions.remembered(name, EVERYBODY, start, 1)) for start in (0, 4, 8)]

        editions.read(name, EVERYBODY, 12, 0, 8)
        assert known() == [True, True, False]
        editions.read(name, EVERYBODY, 12, 0, 1)
        editions.read(name, EVERYBODY, 12, 8, 1)
        assert known() == [True, False, True]

    def test_what_is_remembered_needs_no_redis_and_what_is_lost_is_said(
        self, own: Api, people: list[User]
    ) -> None:
        editions, redis = editions_of(own), own.parts.base.cache_redis
        edition = made(editions)
        assert editions.newest(NOW) == edition
        first = editions.read(edition.name, EVERYBODY, 12, 0, 4)
        (name,) = own.parts.base.cache.memory.names([f"hot:{edition.name}:{EVERYBODY}"])
        redis.execute("ZREMRANGEBYRANK", name, 0, 0)
        # All that is left but one, who is last in the list.
        with pytest.raises(EditionLost, match=edition.name):
            editions.read(edition.name, EVERYBODY, 12, 8, 4)
        redis.execute("DEL", name)
        assert editions.read(edition.name, EVERYBODY, 12, 0, 4) == first
        # What is the newest is asked for at once, not after a second.
        another = made(editions_of(own), NOW + timedelta(seconds=1))
        assert another.name != edition.name
        assert editions.newest(NOW) == another
