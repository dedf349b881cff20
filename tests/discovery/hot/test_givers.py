"""Attention weighed by who gives it: swarms of new accounts move nobody, as many ordinary people do."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import insert, select, update

from datingtoday.discovery.hot.givers import GiverWeights
from datingtoday.discovery.hot.models import HotDay, HotPerson
from datingtoday.discovery.hot.ranking import NEWCOMER, Attention, ForwardDecay, day_of
from datingtoday.discovery.person_facts import registered_at
from datingtoday.profiles.models import UserInfo
from tests.discovery.rankings import note
from tests.plugins.api import Api, User
from tests.profiles.factories import make_user

PEOPLE = 1_000
SWARM = 50
NOW = datetime.now(UTC)


@pytest.fixture
def weighed(app_of: Callable[..., Api]) -> Iterator[Api]:
    """An application with people of its own and the settings as they are shipped."""
    api = app_of()
    yield api
    api.parts.base.database.dispose()


def add_people(api: Api, count: int, *, age_days: float, active_days: int) -> list[int]:
    """People who registered and used the app so many days."""
    registered = NOW - timedelta(days=age_days)
    with api.parts.base.database.transaction() as session:
        people = [
            UserInfo(nickname="测试", create_time=registered, update_time=registered, last_active=NOW)
            for _ in range(count)
        ]
        session.add_all(people)
        session.flush()
        ids = [person.id for person in people]
        days = [
            {"user_id": user_id, "day": day_of(NOW) - 1 - day, "weight": 2.0, "people": 1, "active": True}
            for user_id in ids
            for day in range(active_days)
        ]
        if days:
            session.execute(insert(HotDay), days)
        return ids


def a_ranking(api: Api) -> list[int]:
    """A thousand people, of whom most have about what newcomers begin with and few have very much."""
    ids = add_people(api, PEOPLE, age_days=60, active_days=0)
    draw, decay = random.Random(7), ForwardDecay(7.0)
    with api.parts.base.database.transaction() as session:
        rows = []
        for user_id in ids:
            level = decay.level(NEWCOMER * draw.lognormvariate(-0.5, 1.0), day_of(NOW))
            rows.append({"user_id": user_id, "attention": level, "bonus": 0.0, "score": level})
        session.execute(update(HotPerson), rows)
    return ids


def ranks(api: Api, ids: list[int]) -> dict[int, int]:
    """Ranks among these people, 1 for the first."""
    with api.parts.base.database.transaction(write=False) as session:
        best = select(HotPerson.user_id).where(HotPerson.user_id.in_(ids))
        ordered = session.scalars(best.order_by(HotPerson.score.desc(), HotPerson.user_id.desc()))
        return {user_id: rank for rank, user_id in enumerate(ordered, 1)}


def moved(before: dict[int, int], after: dict[int, int]) -> int:
    """The most ranks by which one person moved, up or down."""
    return max(abs(before[user_id] - after[user_id]) for user_id in before)


@pytest.mark.parametrize("age_days", [0, 6.9])
def test_fifty_new_accounts_move_nobody_and_fifty_ordinary_people_do(weighed: Api, age_days: float) -> None:
    api, people = weighed, a_ranking(weighed)
    before = ranks(api, people)
    target = next(user_id for user_id, rank in before.items() if rank == 110)
    # The new accounts use the app every day, and do the most that they can: a first message each.
    swarm = add_people(api, SWARM, age_days=age_days, active_days=int(age_days))
    for giver in swarm:
        note(api, User(target, "", ""), giver, Attention.CONTACT, NOW)
    after = ranks(api, people)
    assert moved(before, after) <= 10
    for giver in add_people(api, SWARM, age_days=40, active_days=10):
        assert note(api, User(target, "", ""), giver, Attention.VISIT, NOW)
    by_people = ranks(api, people)
    assert after[target] - by_people[target] > 10


def weight(api: Api, giver: int, *, min_age_days: int = 7, now: datetime = NOW) -> float:
    with api.parts.base.database.transaction(write=False) as session:
        return GiverWeights(min_age_days, registered_at).weights(session, [giver], now)[giver]


def test_weight_grows_with_age_and_use(weighed: Api) -> None:
    def of(age_days: float, active_days: int) -> float:
        return weight(weighed, add_people(weighed, 1, age_days=age_days, active_days=active_days)[0])

    assert of(6.99, 8) == 0
    assert of(400, 2) == 0, "an old account that nobody uses"
    assert of(28, 8) == 1
    assert of(400, 20) == 1
    assert of(17.5, 20) == 0.5
    assert of(400, 5) == 0.5
    assert 0 < of(8, 8) < 0.05
    assert weight(weighed, 999_999_999) == 0
    assert weight(weighed, 999_999_999, min_age_days=0) == 1


def test_who_gives_to_very_many_counts_less(weighed: Api) -> None:
    giver = add_people(weighed, 1, age_days=60, active_days=10)[0]
    others = add_people(weighed, 60, age_days=60, active_days=0)
    given = []
    for number, user_id in enumerate(others):
        given.append(weight(weighed, giver))
        assert note(weighed, User(user_id, "", ""), giver, Attention.VISIT, NOW), number
    assert given[:50] == [1.0] * 50
    assert given[50:] == sorted(given[50:], reverse=True)
    assert weight(weighed, giver) == int(50 / 61 * 64) / 64
    assert weight(weighed, giver, now=NOW + timedelta(days=1)) == 1, "every day anew"


def test_accounts_that_count_in_part_leave_half_of_the_places(app_of: Callable[..., Api]) -> None:
    api = app_of(DISCOVERY_HOT_PEOPLE_PER_DAY=4)
    user = make_user(api)
    partly = add_people(api, 4, age_days=20, active_days=8)
    counted = [note(api, user, giver, Attention.VISIT, NOW) for giver in partly]
    assert counted == [True, True, False, False]
    fully = add_people(api, 3, age_days=60, active_days=8)
    assert [note(api, user, giver, Attention.VISIT, NOW) for giver in fully] == [True, True, False]
    api.parts.base.database.dispose()


def test_days_of_use_are_counted(weighed: Api) -> None:
    user = make_user(weighed, create_time=NOW - timedelta(days=60))
    for day in range(8):
        assert weight(weighed, user.user_id) == max(0, int((day - 2) / 6 * 64)) / 64
        note(weighed, user, user.user_id, Attention.ACTIVE, NOW - timedelta(days=day))
    assert weight(weighed, user.user_id) == 1
