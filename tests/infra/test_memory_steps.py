"""A memory step by step: when it looks, what it tells Redis late, in which parts, and what it believes."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import Engine, event, func, insert, select, text

from datingtoday.infra import memory as memory_module
from datingtoday.infra.db import Database
from datingtoday.infra.memory import Change, Memory
from datingtoday.infra.models_memory import RedisMemory, UnsentChange
from datingtoday.infra.redis import RedisDown, RedisRole
from tests.infra.recorded_log import RecordedLog
from tests.infra.test_cache import database
from tests.plugins.backend import Backend
from tests.plugins.polling import wait_until

__all__ = ["database"]

pytestmark = pytest.mark.parametrize("backend", ["embedded"], indirect=True)

MARKED, AFTER = Change(b"?", 60_000), Change(b"", 0)


@pytest.fixture
def role(backend: Backend) -> Iterator[RedisRole]:
    made = RedisRole(backend.cache_uri, timeout_s=5, pause_s=0.02)
    yield made
    made.close()


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> RecordedLog:
    made = RecordedLog()
    monkeypatch.setattr(memory_module, "log", made)
    return made


def memory_of(
    role: RedisRole, database: Database, name: str = "words", *, must_reach: bool = False
) -> Memory:
    return Memory(name, role, database, marked=MARKED, after=AFTER, must_reach=must_reach)


@pytest.fixture
def memory(role: RedisRole, database: Database) -> Memory:
    return memory_of(role, database)


def nowhere(database: Database, *, must_reach: bool) -> Memory:
    return memory_of(RedisRole("redis://127.0.0.1:1/0", pause_s=60), database, must_reach=must_reach)


def leave_unsent(database: Database, *keys: str, memory: str = "words") -> None:
    with database.transaction() as session:
        session.execute(insert(UnsentChange), [{"memory": memory, "key": key} for key in keys])


def unsent(database: Database) -> int:
    with database.reading() as session:
        return session.scalar(select(func.count()).select_from(UnsentChange)) or 0


def put(memory: Memory, *keys: str) -> None:
    for name in memory.names(keys):
        memory.redis.execute("SET", name, b"=x")


def held(memory: Memory, *keys: str) -> list[str]:
    """Those of the keys that Redis holds."""
    return [key for key in keys if memory.redis.execute("EXISTS", memory.names([key])[0])]


class TestLooking:
    def test_who_reads_often_looks_aside_once_a_second_and_who_comes_back_looks_first(
        self, memory: Memory, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        clock, looks = [100.0], list[tuple[str, bool]]()
        monkeypatch.setattr(memory_module, "time", SimpleNamespace(monotonic=lambda: clock[0]))
        memory.names(["a"])

        def look() -> None:
            thread = threading.current_thread()
            looks.append((thread.name, thread.daemon))
            memory._looking.release()

        monkeypatch.setattr(memory, "_look", look)
        here, aside = threading.current_thread().name, "memory of words"
        for now, expected in (
            (100.5, None), (100.75, None), (101.0, aside), (101.75, None), (102.75, aside), (104.75, here),
            (105.5, None), (105.75, aside), (200.0, here),
        ):  # fmt: skip
            clock[0], before = now, len(looks)
            memory.names(["a"])
            if expected:
                wait_until(lambda before=before: len(looks) > before, f"the look at {now}")  # type: ignore[misc]
                wait_until(lambda: not memory._looking.locked(), "its end")
                assert looks[-1][0] == expected, now
                assert looks[-1][1] is (expected == aside), now
            assert len(looks) == before + (expected is not None), now
        clock[0] = 300.0
        with memory._looking:
            memory.names(["a"])
        assert len(looks) == 5, "one is enough"

    def test_another_epoch_is_heard_of_and_what_was_not_told_is_told(
        self, memory: Memory, database: Database
    ) -> None:
        (name,) = memory.names(["a"])
        put(memory, "a", "b")
        leave_unsent(database, "a")
        memory._looked_at = float("-inf")
        assert memory.names(["a"]) == [name], "the same epoch goes on"
        assert (held(memory, "a", "b"), unsent(database)) == (["b"], 0)
        with database.transaction() as session:
            session.execute(text("UPDATE redis_memory SET epoch = 'other'"))
        assert memory.names(["a"]) == [name], "not heard of yet"
        memory._looked_at = float("-inf")
        (later,) = memory.names(["a"])
        assert later != name and later != "a@other", "Redis has not agreed to that one"

    def test_a_database_that_is_away_stops_no_reader(
        self, memory: Memory, database: Database, log: RecordedLog, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        names = memory.names(["a"])
        monkeypatch.setattr(memory, "_database", Database("sqlite:////nonexistent/x.sqlite3"))
        memory._looked_at = float("-inf")
        assert memory.names(["a"]) == names
        told = {"memory": "words", "reason": "OperationalError"}
        assert log.lines == [("warning memory_not_looked_at", told)]
        assert not memory._looking.locked()


class TestEpochs:
    def test_an_epoch_is_a_random_word_that_processes_agree_on(
        self, role: RedisRole, memory: Memory, database: Database
    ) -> None:
        (name,) = memory.names(["a"])
        assert len(name) == len("a@") + 8
        assert memory_of(role, database).names(["a"]) == [name]
        with database.reading() as session:
            (row,) = session.scalars(select(RedisMemory))
        assert (row.name, name) == ("words", f"a@{row.epoch}")

    @pytest.mark.parametrize("is_other", [True, False])
    def test_a_loss_is_told_with_its_kind_and_ends_what_was_not_told(
        self, memory: Memory, database: Database, role: RedisRole, log: RecordedLog, is_other: bool
    ) -> None:
        memory.names(["a"])
        leave_unsent(database, "a")
        leave_unsent(database, "a", memory="of others")
        with database.transaction() as session:
            session.execute(text(f"UPDATE redis_memory SET {'holder' if is_other else 'epoch'} = 'x'"))
        role.execute("DEL", "memory:words")
        memory._bind(0)
        assert log.lines == [("warning redis_memory_lost", {"memory": "words", "is_other_process": is_other})]
        with database.reading() as session:
            assert session.scalars(select(UnsentChange.memory)).all() == ["of others"]

    def test_one_thread_finds_out_and_others_wait_but_not_for_ever(
        self, memory: Memory, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(memory_module, "_WAIT_S", 0.01)
        with memory._binding, pytest.raises(RedisDown, match=r"^the epoch of words is being looked for$"):
            memory.names(["a"])
        with monkeypatch.context() as patch:
            patch.setattr(memory, "_database", Database("sqlite:////nonexistent/x.sqlite3"))
            with pytest.raises(RedisDown, match=r"^the epoch of words is not known: DatabaseDown$"):
                memory.names(["a"])
        assert memory.names(["a"]), "nobody is kept waiting by a failure"

    def test_it_is_found_out_ahead_only_where_it_is_not_known(
        self, memory: Memory, database: Database, log: RecordedLog, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        memory.prepare()
        assert memory._epochs
        monkeypatch.setattr(memory, "_epoch", lambda _: pytest.fail("it is known"))
        memory.prepare()
        assert log.lines == []
        nowhere(database, must_reach=False).prepare()
        ((line, told),) = log.lines
        assert (line, told["memory"]) == ("info memory_not_prepared", "words")


class TestBelief:
    def test_one_kind_that_was_lost_means_that_all_were(
        self, role: RedisRole, memory: Memory, database: Database
    ) -> None:
        other = memory_of(role, database, "others")
        reading = memory.reading(["a"])
        run_id, (marker, _) = role.round_trip(reading.commands)
        assert memory.values(reading, [run_id, [marker, b"v"]]) == [b"v"]
        for answers in (
            [run_id, [None, b"v"]],
            [b"another", [marker, b"v"]],
            [run_id, [marker + b"x", b"v"]],
        ):
            assert memory.names(["a"]) == list(reading.names) and other.names(["a"])
            assert memory.values(reading, answers) is None
            assert (memory._epochs, other._epochs) == ({}, {})
        # A reader that was slow does not undo what another has found out meanwhile.
        memory._epochs[0] = "newer"
        other.names(["a"])
        assert memory.values(reading, [run_id, [None, b"v"]]) is None
        assert (memory._epochs, other._epochs) == ({0: "newer"}, {})

    def test_it_is_tried_three_times(self, memory: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
        tries: list[Any] = []
        monkeypatch.setattr(memory, "_read_bucket", lambda keys: tries.append(keys))
        with pytest.raises(RedisDown, match=r"^the memory of words is unstable$"):
            memory.read(["a"])
        assert tries == [["a"]] * 3


class TestChanges:
    def test_keys_are_written_five_hundred_at_once(
        self, memory: Memory, role: RedisRole, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        keys = [f"k{number}" for number in range(1_001)]
        memory.names(["a"])
        sizes: list[int] = []
        send = role.round_trip_with_scripts

        def noted(calls: Any) -> list[Any]:
            sizes.extend(len(names) - 1 for _, names, _ in calls)
            return send(calls)

        monkeypatch.setattr(role, "round_trip_with_scripts", noted)
        assert memory._write(keys, memory._epochs, MARKED) == keys
        assert sizes == [500, 500, 1]
        assert memory.read([keys[0], keys[500], keys[1_000]]) == [b"?"] * 3
        assert memory._write(keys, {0: "of another time"}, AFTER) == []
        assert memory._write(keys, {}, AFTER) == []
        assert memory.read(keys[:1]) == [b"?"]

    def test_all_of_a_transaction_are_marked_together_and_gone_after_it(
        self, memory: Memory, database: Database
    ) -> None:
        put(memory, "a", "b", "c")
        with database.transaction() as session:
            for keys in (["a"], [], ["b", "a"]):
                memory.change(session, keys)
            assert memory.read(["a", "b", "c"]) == [b"=x"] * 3
            session.info["before_commit"].append(lambda: marked.extend(memory.read(["a", "b", "c"])))
            marked: list[Any] = []
        assert marked == [b"?", b"?", b"=x"]
        assert memory.read(["a", "b", "c"]) == [None, None, b"=x"]
        with database.transaction() as session:
            memory.change(session, [])
        assert (memory.read(["c"]), unsent(database)) == ([b"=x"], 0)

    @pytest.mark.parametrize("must_reach", [True, False])
    def test_where_nobody_can_be_told(self, database: Database, log: RecordedLog, must_reach: bool) -> None:
        memory = nowhere(database, must_reach=must_reach)

        def change() -> None:
            with database.transaction() as session:
                session.execute(text("UPDATE note SET word = 'ONE' WHERE id = 1"))
                memory.change(session, ["a", "b"])

        if must_reach:
            with pytest.raises(RedisDown):
                change()
        else:
            change()
        with database.reading() as session:
            assert session.scalar(text("SELECT word FROM note WHERE id = 1")) == (
                "one" if must_reach else "ONE"
            )
        assert unsent(database) == (0 if must_reach else 2)

    def test_what_was_not_told_yet_is_not_read_and_asks_sql_for_nothing_while_redis_is_down(
        self, database: Database, log: RecordedLog
    ) -> None:
        memory = nowhere(database, must_reach=False)
        memory._has_unsent = True
        memory.redis._trip()
        asked: list[Any] = []

        def note(*args: Any) -> None:
            asked.append(args[2])

        event.listen(Engine, "before_cursor_execute", note)
        try:
            with pytest.raises(RedisDown, match=r"^words: changes are not told yet$"):
                memory.names(["a"])
        finally:
            event.remove(Engine, "before_cursor_execute", note)
        assert asked == []
        told = {"memory": "words", "reason": "redis was down a moment ago"}
        assert log.lines == [("warning changes_not_sent", told)]


class TestLateChanges:
    @pytest.mark.parametrize(("waiting", "is_new"), [(2, False), (3, True)])
    def test_too_many_begin_a_new_epoch(
        self,
        memory: Memory,
        database: Database,
        monkeypatch: pytest.MonkeyPatch,
        waiting: int,
        is_new: bool,
    ) -> None:
        monkeypatch.setattr(memory_module, "MAX_UNSENT", 2)
        (name,) = memory.names(["a"])
        put(memory, "a", "b", "z")
        leave_unsent(database, *"abc"[:waiting])
        memory._has_unsent = True
        (later,) = memory.names(["a"])
        assert (later != name) is is_new
        assert held(memory, "a", "b", "z") == ([] if is_new else ["z"])
        assert unsent(database) == 0

    def test_many_are_told_each_once_and_those_of_others_stay(
        self, memory: Memory, database: Database
    ) -> None:
        (name,) = memory.names(["a"])
        put(memory, "k0", "k1100", "z")
        leave_unsent(database, *[f"k{number}" for number in range(1_101)], "k0", "k0")
        leave_unsent(database, "z", memory="of others")
        memory._send_unsent()
        assert memory.names(["a"]) == [name]
        assert (held(memory, "k0", "k1100", "z"), unsent(database)) == (["z"], 1)
