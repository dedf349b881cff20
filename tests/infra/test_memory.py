"""Entries in Redis are believed only while it cannot have lost any; changes are not lost with a process."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from sqlalchemy import func, select, text

from datingtoday.infra import memory as memory_module
from datingtoday.infra.cache import ReadyCache
from datingtoday.infra.db import Database, before_commit
from datingtoday.infra.models_memory import RedisMemory, UnsentChange
from datingtoday.infra.redis import RedisDown, RedisRole
from tests.infra.test_cache import Notes, database, fetch, name, write
from tests.infra.test_lost_races import losing
from tests.plugins.backend import Backend
from tests.plugins.polling import wait_until
from tests.plugins.redis_server import RedisServer

__all__ = ["database"]

Process = Callable[..., ReadyCache]
"""Makes what a process of the service has."""


@pytest.fixture(params=["server", "cluster"])
def redis(request: pytest.FixtureRequest, backend: Backend) -> RedisServer:
    return backend.private_redis(cluster=request.param == "cluster")


@pytest.fixture
def process(redis: RedisServer, database: Database) -> Iterator[Process]:
    made: list[RedisRole] = []

    def make(server: RedisServer = redis) -> ReadyCache:
        made.append(RedisRole(server.uri, timeout_s=0.5, pause_s=0.02))
        return ReadyCache(made[-1], database)

    yield make
    for role in made:
        role.close()


def holds(cache: ReadyCache, key: str) -> Any:
    """Value that the server holds under this process's name of the key, believed or not."""
    return cache.memory.redis.execute("GET", name(cache, key))


def epochs(database: Database) -> dict[str, str]:
    with database.transaction(write=False) as session:
        return dict(session.execute(select(RedisMemory.name, RedisMemory.epoch)).all())


def unsent(database: Database) -> int:
    with database.transaction(write=False) as session:
        return session.scalar(select(func.count()).select_from(UnsentChange)) or 0


def lose_what_was_written_since(redis: RedisServer, then: Callable[[], None]) -> None:
    """Copy the files, let something happen, and come back with the files."""
    files = redis.back_up()
    then()
    redis.kill()
    redis.restore(files)
    redis.start()


def test_older_files_are_not_believed(process: Process, redis: RedisServer, database: Database) -> None:
    notes, here, there = Notes(), process(), process()
    assert [fetch(side, notes, 1, 2) for side in (here, there)] == [[b"one", b"two"]] * 2
    old = name(here, "note:1")
    lose_what_was_written_since(redis, lambda: write(here, database, notes, 1, "ONE"))
    for cache in (there, here, process()):
        wait_until(partial(_answers, cache), "the server")
        assert fetch(cache, notes, 1, 2) == [b"ONE", b"two"]
    assert here.memory.redis.execute("GET", old) == b"=one", "the test itself: the old entry is there"
    # From then on the cache is one again.
    made = len(notes.made)
    assert [fetch(side, notes, 1, 2) for side in (here, there)] == [[b"ONE", b"two"]] * 2
    assert len(notes.made) == made


def test_a_crash_without_files_is_a_loss(process: Process, redis: RedisServer, database: Database) -> None:
    notes, cache = Notes(), process()
    fetch(cache, notes, 1)
    before = epochs(database)
    redis.kill()
    redis.wipe()
    redis.start()
    wait_until(lambda: _answers(cache), "the server")
    assert fetch(cache, notes, 1) == [b"one"]
    after = epochs(database)
    assert after.keys() == before.keys()
    assert all(after[key] != before[key] for key in before)


def test_a_flush_is_a_loss(process: Process, redis: RedisServer, database: Database) -> None:
    """The server goes on, under the same run id, but marks that stood there do not."""
    notes, cache = Notes(), process()
    fetch(cache, notes, 1)
    before = epochs(database)
    redis.flush()
    assert fetch(cache, notes, 1) == [b"one"]
    assert all(epochs(database)[key] != before[key] for key in before)


