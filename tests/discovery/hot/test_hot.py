"""The hot list through the API: who fits, who is found, editions and cursors, Redis lost and down."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, select

from datingtoday.discovery.hot.editions import MIN_REFRESH_S
from datingtoday.discovery.hot.models import HotAttention, HotPerson
from datingtoday.discovery.hot.ranking import Attention
from datingtoday.discovery.search.models import SearchGram, SearchName
from datingtoday.profiles.models import UserInfo
from tests.discovery.rankings import PATH, edition, ids, lose_rankings, note, numbers, ranked, score
from tests.plugins.api import Api, User
from tests.plugins.backend import Backend
from tests.plugins.polling import wait_until
from tests.profiles import factories
from tests.profiles.factories import ban, make_block, make_follow, make_hidden, make_user, set_row

# --- who is shown


def test_both_sides_wishes_count(own: Api) -> None:
    people = {
        (gender, sexual): make_user(own, gender=gender, sexual=sexual)
        for gender in range(3)
        for sexual in range(3)
    }
    edition(own)

    def shown(**columns: Any) -> set[tuple[int, int]]:
        found = set(ids(own, make_user(own, authority=0, **columns), pageCount=50))
        return {kind for kind, person in people.items() if person.user_id in found}

    assert shown(gender=1, sexual=2) == {(2, 0), (2, 1)}
    assert shown(gender=2, sexual=2) == {(2, 0), (2, 2)}
    assert shown(gender=1, sexual=0) == {(gender, sexual) for gender in range(3) for sexual in (0, 1)}
    assert shown(gender=0, sexual=1) == {(1, 0), (1, 1), (1, 2)}
    assert shown(gender=0, sexual=0) == set(people)
    # Who wants no personal list sees everybody, in the same order as others.
    assert shown(gender=1, sexual=2, personal=False) == set(people)


def test_the_setting_makes_it_the_same_for_all(app_of: Callable[..., Api]) -> None:
    api = app_of(DISCOVERY_HOT_PERSONAL=0)
    people = ranked(api, 3, gender=1, sexual=1)
    viewer = make_user(api, gender=1, sexual=2, authority=0)
    edition(api)
    assert ids(api, viewer) == numbers(people)
    api.parts.base.database.dispose()


@pytest.mark.parametrize("source", ["edition", "sql"])
def test_only_who_may_be_found(own: Api, source: str) -> None:
    viewer = make_user(own)
    kinds = ("open", "hidden", "banned", "deleted", "blocked", "blocks", "follows", "follows not")
    people = dict(zip(kinds, ranked(own, len(kinds)), strict=True))
    if source == "edition":
        edition(own)
    make_hidden(own, people["hidden"])
    ban(own, people["banned"])
    factories.delete(own, people["deleted"])
    make_block(own, viewer, people["blocked"])
    make_block(own, people["blocks"], viewer)
    for kind in ("follows", "follows not"):
        set_row(own, people[kind], authority=2)
    make_follow(own, people["follows"], viewer)
    data = own.get(PATH, viewer).data
    assert [card["user_id"] for card in data["list"]] == numbers([people["open"], people["follows"]])
    assert (data["has_next"], data["next"]) == (False, None)
    # A page by number is a stretch, and its cursor fills what follows; nobody else is left.
    data = own.get(PATH, viewer, pageCount=1).data
    assert data["has_next"]
    rest = own.get(PATH, viewer, pageCount=1, cursor=data["next"]).data
    assert ([card["user_id"] for card in rest["list"]], rest["has_next"]) == (
        numbers([people["follows"]]),
        False,
    )


def test_the_deleted_leave_nothing_behind(own: Api) -> None:
    user = make_user(own, nickname="走了")
    factories.delete(own, user)
    with own.parts.base.database.transaction(write=False) as session:
        for table in (HotPerson, SearchName, SearchGram):
            assert session.scalars(select(table.user_id)).all() == []


# --- pages


def pages(api: Api, viewer: User, count: int, meanwhile: Callable[[int], None], **first: Any) -> list[int]:
    found: list[int] = []
    data = api.get(PATH, viewer, pageCount=count, **first).data
    for number in range(100):
        found += [card["user_id"] for card in data["list"]]
        if not data["has_next"]:
            return found
        meanwhile(number)
        data = api.get(PATH, viewer, pageCount=count, cursor=data["next"]).data
    raise AssertionError("the list does not end")


@pytest.mark.parametrize("batch", [1, 3, 7])
def test_sql_goes_on_where_a_batch_ended(own: Api, batch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is left out between the batches in which SQL is read for one page."""
    monkeypatch.setattr("datingtoday.discovery.hot.service._BATCH", batch)
    viewer = make_user(own, authority=0)
    people = ranked(own, 22)
    assert ids(own, viewer, pageCount=20) == numbers(people[:20])
    assert pages(own, viewer, 5, lambda number: None) == numbers(people)
    assert ids(own, viewer, page=2, pageCount=10) == numbers(people[10:20])


