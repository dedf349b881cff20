"""Reading of the hot list: how far a page looks, what its cursor says, and what an edition asks of Redis."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import insert

from datingtoday.discovery.hot.editions import EditionLost, Editions
from datingtoday.discovery.hot.models import HotPerson
from datingtoday.profiles.models import UserInfo
from tests.discovery.rankings import PATH, edition, ids, lose_rankings, numbers, ranked, score
from tests.plugins.api import Api, User
from tests.plugins.polling import wait_until
from tests.profiles.factories import make_block, make_user

pytestmark = pytest.mark.parametrize("backend", ["embedded"], indirect=True)
NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
EVERYBODY = 0


def position(api: Api, viewer: User, cursor: str) -> list[Any]:
    return list(api.parts.protocol.cursors.read("hot", viewer.user_id, cursor))


def test_a_page_by_cursor_passes_over_a_hundred_people_at_most(
    own: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    viewer, last = make_user(own, authority=0), make_user(own)
    people = ranked(own, 3)
    now = datetime.now(UTC)
    with own.parts.base.database.transaction() as session:
        session.add_all(
            UserInfo(nickname=f"密{at}", create_time=now, update_time=now, last_active=now, authority=2)
            for at in range(103)
        )
    score(own, last, 0.0)
    for at, person in enumerate(people):
        score(own, person, 1e6 - at)
    name = edition(own).name
    editions, read = own.parts.discovery.editions, []
    reads = editions.read

    def noted(*stretch: Any) -> Any:
        read.append(stretch[3:])
        return reads(*stretch)

    monkeypatch.setattr(editions, "read", noted)
    first = own.get(PATH, viewer, pageCount=3).data
    assert [card["user_id"] for card in first["list"]] == numbers(people)
    # Two more people than the page has, then fifty at once.
    assert read == [(0, 5), (5, 50), (55, 50), (105, 50)]
    assert position(own, viewer, first["next"]) == [name, 0, 107, 3, 1e6 - 2, people[2].user_id, 107, False]
    read.clear()
    second = own.get(PATH, viewer, pageCount=3, cursor=first["next"]).data
    # None of three people and of a hundred more may be found: the next page goes on.
    assert (second["list"], second["has_next"], second["total"]) == ([], True, 107)
    assert position(own, viewer, second["next"])[:4] == [name, 0, 107, 106]
    assert read == [(3, 5), (8, 50), (58, 50)]
    third = own.get(PATH, viewer, pageCount=3, cursor=second["next"]).data
    assert ([card["user_id"] for card in third["list"]], third["next"]) == ([last.user_id], None)


@pytest.fixture
def no_edition(own: Api, monkeypatch: pytest.MonkeyPatch) -> Api:
    """As if no edition could be made."""
    monkeypatch.setattr(own.parts.discovery.editions, "newest", lambda now: None)
    return own


def test_a_cursor_of_sql_tells_scores_only(no_edition: Api) -> None:
    viewer = make_user(no_edition, authority=0)
    people = ranked(no_edition, 5)
    data = no_edition.get(PATH, viewer, pageCount=2).data
    assert position(no_edition, viewer, data["next"]) == ["", 0, 0, 0, 999.0, people[1].user_id, 5, False]
    assert ids(no_edition, viewer, pageCount=9, cursor=data["next"]) == numbers(people[2:])


def test_equal_scores_have_their_order_in_sql_too(no_edition: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datingtoday.discovery.hot.service._BATCH", 4)
    viewer = make_user(no_edition, authority=0)
    people = ranked(no_edition, 11)
    for person in people:
        score(no_edition, person, 7.0)
    expected = sorted(numbers(people), reverse=True)
    data = no_edition.get(PATH, viewer, pageCount=3).data
    assert [card["user_id"] for card in data["list"]] == expected[:3]
    assert ids(no_edition, viewer, pageCount=50, cursor=data["next"]) == expected[3:]
    assert ids(no_edition, viewer, pageCount=50) == expected


def test_sql_serves_no_page_beyond_the_size_of_an_edition(
    no_edition: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(no_edition.parts.discovery.editions, "size", 4)
    viewer = make_user(no_edition, authority=0)
    people = ranked(no_edition, 8)
    assert ids(no_edition, viewer, page=2, pageCount=3) == numbers(people[3:6])
    assert ids(no_edition, viewer, page=2, pageCount=4) == []


def test_an_edition_without_its_lists_is_given_up(own: Api) -> None:
    """What tells of it is left, so that without giving it up SQL would have to serve until the next one."""
    viewer = make_user(own, authority=0)
    people = ranked(own, 5)
    name = edition(own).name
    first = own.get(PATH, viewer, pageCount=2).data
    memory, redis = own.parts.base.cache.memory, own.parts.base.cache_redis
    redis.execute("DEL", *memory.names([f"hot:{name}:{kind}" for kind in range(9)]))
    own.parts.discovery.editions.forget_all()
    # A page by cursor goes on by SQL, and leaves it to the next reader.
    assert ids(own, viewer, pageCount=2, cursor=first["next"]) == numbers(people[2:4])
    assert memory.read(["hot:now"])[0] is not None
    assert ids(own, viewer) == numbers(people)
    assert memory.read(["hot:now"])[0] is None
    lose_rankings(own)


def test_an_edition_that_is_lost_within_a_page_shows_nobody_twice(
    own: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    viewer = make_user(own, authority=0)
    people = ranked(own, 12)
    # Of the first five after the cursor the last one is found, and another one.
    make_block(own, viewer, *(people[at] for at in (3, 4, 6)))
    edition(own)
    next_ = own.get(PATH, viewer, pageCount=3).data["next"]
    editions = own.parts.discovery.editions
    read = editions.read

    def once(*stretch: Any) -> Any:
        monkeypatch.setattr(editions, "read", lose)
        return read(*stretch)

    def lose(name: str, *_: Any) -> Any:
        raise EditionLost(name)

    monkeypatch.setattr(editions, "read", once)
    data = own.get(PATH, viewer, pageCount=4, cursor=next_).data
    assert [card["user_id"] for card in data["list"]] == numbers([people[at] for at in (5, 7, 8, 9)])
    assert data["has_next"]
    assert ids(own, viewer, pageCount=4, cursor=data["next"]) == numbers(people[10:])


# --- editions


class Recorder:
    """Redis, and the commands that it was given."""

    def __init__(self, redis: Any) -> None:
        self._redis = redis
        self.commands: list[tuple[Any, ...]] = []

    def execute(self, *command: Any) -> Any:
        self.commands.append(command)
        return self._redis.execute(*command)

    def round_trip(self, commands: Sequence[tuple[Any, ...]]) -> Any:
        self.commands += commands
        return self._redis.round_trip(commands)

    def run_script(self, *script: Any) -> Any:
        return self._redis.run_script(*script)

    def of(self, name: str, key: str | None = None) -> list[tuple[Any, ...]]:
        return [it[2:] for it in self.commands if it[0] == name and key in (None, it[1])]


def editions_of(api: Api, size: int = 10_000) -> tuple[Editions, Recorder]:
    base = api.parts.base
    editions = Editions(base.database, base.cache.memory, size=size, refresh_s=300)
    recorder = Recorder(base.cache_redis)
    editions._redis = recorder  # type: ignore[assignment]
    return editions, recorder


def test_an_edition_is_written_by_thousands_and_read_by_two_hundreds(own: Api) -> None:
    with own.parts.base.database.transaction() as session:
        session.execute(insert(HotPerson), [
            {"user_id": at, "shelf": 0, "attention": 0.0, "bonus": 0.0, "score": float(at)}
            for at in range(1, 1_002)
        ])  # fmt: skip
    editions, recorder = editions_of(own)
    made = editions.make(NOW)
    assert made is not None and made.sizes[EVERYBODY] == 1_001 and len(made.name) == 12
    assert recorder.of("SET", "hot:building") == [(recorder.commands[0][2], "NX", "PX", 60_000)]
    (key,) = own.parts.base.cache.memory.names([f"hot:{made.name}:{EVERYBODY}"])
    assert [len(it) // 2 for it in recorder.of("ZADD", key)] == [1_000, 1]
    # Each part lasts the longest time of all until everything is there.
    assert recorder.of("EXPIRE", key)[:2] == [(3_600,), (3_600,)]
    recorder.commands.clear()
    found = editions.read(made.name, EVERYBODY, 1_001, 199, 2)
    assert [one.user_id for one in found] == [802, 801]
    assert recorder.of("ZREVRANGE", key) == [(0, 199, "WITHSCORES"), (200, 399, "WITHSCORES")]


def test_three_hundred_parts_are_remembered(own: Api) -> None:
    editions, _ = editions_of(own)
    reply = [b"1", b"2.5"] * 200
    editions._redis = SimpleNamespace(execute=lambda *_: reply)  # type: ignore[assignment]
    for part in range(300):
        editions.read("x", EVERYBODY, 1_000_000, part * 200, 1)
    assert editions.remembered("x", EVERYBODY, 0, 1) != []
    editions.read("x", EVERYBODY, 1_000_000, 300 * 200, 1)
    assert editions.remembered("x", EVERYBODY, 0, 1) == []
    assert editions.remembered("x", EVERYBODY, 200, 1) != []


def test_an_edition_holds_the_best_of_all_shelves(own: Api) -> None:
    people = [make_user(own, gender=gender) for gender in (1, 2, 0, 1)]
    for at, person in enumerate(people):
        score(own, person, 10.0 - at)
    editions, _ = editions_of(own, size=3)
    made = editions.make(NOW)
    assert made is not None and made.sizes[EVERYBODY] == 3
    found = editions.read(made.name, EVERYBODY, 3, 0, 3)
    assert [(one.user_id, one.score) for one in found] == [
        (person.user_id, 10.0 - at) for at, person in enumerate(people[:3])
    ]


def test_a_reader_waits_for_no_other_who_makes_one(own: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    editions, _ = editions_of(own)
    made: list[threading.Thread] = []
    monkeypatch.setattr(editions, "make", lambda now: made.append(threading.current_thread()))
    assert editions.newest(NOW) is None
    wait_until(lambda: made, "the thread")
    # Which keeps no process from ending.
    assert (made[0].name, made[0].daemon) == ("hot edition", True)
    made[0].join(10)
    with editions._is_making:
        second = threading.Thread(target=editions._make_aside, args=(NOW,), daemon=True)
        second.start()
        second.join(10)
        assert not second.is_alive() and len(made) == 1
