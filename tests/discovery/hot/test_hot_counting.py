"""Counting of attention: who counts, how much, how often."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from datingtoday.discovery.hot.attention import fold
from datingtoday.discovery.hot.models import HotAttention, HotDay
from datingtoday.discovery.hot.ranking import Attention, day_of
from datingtoday.discovery.hot.scores import HotScores, with_each_giver_once
from datingtoday.infra.db import DatabaseDown
from datingtoday.infra.stream_reader import StreamReader
from tests.discovery.rankings import count, edition, ids, note, numbers, place
from tests.plugins.api import Api, User
from tests.profiles.factories import make_user


def test_visits_follows_and_activity_lift_a_user(own: Api) -> None:
    viewer, visited, followed, nobody = (make_user(own) for _ in range(4))
    before = place(own, nobody).score
    own.get("/api/user/show", viewer, peerId=visited.user_id).data  # noqa: B018
    own.get("/api/user/show", viewer, peerId=visited.user_id).data  # noqa: B018
    own.post("/api/user/follow", viewer, peerId=followed.user_id).data  # noqa: B018
    edition(own)
    assert ids(own, viewer) == numbers([followed, visited, nobody])
    assert place(own, nobody).score == before
    count(own)
    with own.parts.base.database.transaction(write=False) as session:
        weights = dict(session.execute(select(HotDay.user_id, HotDay.weight)).all())
    assert weights == {visited.user_id: Attention.VISIT, followed.user_id: Attention.FOLLOW}


def test_being_active_counts_once_a_day(own: Api) -> None:
    user = make_user(own, last_active=datetime.now(UTC) - timedelta(days=3))
    before = place(own, user).attention
    for _ in range(2):
        with own.parts.base.database.transaction() as session:
            own.parts.profiles.service.note_active(session, user.user_id, datetime.now(UTC))
    count(own)
    with own.parts.base.database.transaction(write=False) as session:
        assert session.scalars(select(HotDay.weight)).all() == [Attention.ACTIVE]
    assert place(own, user).attention > before


def test_who_says_more_of_themselves_stands_higher(own: Api) -> None:
    viewer, plain, complete = make_user(own), make_user(own), make_user(own)
    own.post("/api/user/update", complete, height=170, intro="你好", education=3).data  # noqa: B018
    newer = make_user(own)
    edition(own)
    assert ids(own, viewer) == numbers([complete, newer, plain])


def test_newcomers_begin_above_who_was_there_long_before(own: Api) -> None:
    viewer = make_user(own)
    old = make_user(own, create_time=datetime.now(UTC) - timedelta(days=60))
    new = make_user(own)
    for number in range(10):
        assert note(own, old, 10 + number, Attention.VISIT)
    edition(own)
    assert ids(own, viewer) == numbers([new, old])
    # But a fair start is no free ticket.
    for number in range(30):
        assert note(own, old, 100 + number, Attention.VISIT)
    edition(own)
    assert ids(own, viewer) == numbers([old, new])


KINDS = [Attention.VISIT, Attention.FOLLOW, Attention.CONTACT]
happenings = st.lists(
    st.tuples(st.integers(1, 5), st.sampled_from(KINDS), st.integers(0, 3)), min_size=1, max_size=25
)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(happenings)
def test_everybody_counts_once_a_day_and_only_so_many(
    small_cap: Api, happened: list[tuple[int, Attention, int]]
) -> None:
    """Against a plain model; what is written step by step is what a rebuilding makes of it."""
    api, now = small_cap, datetime.now(UTC)
    user = make_user(api)
    model: dict[int, dict[int, int]] = {}
    for peer_id, kind, day in happened:
        of_day = model.setdefault(day, {})
        if peer_id in of_day or len(of_day) < 3:
            of_day[peer_id] = max(of_day.get(peer_id, 0), kind)
        note(api, user, peer_id, kind, now + timedelta(days=day))
    with api.parts.base.database.transaction(write=False) as session:
        rows = session.scalars(select(HotDay).where(HotDay.user_id == user.user_id)).all()
        told = {row.day - day_of(now): (row.weight, row.people) for row in rows}
    assert told == {day: (sum(of_day.values()), len(of_day)) for day, of_day in model.items()}
    step_by_step = place(api, user).score
    api.parts.discovery.rebuild.reindex_all(lambda done: None)
    assert place(api, user).score == pytest.approx(step_by_step, abs=1e-9)


@pytest.fixture
def small_cap(app_of: Callable[..., Api]) -> Iterator[Api]:
    api = app_of(DISCOVERY_HOT_PEOPLE_PER_DAY=3, DISCOVERY_HOT_GIVER_DAYS=0)
    yield api
    api.parts.base.database.dispose()


def test_one_account_cannot_push_another_up(own: Api) -> None:
    user, fan = make_user(own), make_user(own)
    for _ in range(5):
        own.post("/api/user/follow", fan, peerId=user.user_id).data  # noqa: B018
        own.get("/api/user/show", fan, peerId=user.user_id).data  # noqa: B018
        own.post("/api/user/unfollow", fan, peerId=user.user_id).data  # noqa: B018
    count(own)
    with own.parts.base.database.transaction(write=False) as session:
        rows = session.scalars(select(HotDay)).all()
        assert [(row.user_id, row.weight, row.people) for row in rows] == [
            (user.user_id, Attention.FOLLOW, 1)
        ]


def test_what_sql_refused_counts_later(own: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    visitor, visited = make_user(own), make_user(own)
    before = place(own, visited).attention

    def fail(*_: Any) -> bool:
        raise DatabaseDown("gone")

    reader = StreamReader(own.parts.base.streams, own.parts.base.streams["attention"], "test", idle_ms=60_000)
    with monkeypatch.context() as patch:
        patch.setattr(HotScores, "note_all", fail)
        assert own.get("/api/user/show", visitor, peerId=visited.user_id).code == 0
        own.parts.base.streams.flush()
        with pytest.raises(DatabaseDown):
            reader.step()
    assert place(own, visited).attention == before, "it is in the hands of a worker"
    assert reader.step() == 1
    counted = place(own, visited).attention
    assert counted > before
    # Within some minutes the same is not even noted again.
    assert own.get("/api/user/show", visitor, peerId=visited.user_id).code == 0
    own.parts.base.streams.flush()
    assert reader.step() == 0


def test_what_redis_lost_counts_when_it_happens_again(own: Api) -> None:
    visitor, visited, now = make_user(own), make_user(own), datetime.now(UTC)
    before = place(own, visited).attention
    attention = own.parts.discovery.attention
    attention.note(visited.user_id, visitor.user_id, Attention.VISIT, now)
    own.parts.base.streams.flush()
    own.parts.base.queue_redis.execute("DEL", own.parts.base.streams["attention"].key)
    attention.note(visited.user_id, visitor.user_id, Attention.VISIT, now + timedelta(seconds=1))
    assert place(own, visited).attention == before
    attention.note(visited.user_id, visitor.user_id, Attention.VISIT, now + timedelta(minutes=11))
    assert place(own, visited).attention > before


@given(
    st.lists(
        st.tuples(st.integers(1, 3), st.integers(0, 2), st.integers(1, 3), st.sampled_from([1, 3, 4])),
        max_size=30,
    )
)
def test_a_batch_is_folded_to_the_most_of_each_day(entries: list[tuple[int, int, int, int]]) -> None:
    folded = fold([[*entry, number] for number, entry in enumerate(entries)])
    assert folded == sorted(folded)
    model: dict[tuple[int, int, int], int] = {}
    for *key, kind in entries:
        model[tuple(key)] = max(model.get(tuple(key), 0), kind)  # type: ignore[index,arg-type]
    assert {tuple(given[:3]): int(given.kind) for given in folded} == model


_givers = itertools.count(50_000_000, 10)


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(st.integers(0, 2), st.integers(0, 1), st.integers(1, 4), st.sampled_from([1, 3, 4])),
        min_size=1,
        max_size=15,
    )
)
def test_a_batch_counts_as_one_after_another(
    small_cap: Api, entries: list[tuple[int, int, int, int]]
) -> None:
    """The same things are done for two sets of people, once in a batch and once one by one."""
    api, now = small_cap, datetime.now(UTC)
    in_batch, one_by_one = ([make_user(api) for _ in range(3)] for _ in range(2))
    # Givers of this example only: what they gave in others would weigh on it.
    first = next(_givers)
    batch = [
        [in_batch[user].user_id, day_of(now) + day, first + peer, kind, int(now.timestamp())]
        for user, day, peer, kind in entries
    ]
    with api.parts.base.database.transaction() as session:
        api.parts.discovery.attention.write(session, batch)
    # In the batch's order: above the cap it decides who is left out.
    for each in itertools.chain.from_iterable(with_each_giver_once(fold(batch))):
        user = one_by_one[[person.user_id for person in in_batch].index(each.user_id)]
        note(api, user, each.peer_id, each.kind, now + timedelta(days=each.day - day_of(now)))

    def rows(people: list[User]) -> list[tuple[int, int, float, int]]:
        ids = [person.user_id for person in people]
        with api.parts.base.database.transaction(write=False) as session:
            found = session.scalars(select(HotDay).where(HotDay.user_id.in_(ids)))
            return sorted((ids.index(row.user_id), row.day, row.weight, row.people) for row in found)

    assert rows(in_batch) == rows(one_by_one)
    for one, other in zip(in_batch, one_by_one, strict=True):
        assert place(api, one).attention == pytest.approx(place(api, other).attention, abs=1e-6)


def test_rows_of_old_days_go(own: Api) -> None:
    user, now = make_user(own), datetime.now(UTC)
    for days in (0, 1, 3, 200):
        assert note(own, user, 7, Attention.VISIT, now - timedelta(days=days))
    with own.parts.base.database.transaction() as session:
        assert own.parts.discovery.scores.remove_old(session, now, most=100) == 3
        today = day_of(now)
        assert set(session.scalars(select(HotAttention.day))) == {today, today - 1}
        assert set(session.scalars(select(HotDay.day))) == {today, today - 1, today - 3}
