"""Streams: what is recorded arrives in SQL, whatever is down or dies on the way."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from datingtoday.infra import streams as streams_module
from datingtoday.infra.db import Database, DatabaseDown, on_commit
from datingtoday.infra.redis import RedisDown, RedisRole
from datingtoday.infra.stream_reader import StreamReader, drain
from datingtoday.infra.streams import Appender, Entry, Stream, Streams
from tests.plugins.backend import Backend
from tests.plugins.polling import wait_until
from tests.plugins.redis_server import RedisServer
from tests.plugins.sql_server import SqlServer


class Lab:
    """A stream that counts its entries in a table of its own."""

    def __init__(self, database_uri: str, redis_uri: str) -> None:
        self.database = Database(database_uri, timeout_s=1)
        self.redis = RedisRole(redis_uri, timeout_s=1, pause_s=0.05)
        self.streams = Streams(self.redis, self.database)
        self.stream = Stream("visits", self.write)
        self.appender: Appender = self.streams.register(self.stream)
        self.before_commit: Callable[[], None] = lambda: None
        self.after_commit: Callable[[int], None] = lambda entries: self.told.append(entries)
        self.told: list[int] = []

    def make_table(self) -> Lab:
        with self.database.statements() as connection:
            connection.execute(text("CREATE TABLE seen (number INTEGER)"))
        return self

    def write(self, session: Session, entries: Sequence[Entry]) -> None:
        if any(number < 0 for number, *_ in entries):
            raise ValueError("a number that cannot be written")
        values = ",".join(f"({number})" for number, *_ in entries)
        session.execute(text(f"INSERT INTO seen VALUES {values}"))
        self.before_commit()
        on_commit(session, lambda: self.after_commit(len(entries)))

    def seen(self) -> dict[int, int]:
        with self.database.statements() as connection:
            return Counter(connection.scalars(text("SELECT number FROM seen")))

    def reader(self, name: str = "one", idle_ms: int = 60_000) -> StreamReader:
        return StreamReader(self.streams, self.stream, name, idle_ms=idle_ms)

    def fill(self, count: int) -> None:
        for number in range(count):
            self.appender.append([number])
        self.streams.flush()

    def fill_with(self, number: int) -> None:
        self.appender.append([number])
        self.streams.flush()

    def counted(self, outcome: str) -> int:
        return self.streams.counts["visits", outcome]


@pytest.fixture
def lab(backend: Backend) -> Iterator[Lab]:
    made = Lab(backend.database_uri, backend.queue_uri).make_table()
    yield made
    made.database.dispose()


def once(count: int) -> dict[int, int]:
    return dict.fromkeys(range(count), 1)


def test_entries_are_written_in_batches_and_acknowledged(lab: Lab) -> None:
    lab.fill(1_200)
    assert lab.seen() == {}
    assert lab.streams.states()["visits"].entries == 1_200
    reader = lab.reader()
    assert [reader.step() for _ in range(4)] == [500, 500, 200, 0]
    assert lab.seen() == once(1_200)
    assert lab.told == [500, 500, 200], "hooks ran after each commit"
    state = lab.streams.states()["visits"]
    assert (state.entries, state.lag_s) == (0, 0.0)


def test_entries_are_sent_without_anybody_waiting(lab: Lab) -> None:
    began = time.thread_time()
    for number in range(1_000):
        lab.appender.append([number, "x" * 20])
    assert (time.thread_time() - began) / 1_000 < 0.000_1, "a request pays for no round trip"
    wait_until(lambda: lab.streams.states()["visits"].entries == 1_000, "the sender")
    assert drain(lab.streams) == 1_000


def test_the_lag_is_the_age_of_the_oldest_entry(lab: Lab) -> None:
    lab.fill(3)
    wait_until(lambda: lab.streams.states()["visits"].lag_s > 0.2, "time to pass")
    drain(lab.streams)
    assert lab.streams.states()["visits"].lag_s == 0


def test_two_workers_share_a_stream(lab: Lab) -> None:
    stopping = threading.Event()
    threads = [threading.Thread(target=lab.reader(name).run, args=(stopping,)) for name in ("one", "two")]
    for thread in threads:
        thread.start()
    for _ in range(20):
        lab.fill(50)
    wait_until(lambda: sum(lab.seen().values()) == 1_000, "everything to be written")
    stopping.set()
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()
    assert lab.seen() == dict.fromkeys(range(50), 20)


@pytest.mark.parametrize("moment", ["before the commit", "between commit and acknowledgement"])
def test_a_worker_that_dies_loses_nothing(lab: Lab, moment: str) -> None:
    """Killed by the kernel; what was committed twice is the batch in hand, and no more."""
    lab.fill(530)

    def die(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    pid = os.fork()
    if pid == 0:
        lab.database.dispose(close=False)
        if moment == "before the commit":
            lab.before_commit = die
        else:
            lab.after_commit = die
        lab.reader("dead").step()
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == signal.SIGKILL
    heir = lab.reader("heir", idle_ms=1)
    assert heir.step() == 30, "what nobody had read is free at once"
    assert wait_until(heir.take_over, "to take over") == 500
    twice = 0 if moment == "before the commit" else 500
    assert Counter(lab.seen().values()) == Counter({1: 530 - twice, 2: twice} if twice else {1: 530})
    assert lab.streams.states()["visits"].entries == 0


def test_what_another_worker_is_busy_with_is_not_taken(lab: Lab) -> None:
    lab.fill(5)
    lab.before_commit = lambda: busy.append(lab.reader("other", idle_ms=60_000).take_over())
    busy: list[int] = []
    assert lab.reader("one").step() == 5
    assert busy == [0]


def test_entries_that_cannot_be_written_do_not_hold_up_the_others(lab: Lab) -> None:
    for number in (0, 1, -7, 2, 3):
        lab.appender.append([number])
    assert drain(lab.streams) == 5
    assert lab.seen() == once(4)
    assert lab.counted("refused") == 1
    assert lab.streams.states()["visits"].entries == 0


def test_garbage_in_redis_is_left_out(lab: Lab) -> None:
    lab.fill(1)
    lab.redis.execute("XADD", lab.stream.key, "*", "e", b"{not json")
    lab.redis.execute("XADD", lab.stream.key, "*", "e", b'{"a": 1}')
    assert drain(lab.streams) == 3
    assert lab.seen() == once(1)
    assert lab.counted("refused") == 2


def test_a_stream_that_is_never_empty_is_no_excuse(lab: Lab) -> None:
    """Entries that a dead worker had read are taken over while batches keep coming."""
    lab.fill(3)
    lab.redis.execute("XGROUP", "CREATE", lab.stream.key, "worker", "0")
    lab.redis.execute("XREADGROUP", "GROUP", "worker", "dead", "STREAMS", lab.stream.key, ">")
    stopping, told = threading.Event(), iter(range(3, 100_000))

    def keep_coming(entries: int) -> None:
        lab.told.append(entries)
        if len(lab.told) >= 300 or len(lab.seen()) > len(lab.told) + 2:
            stopping.set()
        else:
            lab.fill_with(next(told))

    lab.after_commit = keep_coming
    lab.fill_with(next(told))
    lab.reader("alive", idle_ms=100).run(stopping)
    assert lab.seen().keys() >= {0, 1, 2}, f"after {len(lab.told)} batches"


class TestWhenRedisIs:
    @pytest.fixture
    def redis(self, private_redis: Callable[..., RedisServer]) -> RedisServer:
        return private_redis()

    @pytest.fixture
    def lab(self, backend: Backend, redis: RedisServer) -> Lab:
        return Lab(backend.database_uri, redis.socket_uri).make_table()

    def test_down_sql_is_written_at_once(self, lab: Lab, redis: RedisServer) -> None:
        redis.stop()
        lab.fill(10)
        assert lab.seen() == once(10)
        assert (lab.counted("direct"), lab.counted("queued")) == (10, 0)
        with pytest.raises(RedisDown):
            lab.reader().step()
        redis.start()
        wait_until(
            lambda: lab.redis.execute("PING"), "Redis"
        ) if lab.redis._down_until < time.monotonic() else None

    def test_wiped_what_it_held_is_lost_and_no_more(self, lab: Lab, redis: RedisServer) -> None:
        reader = lab.reader()
        lab.fill(3)
        assert reader.step() == 3
        for number in (10, 11):
            lab.appender.append([number])
        lab.streams.flush()
        redis.flush()
        lab.appender.append([20])
        lab.streams.flush()
        assert reader.step() == 1, "the group is made anew"
        assert lab.seen() == {0: 1, 1: 1, 2: 1, 20: 1}

    def test_full_sql_is_written_at_once(self, lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(streams_module, "MAX_QUEUED", 5)
        lab.fill(6)
        assert lab.seen() == {}
        lab.fill(3)
        assert lab.seen() == once(3)
        assert lab.counted("direct") == 3


class TestWhenSqlIs:
    @pytest.fixture
    def sql_server(self, private_sql_server: Callable[[], SqlServer]) -> SqlServer:
        return private_sql_server()

    @pytest.fixture
    def lab(self, sql_server: SqlServer, private_redis: Callable[..., RedisServer]) -> Lab:
        return Lab(sql_server.create_database(), private_redis("real").uri).make_table()

    def test_restarted_nothing_is_lost_or_doubled(self, lab: Lab, sql_server: SqlServer) -> None:
        reader = lab.reader()
        lab.fill(800)
        assert reader.step() == 500
        sql_server.stop()
        for _ in range(2):
            with pytest.raises(DatabaseDown):
                reader.step()
        sql_server.start()
        assert reader.step() == 300, "what was in hand comes first"
        assert lab.seen() == once(800)


def test_both_down_is_counted(backend: Backend, private_redis: Callable[..., RedisServer]) -> None:
    redis = private_redis()
    redis.stop()
    lab = Lab("mysql+pymysql://nobody@127.0.0.1:1/none", redis.socket_uri)
    lab.fill(4)
    assert lab.counted("lost") == 4


def test_a_fork_sends_only_its_own(lab: Lab) -> None:
    lab.streams.flush()
    lab.streams._unsent._items.append(("visits", b"[1]"))
    pid = os.fork()
    if pid == 0:
        ok = not lab.streams._unsent._items
        lab.database.dispose(close=False)
        lab.appender.append([2])
        lab.streams.flush()
        os._exit(0 if ok else 1)
    assert os.waitpid(pid, 0)[1] == 0
    lab.streams.flush()
    drain(lab.streams)
    assert lab.seen() == {1: 1, 2: 1}


def test_memory_is_bounded(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lab.streams._unsent, "_max_items", 10)
    # No thread takes them away.
    monkeypatch.setattr(lab.streams._unsent, "_start", lambda: None)
    for number in range(15):
        lab.appender.append([number])
    assert lab.counted("lost") == 5
    assert drain(lab.streams) == 10


def test_names_are_taken_once(lab: Lab) -> None:
    with pytest.raises(RuntimeError):
        lab.streams.register(Stream("visits", lab.write))