def test_nobody_comes_twice_or_is_skipped_while_ranks_move(own: Api) -> None:
    viewer = make_user(own, authority=0)
    people = ranked(own, 30)
    edition(own)

    def turn_over(number: int) -> None:
        for at, person in enumerate(people):
            score(own, person, 1000.0 + (at * 7919 + number * 31) % 101)
        score(own, make_user(own), 5000.0)
        edition(own)

    assert pages(own, viewer, 4, turn_over) == numbers(people)
    assert ids(own, viewer, pageCount=30) != numbers(people)


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(1, 9), st.sets(st.integers(0, 19)), st.randoms())
def test_pages_hold_everybody_who_may_be_found_once(
    twenty: tuple[Api, list[User]], count: int, hidden: set[int], rng: Any
) -> None:
    """Whatever the size of the pages, whoever hides before, however scores change between the pages."""
    api, people = twenty
    for at, person in enumerate(people):
        score(api, person, 1000.0 - at)
    edition(api)
    viewer = make_user(api, authority=0)
    make_block(api, viewer, *(people[at] for at in sorted(hidden)))

    def turn_over(_: int) -> None:
        score(api, rng.choice(people), 900.0 + rng.random() * 200)

    expected = [person.user_id for at, person in enumerate(people) if at not in hidden]
    assert pages(api, viewer, count, turn_over) == expected


@pytest.fixture
def twenty(own: Api) -> tuple[Api, list[User]]:
    return own, ranked(own, 20)


def test_pages_by_number(own: Api) -> None:
    viewer = make_user(own, authority=0)
    people = numbers(ranked(own, 25))
    edition(own)
    assert [ids(own, viewer, page=page) for page in (1, 2, 3, 4, 100_000)] == [
        people[:10], people[10:20], people[20:], [], [],
    ]  # fmt: skip
    data = own.get(PATH, viewer, page=2).data
    assert (data["total"], data["has_next"]) == (25, True)
    assert ids(own, viewer, cursor=data["next"]) == people[20:]
    assert own.get(PATH, make_user(own), cursor=data["next"]).code == 300
    assert own.get(PATH, viewer, cursor="abc").code == 300
    # Who may not be found is missing on the page, and nobody takes the place of another on the next one.
    blocker = make_user(own, authority=0)
    make_block(own, blocker, User(people[3], "", ""), User(people[9], "", ""))
    assert [ids(own, blocker, page=page) for page in (1, 2)] == [
        [*people[:3], *people[4:9]], people[10:20],
    ]  # fmt: skip


@pytest.mark.parametrize(("hidden", "goes_on"), [(501, False), (502, True)])
def test_looking_for_a_next_page_ends(own: Api, hidden: int, goes_on: bool) -> None:
    """Behind 500 in a row whom one may not find there may be a user: the next page goes on looking.

    Two more people are judged together with the page.
    """
    viewer = make_user(own, authority=0)
    people = [make_user(own) for _ in range(3)]
    for at, person in enumerate(people):
        score(own, person, 1e12 - at)
    now = datetime.now(UTC)
    with own.parts.base.database.transaction() as session:
        session.add_all(
            UserInfo(nickname=f"密{number}", create_time=now, update_time=now, last_active=now, authority=2)
            for number in range(hidden)
        )
    assert edition(own).sizes[0] == 3 + hidden
    data = own.get(PATH, viewer, pageCount=3).data
    assert [card["user_id"] for card in data["list"]] == numbers(people)
    assert data["has_next"] is goes_on
    if goes_on:
        assert pages(own, viewer, 3, lambda _: None) == numbers(people)


def test_long_lists_are_read_in_parts(own: Api) -> None:
    """More than one part of an edition, and more than one command to write it."""
    viewer = make_user(own, authority=0)
    now = datetime.now(UTC)
    with own.parts.base.database.transaction() as session:
        session.add_all(
            UserInfo(nickname=f"众{number}", create_time=now, update_time=now, last_active=now)
            for number in range(1_150)
        )
        session.flush()
        scored = session.execute(select(HotPerson.user_id, HotPerson.score).where(HotPerson.shelf == 0)).all()
    expected = [
        user_id for user_id, _ in sorted(scored, key=lambda row: (row.score, row.user_id), reverse=True)
    ]
    made = edition(own)
    assert made.sizes[0] == 1_150
    assert ids(own, viewer, page=12, pageCount=50) == expected[550:600]
    assert ids(own, viewer, page=23, pageCount=50) == expected[1_100:]
    data = own.get(PATH, viewer, page=4, pageCount=50).data
    assert (data["total"], data["total_more"]) == (1000, True)
    assert ids(own, viewer, pageCount=50, cursor=data["next"]) == expected[200:250]


# --- Redis


def test_without_an_edition_sql_serves_and_one_is_made(own: Api) -> None:
    viewer = make_user(own, authority=0)
    people = numbers(ranked(own, 12))
    lose_rankings(own)
    told = own.get(PATH, viewer).data
    assert ([card["user_id"] for card in told["list"]], told["total"]) == (people[:10], 12)
    wait_until(lambda: own.parts.base.cache.memory.read(["hot:now"])[0], "an edition")
    data = wait_until(lambda: (found := own.get(PATH, viewer).data)["next"] and found, "a page")
    assert [card["user_id"] for card in data["list"]] == people[:10]


