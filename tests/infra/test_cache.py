"""Ready bytes: made once, never out of date, and dispensable."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from datingtoday.infra import cache as cache_module
from datingtoday.infra.cache import LEASE_MS, MARK_S, WAIT_S, CacheEntry, CacheRequest, ReadyCache
from datingtoday.infra.db import Base, Database, before_commit
from datingtoday.infra.models_memory import RedisMemory, UnsentChange
from datingtoday.infra.redis import RedisDown, RedisRole
from tests.plugins.backend import Backend
from tests.plugins.polling import wait_until
from tests.plugins.redis_server import RedisServer

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PATIENCE_S = 20


@dataclass
class Notes:
    """A source whose truth is a table of words, and which can be stopped while it makes."""

    kind: str = "note"
    life_s: float = 60
    made: list[Sequence[int]] = field(default_factory=list)
    after_reading: Callable[[], None] = lambda: None

    def key(self, what: int) -> str:
        return f"{self.kind}:{what}"

    def make(self, session: Session, wanted: Sequence[int], now: datetime) -> Mapping[int, CacheEntry]:
        self.made.append(list(wanted))
        rows = session.execute(text("SELECT id, word FROM note")).all()
        self.after_reading()
        return {number: CacheEntry(word.encode(), self.life_s) for number, word in rows if number in wanted}


@pytest.fixture
def redis(backend: Backend) -> RedisServer:
    return backend.private_redis()


@pytest.fixture
def database(backend: Backend) -> Iterator[Database]:
    database = Database(backend.database_uri)
    tables = [Base.metadata.tables[table.__tablename__] for table in (RedisMemory, UnsentChange)]
    Base.metadata.create_all(database.engine, tables=tables)
    with database.transaction() as session:
        session.execute(text("CREATE TABLE note (id INTEGER PRIMARY KEY, word VARCHAR(20))"))
        session.execute(text("INSERT INTO note VALUES (1, 'one'), (2, 'two'), (3, 'three')"))
    yield database
    database.dispose()


@pytest.fixture
def role(redis: RedisServer) -> RedisRole:
    return RedisRole(redis.uri, timeout_s=1.5, pause_s=0.02)


@pytest.fixture
def cache(role: RedisRole, database: Database) -> ReadyCache:
    return ReadyCache(role, database)


def name(cache: ReadyCache, key: str) -> str:
    """Name of the key in Redis."""
    return cache.memory.names([key])[0]


def fetch(cache: ReadyCache, notes: Notes, *numbers: int) -> list[bytes | None]:
    return cache.fetch([CacheRequest(notes, number) for number in numbers], NOW)


def write(cache: ReadyCache, database: Database, notes: Notes, number: int, word: str) -> None:
    with database.transaction() as session:
        session.execute(text("UPDATE note SET word = :word WHERE id = :id"), {"word": word, "id": number})
        cache.forget(session, [notes.key(number)])


def test_made_once_and_in_the_order_of_the_wishes(cache: ReadyCache) -> None:
    notes = Notes()
    assert fetch(cache, notes, 3, 1) == [b"three", b"one"]
    assert fetch(cache, notes, 1, 2, 3) == [b"one", b"two", b"three"]
    assert notes.made == [[3, 1], [2]]
    assert cache.fetch([], NOW) == []


def test_what_does_not_exist_is_none_and_looked_for_again(cache: ReadyCache, role: RedisRole) -> None:
    notes = Notes()
    assert fetch(cache, notes, 9, 1) == [None, b"one"]
    assert fetch(cache, notes, 9) == [None]
    assert notes.made == [[9, 1], [9]]
    assert role.execute("EXISTS", name(cache, "note:9")) == 0


def test_several_kinds_come_in_one_round_trip(cache: ReadyCache, role: RedisRole) -> None:
    first, second = Notes("a"), Notes("b")
    wishes = [CacheRequest(first, 1), CacheRequest(second, 2), CacheRequest(first, 3)]
    assert cache.fetch(wishes, NOW) == [b"one", b"two", b"three"]
    before = _calls(role)
    assert cache.fetch(wishes, NOW) == [b"one", b"two", b"three"]
    assert _calls(role) - before == 1
    assert (first.made, second.made) == ([[1, 3]], [[2]])


def test_an_entry_lives_as_long_as_it_is_true(cache: ReadyCache, role: RedisRole) -> None:
    fetch(cache, Notes(life_s=7), 1)
    assert 6_000 < role.execute("PTTL", name(cache, "note:1")) <= 7_000


@pytest.mark.parametrize("life_s", [0, -5, 0.0004])
def test_what_is_no_longer_true_is_served_but_not_kept(
    cache: ReadyCache, role: RedisRole, life_s: float
) -> None:
    assert fetch(cache, Notes(life_s=life_s), 1) == [b"one"]
    assert role.execute("EXISTS", name(cache, "note:1")) == 0


def test_a_change_shows_with_its_commit(cache: ReadyCache, database: Database) -> None:
    notes = Notes()
    fetch(cache, notes, 1, 2)
    write(cache, database, notes, 1, "ONE")
    for _ in range(2):
        assert fetch(cache, notes, 1, 2) == [b"ONE", b"two"]
    # Kept again from the first reader on: the mark is gone with the commit.
    assert notes.made == [[1, 2], [1]]


def test_while_a_change_is_not_committed_sql_serves_and_nothing_is_put(
    cache: ReadyCache, role: RedisRole, database: Database
) -> None:
    notes = Notes()
    fetch(cache, notes, 1)
    seen: list[bytes | None] = []

    def look() -> None:
        seen.extend([*fetch(cache, notes, 1), role.execute("GET", name(cache, "note:1"))])

    with database.transaction() as session:
        session.execute(text("UPDATE note SET word = 'ONE' WHERE id = 1"))
        cache.forget(session, ["note:1"])
        before_commit(session, look)
    assert seen == [b"one", b"?"]
    assert fetch(cache, notes, 1) == [b"ONE"]


def test_a_mark_that_nobody_takes_away_runs_out(
    cache: ReadyCache, role: RedisRole, database: Database
) -> None:
    """As after a crash between commit and deletion, or a commit that fails."""
    notes = Notes()
    fetch(cache, notes, 2)

    def fail() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), database.transaction() as session:
        cache.forget(session, ["note:1"])
        before_commit(session, fail)
    assert 0 < role.execute("PTTL", name(cache, "note:1")) <= MARK_S * 1000
    assert fetch(cache, notes, 1) == [b"one"]
    assert role.execute("GET", name(cache, "note:1")) == b"?"


@pytest.mark.parametrize("moment", ["before", "after"])
def test_who_read_sql_before_a_commit_cannot_put_it_afterwards(
    cache: ReadyCache, database: Database, moment: str
) -> None:
    """The reader stops between reading and putting; the change comes then, and perhaps another reader."""
    notes, other = Notes(), Notes()

    def meanwhile() -> None:
        notes.after_reading = lambda: None
        write(cache, database, notes, 1, "ONE")
        if moment == "after":
            assert fetch(cache, other, 1) == [b"ONE"]

    notes.after_reading = meanwhile
    assert fetch(cache, notes, 1) == [b"one"]
    assert fetch(cache, other, 1) == [b"ONE"]


def test_of_many_readers_one_makes_it(
    role: RedisRole, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    # However slow the machine is, nobody gives up waiting.
    monkeypatch.setattr(cache_module, "WAIT_S", PATIENCE_S)
    caches = [ReadyCache(role, database) for _ in range(12)]
    for cache in caches:
        cache.prepare()
    notes = Notes()
    entered = threading.Event()

    def slowly() -> None:
        # Until the others have come to wait: they show by asking for the key again.
        if not entered.is_set():
            entered.set()
            before = _calls(role)
            wait_until(lambda: _calls(role) >= before + len(caches), "the others", deadline_s=PATIENCE_S)

    notes.after_reading = slowly
    results: list[list[bytes | None]] = []
    threads = [threading.Thread(target=lambda c=c: results.append(fetch(c, notes, 1))) for c in caches]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(2 * PATIENCE_S)

    assert results == [[b"one"]] * len(caches)
    # Who met a lease that had just run out, or a Redis that did not answer, made it, too; but no herd asks SQL.
    assert 1 <= len(notes.made) <= 3


def test_who_waits_in_vain_asks_sql(cache: ReadyCache, role: RedisRole) -> None:
    """The maker died: its lease is all that is left."""
    role.execute("SET", name(cache, "note:1"), b"+writer", "PX", LEASE_MS)
    notes = Notes()
    assert fetch(cache, notes, 1, 2) == [b"one", b"two"]
    assert role.execute("GET", name(cache, "note:1")) == b"+writer"
    assert role.execute("GET", name(cache, "note:2")) == b"=two"
    assert WAIT_S * 1000 < LEASE_MS


def test_a_maker_that_fails_gives_its_lease_back(cache: ReadyCache, role: RedisRole) -> None:
    def fail() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fetch(cache, Notes(after_reading=fail), 1)
    assert role.execute("EXISTS", name(cache, "note:1")) == 0


def test_without_redis_sql_serves_and_changes_go_on(
    cache: ReadyCache, redis: RedisServer, role: RedisRole, database: Database
) -> None:
    notes = Notes()
    assert fetch(cache, notes, 1, 2) == [b"one", b"two"]
    redis.kill()
    assert fetch(cache, notes, 1, 2, 9) == [b"one", b"two", None]
    write(cache, database, notes, 1, "ONE")
    assert fetch(cache, notes, 1) == [b"ONE"]
    redis.start()
    # What Redis still knew from before is not believed.
    role_back = lambda: fetch(cache, notes, 1) == [b"ONE"] and _answers(role)  # noqa: E731
    wait_until(role_back, "Redis to be back", deadline_s=PATIENCE_S)
    role.execute("SET", name(cache, "note:1"), b"=one")
    assert fetch(cache, notes, 1) == [b"one"], "the test itself: an entry there is believed"


def test_a_change_during_an_outage_is_deleted_afterwards(
    cache: ReadyCache, redis: RedisServer, role: RedisRole, database: Database
) -> None:
    notes = Notes()
    assert fetch(cache, notes, 1) == [b"one"]
    redis.pause()
    try:
        write(cache, database, notes, 1, "ONE")
    finally:
        redis.resume()
    wait_until(lambda: _answers(role), "Redis to be back", deadline_s=PATIENCE_S)
    assert fetch(cache, notes, 1) == [b"ONE"]
    assert role.execute("GET", name(cache, "note:1")) == b"=ONE"


def test_on_a_cluster(backend: Backend, database: Database) -> None:
    server = backend.private_redis(cluster=True)
    cache = ReadyCache(RedisRole(server.uri, timeout_s=2), database)
    notes = Notes()
    for _ in range(2):
        assert fetch(cache, notes, 1, 2, 3) == [b"one", b"two", b"three"]
    write(cache, database, notes, 2, "TWO")
    assert fetch(cache, notes, 1, 2, 3) == [b"one", b"TWO", b"three"]
    assert notes.made == [[1, 2, 3], [2]]


def _answers(role: RedisRole) -> bool:
    try:
        return bool(role.execute("PING"))
    except RedisDown:
        return False


def _calls(role: RedisRole) -> int:
    """Round trips of MGET so far."""
    info = role.client.info("commandstats")
    return int(info.get("cmdstat_mget", {}).get("calls", 0))


def test_what_was_not_read_ahead_is_read_in_one_round_trip_and_nothing_else(
    cache: ReadyCache, role: RedisRole
) -> None:
    notes = Notes()
    fetch(cache, notes, 1, 2, 3)
    ahead = cache.read(["note:1", "note:2", "note:9"])
    assert ahead["note:9"] is None
    for wanted, round_trips in (((3, 1, 2), 1), ((2, 1), 0)):
        before = _calls(role)
        wishes = [CacheRequest(notes, number) for number in wanted]
        words = {1: b"one", 2: b"two", 3: b"three"}
        assert cache.fetch(wishes, NOW, ahead) == [words[number] for number in wanted]
        assert _calls(role) - before == round_trips
    assert notes.made == [[1, 2, 3]]


def test_what_was_there_and_what_was_not_is_counted(
    cache: ReadyCache, redis: RedisServer, role: RedisRole
) -> None:
    def counted() -> tuple[int, int]:
        # Of this cache alone: others of the process come and go.
        return cache._count.reads

    assert cache._count.name == "redis cache"
    notes = Notes()
    fetch(cache, notes, 1, 2)
    assert counted() == (0, 2)
    fetch(cache, notes, 1, 2, 3)
    assert counted() == (2, 3)
    fetch(cache, notes, 1, 2, 3)
    assert counted() == (5, 3)
    ahead = cache.read(["note:1", "note:2"])
    assert cache.entries_read(["note:1", "note:2"], ahead) == [b"one", b"two"]
    assert counted() == (7, 3)
    assert cache.entries_read(["note:1", "note:3"], ahead) is None
    assert cache.fetch_one(notes, 2, NOW, ahead) == b"two"
    assert counted() == (8, 3)
    redis.kill()
    fetch(cache, notes, 1, 2)
    assert counted() == (8, 5)
