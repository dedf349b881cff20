"""The cache step by step: how long a reader waits for another, and what is read along with something else."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from datingtoday.infra import cache as cache_module
from datingtoday.infra.cache import NOTHING_AHEAD, CacheEntry, CacheRequest, ReadyCache, value_of
from datingtoday.infra.cache_reader import CacheReader
from datingtoday.infra.db import Database
from datingtoday.infra.redis import RedisDown, RedisRole
from tests.infra.recorded_log import RecordedLog
from tests.infra.test_cache import NOW, Notes, cache, database, fetch, name, redis, role

__all__ = ["cache", "database", "redis", "role"]

pytestmark = pytest.mark.parametrize("backend", ["embedded"], indirect=True)


class TestWaiting:
    @pytest.fixture
    def sleeps(self, monkeypatch: pytest.MonkeyPatch) -> list[float]:
        """Sleeps of a reader, by a clock that only they move."""
        slept: list[float] = []
        monkeypatch.setattr(
            cache_module, "time", SimpleNamespace(monotonic=lambda: 100 + sum(slept), sleep=slept.append)
        )
        return slept

    @pytest.fixture
    def meanwhile(
        self, cache: ReadyCache, role: RedisRole, monkeypatch: pytest.MonkeyPatch
    ) -> Callable[[int, bytes], None]:
        """Another reader makes the note; puts this value before the reader looks for the n-th time."""
        role.execute("SET", name(cache, "note:1"), b"+writer")
        read, looks = cache.memory.read, list[Any]()

        def at(number: int, value: bytes) -> None:
            def look(keys: Any) -> Any:
                looks.append(keys)
                if len(looks) == number:
                    role.execute("SET", name(cache, "note:1"), value)
                return read(keys)

            monkeypatch.setattr(cache.memory, "read", look)

        return at

    def test_it_ends_after_a_sixth_of_a_second(
        self, cache: ReadyCache, role: RedisRole, sleeps: list[float]
    ) -> None:
        role.execute("SET", name(cache, "note:1"), b"+writer")
        notes = Notes()
        assert fetch(cache, notes, 2, 1) == [b"two", b"one"]
        assert sleeps == [0.008] * 19
        assert notes.made == [[2], [1]]

    def test_what_another_put_is_taken(
        self, cache: ReadyCache, sleeps: list[float], meanwhile: Callable[[int, bytes], None]
    ) -> None:
        meanwhile(3, b"=ONE")
        notes = Notes()
        assert fetch(cache, notes, 1, 2) == [b"ONE", b"two"]
        assert (len(sleeps), notes.made) == (2, [[2]])

    @pytest.mark.parametrize("value", [b"?", b"=one"])
    def test_what_is_being_changed_is_asked_of_sql_at_once(
        self,
        cache: ReadyCache,
        sleeps: list[float],
        meanwhile: Callable[[int, bytes], None],
        value: bytes,
    ) -> None:
        meanwhile(2, value)
        notes = Notes()
        assert fetch(cache, notes, 1) == [b"one"]
        assert (len(sleeps), notes.made) == (1, [[1]] if value == b"?" else [])

    def test_with_redis_gone_sql_is_asked_at_once(
        self, cache: ReadyCache, role: RedisRole, sleeps: list[float], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        role.execute("SET", name(cache, "note:1"), b"+writer")
        read, looks = cache.memory.read, list[Any]()

        def look(keys: Any) -> Any:
            looks.append(keys)
            if len(looks) > 1:
                raise RedisDown("away")
            return read(keys)

        monkeypatch.setattr(cache.memory, "read", look)
        notes = Notes()
        assert fetch(cache, notes, 1) == [b"one"]
        assert (sleeps, notes.made) == ([0.008], [[1]])


def test_what_cannot_be_put_is_served_and_told(
    cache: ReadyCache, role: RedisRole, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = RecordedLog()
    monkeypatch.setattr(cache_module, "log", log)
    cache.prepare()

    def away(_: Any) -> None:
        raise RedisDown("away")

    monkeypatch.setattr(role, "round_trip_with_scripts", away)
    assert fetch(cache, Notes(), 1, 2) == [b"one", b"two"]
    assert log.lines == [("info cache_not_filled", {"entries": 2, "reason": "away"})]


class TestReadAhead:
    def test_along_with_a_conversation_of_the_same_server_only(
        self, cache: ReadyCache, role: RedisRole, database: Database
    ) -> None:
        fetch(cache, Notes(), 1)
        reading = cache.read_ahead(role, ["note:1", "note:9"])
        assert reading is not None
        answers = role.round_trip(reading.commands)
        assert cache.taken(reading, answers) == {"note:1": b"=one", "note:9": None}
        assert cache.taken(reading, [b"another", answers[1]]) is NOTHING_AHEAD
        other = RedisRole(role.uri, timeout_s=1)
        assert cache.read_ahead(other, ["note:1"]) is None
        cluster = RedisRole("redis+cluster://127.0.0.1:1", timeout_s=1)
        assert ReadyCache(cluster, database).read_ahead(cluster, ["note:1"]) is None
        away = RedisRole("redis://127.0.0.1:1/0", timeout_s=1)
        assert ReadyCache(away, database).read_ahead(away, ["note:1"]) is None
        assert ReadyCache(away, database).read(["note:1"]) is NOTHING_AHEAD

    def test_only_entries_are_a_result(self, cache: ReadyCache) -> None:
        ahead = {"a": b"=one", "b": b"+writer", "c": b"?", "d": None, "e": b"="}
        for keys, entries in (
            (["a"], [b"one"]), (["e", "a"], [b"", b"one"]), (["a", "b"], None), (["a", "c"], None), (["a", "d"], None),
            (["x"], None), ([], []),
        ):  # fmt: skip
            assert cache.entries_read(keys, ahead) == entries, keys

    def test_a_reader_knows_what_was_read_for_its_request(self, cache: ReadyCache) -> None:
        notes = Notes()
        fetch(cache, notes, 1, 2)
        reader = CacheReader(cache, NOW)
        assert (reader.is_empty, reader.value("note:1")) == (True, None)
        reader.read_ahead(["note:1", "note:9"])
        assert (reader.is_empty, reader.value("note:1")) == (False, b"=one")
        assert reader.values(["note:1", "note:9", "note:2"]) == [b"=one", None, None]
        reader.read_ahead(["note:1", "note:2"])
        assert reader.values(["note:1", "note:2", "note:9"]) == [b"=one", b"=two", None]
        assert reader.entries_read(["note:2", "note:1"]) == [b"two", b"one"]
        assert reader.entries_read(["note:9"]) is None
        assert reader.fetch([CacheRequest(notes, 3), CacheRequest(notes, 1)]) == [b"three", b"one"]
        assert reader.fetch_one(notes, 2) == b"two"
        assert notes.made == [[1, 2], [3]]
        assert (reader.fresh().is_empty, reader.fresh().now) == (True, NOW)
        reader.forget_read()
        assert reader.values(["note:1", "note:2"]) == [None, None]

    def test_the_value_of_an_entry(self, cache: ReadyCache) -> None:
        assert (value_of(b"one"), value_of(b""), value_of(None)) == (b"=one", b"=", None)
        assert CacheEntry(b"x", 1) == CacheEntry(b"x", 1.0)