def test_a_replica_that_lags_takes_over_and_gives_back(
    backend: Backend, process: Process, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = backend.private_redis(), backend.private_redis()
    notes, here = Notes(), process(first)
    assert fetch(here, notes, 1, 2) == [b"one", b"two"]
    old = name(here, "note:1")
    with second.client() as client:
        client.execute_command("REPLICAOF", "127.0.0.1", first.port)
        wait_until(lambda: client.get(old) == b"=one", "the replica")
        # From here on it receives nothing.
        client.execute_command("REPLICAOF", "NO", "ONE")
    write(here, database, notes, 1, "ONE")
    there = process(second)
    assert fetch(there, notes, 1, 2) == [b"ONE", b"two"]
    assert there.memory.redis.execute("GET", old) == b"=one", "the test itself: the replica holds it"
    # Back to the first one, which went on all the time and knows nothing of this:
    write(there, database, notes, 2, "TWO")
    assert fetch(process(first), notes, 1, 2) == [b"ONE", b"TWO"]
    write(there, database, notes, 2, "two again")
    # Who did not notice any of it hears of it within a moment.
    monkeypatch.setattr(memory_module, "LOOK_EVERY_S", 0)
    assert fetch(here, notes, 1, 2) == [b"ONE", b"two again"]


def test_a_mark_that_is_lost_before_the_commit(
    process: Process, redis: RedisServer, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Redis forgets the mark, a user would put what is still true, and the process dies after the commit."""
    notes, writer, reader = Notes(), process(), process()
    assert fetch(reader, notes, 1) == [b"one"]
    begun = threading.Event()
    bind = reader.memory._bind

    def bind_and_tell(*args: Any, **options: Any) -> str:
        begun.set()
        return bind(*args, **options)

    monkeypatch.setattr(reader.memory, "_bind", bind_and_tell)
    monkeypatch.setattr(writer.memory, "_committed", lambda *args, **options: None)
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(fetch(reader, notes, 1)))

    def lose() -> None:
        redis.flush()
        thread.start()
        # It would begin a new epoch, and has to wait for this transaction.
        assert begun.wait(20)

    with database.transaction() as session:
        session.execute(text("UPDATE note SET word = 'ONE' WHERE id = 1"))
        writer.forget(session, ["note:1"])
        before_commit(session, lose)
    thread.join(30)
    assert found
    assert fetch(reader, notes, 1) == [b"ONE"]
    assert fetch(process(), notes, 1) == [b"ONE"]


def test_a_change_that_only_a_dead_process_knew(
    process: Process, redis: RedisServer, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Redis does not answer, the change goes on all the same, and its process dies; Redis has lost nothing."""
    monkeypatch.setattr(memory_module, "LOOK_EVERY_S", 3600)
    notes, dying, there = Notes(), process(), process()
    assert [fetch(side, notes, 1, 2) for side in (dying, there)] == [[b"one", b"two"]] * 2
    redis.pause()
    try:
        write(dying, database, notes, 1, "ONE")
    finally:
        redis.resume()
    wait_until(lambda: _answers(there), "the server")
    assert holds(there, "note:1") == b"=one", "the test itself: the old entry is there"
    assert unsent(database) == 1
    monkeypatch.setattr(memory_module, "LOOK_EVERY_S", 0)
    assert fetch(there, notes, 1, 2) == [b"ONE", b"two"]
    assert unsent(database) == 0
    assert len(notes.made) == 2, "the other entry stayed"


def test_a_new_process_tells_what_a_dead_one_could_not(
    process: Process, redis: RedisServer, database: Database
) -> None:
    notes, dying = Notes(), process()
    assert fetch(dying, notes, 1) == [b"one"]
    redis.pause()
    try:
        write(dying, database, notes, 1, "ONE")
    finally:
        redis.resume()
    there = process()
    wait_until(lambda: _answers(there), "the server")
    assert fetch(there, notes, 1) == [b"ONE"]


def test_who_changed_something_sees_it(process: Process, redis: RedisServer, database: Database) -> None:
    """However often a process looks for what others did, it knows what it did itself."""
    notes, cache = Notes(), process()
    assert fetch(cache, notes, 1) == [b"one"]
    redis.pause()
    try:
        write(cache, database, notes, 1, "ONE")
        assert fetch(cache, notes, 1) == [b"ONE"]
    finally:
        redis.resume()
    wait_until(lambda: _answers(cache), "the server")
    assert fetch(cache, notes, 1) == [b"ONE"]


def test_many_changes_that_were_not_told_begin_a_new_epoch(
    process: Process, redis: RedisServer, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory_module, "LOOK_EVERY_S", 3600)
    notes, here, there = Notes(), process(), process()
    assert [fetch(side, notes, 1, 2) for side in (here, there)] == [[b"one", b"two"]] * 2
    before = epochs(database)
    monkeypatch.setattr(memory_module, "MAX_UNSENT", 0)
    redis.pause()
    try:
        write(here, database, notes, 1, "ONE")
    finally:
        redis.resume()
    for side in (here, there):
        wait_until(partial(_answers, side), "the server")
    assert fetch(here, notes, 1, 2) == [b"ONE", b"two"]
    assert epochs(database) != before
    assert unsent(database) == 0
    monkeypatch.setattr(memory_module, "LOOK_EVERY_S", 0)
    assert fetch(there, notes, 1, 2) == [b"ONE", b"two"]


def _answers(cache: ReadyCache) -> bool:
    try:
        return bool(cache.memory.redis.execute("PING"))
    except RedisDown:
        return False


@pytest.mark.parametrize(("times", "is_bound"), [(2, True), (3, False)])
def test_the_epoch_is_found_out_again_after_lost_races(
    process: Process, database: Database, times: int, is_bound: bool
) -> None:
    """Processes that start together are in each other's way; three times in a row is another fault."""
    cache = process()
    with losing(database, 1213, times, "INSERT INTO redis_memory") as lost:
        if is_bound:
            assert cache.memory.names(["a"])
        else:
            with pytest.raises(RedisDown):
                cache.memory.names(["a"])
    assert len(lost) == times
    assert cache.memory.names(["a"])


@pytest.mark.parametrize("backend", ["real"], indirect=True)
def test_changes_at_the_same_time_do_not_wait_for_each_other(process: Process, database: Database) -> None:
    """Only the beginning of an epoch needs the row for itself."""
    notes, one, other = Notes(), process(), process()
    assert [fetch(side, notes, 1, 2) for side in (one, other)] == [[b"one", b"two"]] * 2
    with database.transaction() as session:
        session.execute(text("UPDATE note SET word = 'ONE' WHERE id = 1"))
        one.forget(session, ["note:1"])
        # Within the other's transaction, which holds its share of the row by now.
        before_commit(session, lambda: write(other, database, notes, 2, "TWO"))
    assert fetch(one, notes, 1, 2) == [b"ONE", b"TWO"]