def test_an_edition_that_is_lost_on_the_way_does_no_harm(own: Api) -> None:
    viewer = make_user(own, authority=0)
    people = numbers(ranked(own, 12))
    edition(own)

    def lose(_: int) -> None:
        lose_rankings(own)

    assert pages(own, viewer, 5, lose) == people


def test_only_the_edition_that_lost_a_part_is_given_up(own: Api) -> None:
    ranked(own, 3)
    editions = own.parts.discovery.editions
    name = edition(own).name
    for lost, is_kept in (("another", True), (name, False), (name, False)):
        editions.forget(lost)
        assert (own.parts.base.cache.memory.read(["hot:now"])[0] is not None) is is_kept


def test_with_redis_down_sql_serves(backend: Backend, app_of: Callable[..., Api]) -> None:
    redis = backend.private_redis()
    api = app_of(REDIS_CACHE_URI=redis.uri)
    viewer = make_user(api, authority=0)
    people = numbers(ranked(api, 12))
    edition(api)
    first = api.get(PATH, viewer, pageCount=5).data
    redis.stop()
    api.parts.discovery.editions.forget_all()
    assert [card["user_id"] for card in first["list"]] == people[:5]
    assert ids(api, viewer, pageCount=50, cursor=first["next"]) == people[5:]
    assert pages(api, viewer, 5, lambda number: None) == people
    assert ids(api, viewer, page=2) == people[10:]
    api.parts.base.database.dispose()


def test_an_old_edition_is_followed_by_a_new_one(app_of: Callable[..., Api]) -> None:
    api = app_of(DISCOVERY_HOT_REFRESH_S=1)
    viewer = make_user(api, authority=0)
    a, b = ranked(api, 2)
    edition(api)
    assert ids(api, viewer) == numbers([a, b])
    score(api, b, 2000.0)
    wait_until(lambda: ids(api, viewer) == numbers([b, a]), "the new edition")
    api.parts.base.database.dispose()


def test_one_builder_at_a_time(own: Api) -> None:
    own.parts.base.cache_redis.execute("SET", "hot:building", "another", "PX", 60_000)
    assert own.parts.discovery.editions.make(datetime.now(UTC)) is None
    assert own.parts.base.cache_redis.execute("GET", "hot:building") == b"another"


# --- rebuilding


def test_people_of_before_are_taken_in(own: Api) -> None:
    viewer = make_user(own, authority=0)
    people = [make_user(own, nickname=f"旧人{number}", height=170) for number in range(3)]
    for number in range(40):
        note(own, people[1], 10 + number, Attention.VISIT)
    with own.parts.base.database.transaction(write=False) as session:
        before = {row.user_id: (row.shelf, round(row.score, 9)) for row in session.scalars(select(HotPerson))}
    with own.parts.base.database.transaction() as session:
        for table in (HotPerson, SearchName, SearchGram):
            session.execute(delete(table))
    lose_rankings(own)
    assert ids(own, viewer) == []
    told: list[int] = []
    assert own.parts.discovery.rebuild.reindex_all(told.append) == 4
    assert told == [4]
    edition(own)
    assert ids(own, viewer)[0] == people[1].user_id
    found = own.get("/api/user/search", viewer, nickname="旧人2").data["list"]
    assert [card["user_id"] for card in found] == [people[2].user_id]
    with own.parts.base.database.transaction(write=False) as session:
        after = {row.user_id: (row.shelf, round(row.score, 9)) for row in session.scalars(select(HotPerson))}
    assert after == before


# --- how often


def test_editions_come_as_often_as_they_are_cheap(own: Api) -> None:
    editions, now = own.parts.discovery.editions, datetime.now(UTC)
    viewer = make_user(own, authority=0)
    a, b = ranked(own, 2)
    assert editions.is_due(now), "there is none"
    first = edition(own)
    assert MIN_REFRESH_S <= first.refresh_s < 60, "of a handful of people"
    later = first.made_at + timedelta(seconds=first.refresh_s + 0.001)
    assert not editions.is_due(later - timedelta(seconds=0.1))
    assert editions.is_due(later)
    score(own, b, 2000.0)
    second = edition(own)
    assert second.name != first.name
    assert ids(own, viewer) == numbers([b, a])


def test_what_has_not_changed_stays_the_same_edition(own: Api) -> None:
    ranked(own, 3)
    first = edition(own)
    again = edition(own)
    assert (again.name, again.sizes) == (first.name, first.sizes)
    assert again.made_at > first.made_at
    # But not if a part of it is gone.
    client = own.parts.base.cache_redis.client
    for key in client.scan_iter(f"*{first.name}*"):
        client.delete(key)
    assert edition(own).name != first.name


def test_rows_of_old_days_go_by_the_workers_job(own: Api) -> None:
    user, now = make_user(own), datetime.now(UTC)
    assert note(own, user, 7, Attention.VISIT, now - timedelta(days=3))
    own.parts.base.jobs["hot_tidy"].run(now)
    with own.parts.base.database.transaction(write=False) as session:
        assert session.scalars(select(HotAttention.day)).all() == []
