"""Streams step by step: several at once, what is split, taken over, or left behind."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from redis.exceptions import ResponseError
from sqlalchemy.orm import Session

from datingtoday.infra import streams as streams_module
from datingtoday.infra.db import DatabaseDown
from datingtoday.infra.stream_reader import drain
from datingtoday.infra.streams import Entry, Stream, StreamState
from tests.infra.recorded_log import RecordedLog
from tests.infra.test_streams import Lab, once
from tests.plugins.backend import Backend

pytestmark = pytest.mark.parametrize("backend", ["embedded"], indirect=True)


@pytest.fixture
def lab(backend: Backend) -> Iterator[Lab]:
    made = Lab(backend.database_uri, backend.queue_uri).make_table()
    yield made
    made.database.dispose()


def consumers(lab: Lab) -> list[str]:
    return [str(it["name"], "ascii") for it in lab.redis.client.xinfo_consumers(lab.stream.key, "worker")]


def down(*_: object) -> None:
    raise DatabaseDown("away")


class TestSending:
    def test_each_stream_is_full_by_itself(self, lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
        log = RecordedLog()
        monkeypatch.setattr(streams_module, "log", log)
        monkeypatch.setattr(streams_module, "MAX_QUEUED", 2)
        other = lab.streams.register(Stream("likes", lab.write))
        for number in range(3):
            lab.appender.append([number])
        other.append([3])
        lab.streams.flush()
        assert log.lines == [("warning stream_full", {"stream": "visits", "entries": 3})]
        other.append([4])
        lab.streams.flush()
        assert dict(lab.streams.counts) == {
            ("visits", "queued"): 3, ("likes", "queued"): 1, ("likes", "direct"): 1,
        }  # fmt: skip
        assert {name: state.entries for name, state in lab.streams.states().items()} == {
            "visits": 3, "likes": 1,
        }  # fmt: skip
        assert drain(lab.streams) == 4

    def test_five_hundred_are_sent_at_once(self, lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
        sizes: list[int] = []
        monkeypatch.setattr(lab.streams._unsent, "_start", lambda: None)
        monkeypatch.setattr(lab.streams._unsent, "_handle", lambda taken: sizes.append(len(taken)))
        lab.fill(1_001)
        assert sizes == [500, 500, 1]

    def test_who_observes_is_told_of_every_outcome(self, lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
        told: list[tuple[str, str, int]] = []
        lab.streams.observer = lambda *args: told.append(args)
        lab.fill(2)
        lab.fill_with(-1)
        assert drain(lab.streams) == 3
        monkeypatch.setattr(lab.streams, "_direct_until", float("inf"))
        lab.fill(1)
        monkeypatch.setattr(lab.database, "retried", down)
        lab.fill(4)
        assert told == [
            ("visits", "queued", 2), ("visits", "queued", 1), ("visits", "refused", 1), ("visits", "direct", 1),
            ("visits", "lost", 4),
        ]  # fmt: skip

    @pytest.mark.parametrize(
        ("first_id", "now", "lag_s"),
        [(b"1000000-3", (b"1001", b"500000"), 1.5), (b"1000500-0", (b"1000", b"499999"), 0.0)],
    )
    def test_the_lag_by_the_servers_clock(
        self, lab: Lab, first_id: bytes, now: tuple[bytes, bytes], lag_s: float
    ) -> None:
        asked: list[Any] = []

        def round_trip(commands: Sequence[Any]) -> list[Any]:
            asked.extend(commands)
            return [5, [(first_id, [])], now]

        redis: Any = SimpleNamespace(round_trip=round_trip)
        lab.streams.redis = redis
        assert lab.streams.states() == {"visits": StreamState(5, lag_s)}
        assert asked[1] == ("XRANGE", "stream:visits", "-", "+", "COUNT", 1)


class TestWriting:
    def test_a_batch_that_fails_is_halved_and_keeps_its_order(
        self, lab: Lab, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        log, tried = RecordedLog(), list[list[int]]()
        monkeypatch.setattr(streams_module, "log", log)

        def write(_: Session, entries: Sequence[Entry]) -> None:
            tried.append([number for (number,) in entries])
            if [-7] in entries:
                raise ValueError("a number that cannot be written")

        lab.streams.write(Stream("own", write), [[0], [1], [-7], [2], [3]])
        assert tried == [[0, 1, -7, 2, 3], [0, 1], [-7, 2, 3], [-7], [2, 3]]
        assert log.lines == [
            ("warning stream_batch_split", {"stream": "own", "entries": 5}),
            ("warning stream_batch_split", {"stream": "own", "entries": 3}),
            ("exception stream_entry_refused", {"stream": "own", "entry": [-7]}),
        ]
        assert dict(lab.streams.counts) == {("own", "refused"): 1}


class TestReading:
    def test_what_a_dead_worker_had_is_taken_over_batch_by_batch(self, lab: Lab) -> None:
        lab.fill(1_100)
        dead = lab.reader("dead")
        lab.redis.execute("XGROUP", "CREATE", lab.stream.key, "worker", "0")
        lab.redis.execute("XREADGROUP", "GROUP", "worker", "dead", "STREAMS", lab.stream.key, ">")
        heir = lab.reader("heir", idle_ms=0)
        assert (heir.take_over(), heir.take_over()) == (1_100, 0)
        assert lab.told == [500, 500, 100]
        assert lab.seen() == once(1_100)
        assert consumers(lab) == ["dead", "heir"]
        heir.leave()
        dead.leave()
        assert consumers(lab) == []

    def test_what_was_not_written_comes_first_and_without_what_was_deleted(
        self, lab: Lab, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        lab.fill(3)
        reader = lab.reader()
        with monkeypatch.context() as patch, pytest.raises(DatabaseDown):
            patch.setattr(lab.streams, "write", down)
            reader.step()
        reader.leave()
        assert consumers(lab) == ["one"], "what it holds is not forgotten"
        lab.fill_with(3)
        first_id = lab.redis.execute("XRANGE", lab.stream.key, "-", "+", "COUNT", 1)[0][0]
        lab.redis.execute("XDEL", lab.stream.key, first_id)
        assert [reader.step() for _ in range(3)] == [3, 1, 0]
        assert lab.seen() == {1: 1, 2: 1, 3: 1}
        reader.leave()
        assert consumers(lab) == []

    def test_what_another_took_over_meanwhile_is_not_waited_for(
        self, lab: Lab, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        lab.fill(2)
        reader = lab.reader()
        with monkeypatch.context() as patch, pytest.raises(DatabaseDown):
            patch.setattr(lab.streams, "write", down)
            reader.step()
        assert lab.reader("heir", idle_ms=0).take_over() == 2
        lab.fill_with(2)
        assert (reader.step(), lab.told) == (1, [2, 1])

    @pytest.mark.parametrize("word", ["BUSYGROUP", "WRONGTYPE"])
    def test_a_group_that_another_made_meanwhile_is_used(
        self, lab: Lab, monkeypatch: pytest.MonkeyPatch, word: str
    ) -> None:
        execute = lab.redis.execute

        def slow(*command: Any) -> Any:
            if command[0] != "XGROUP":
                return execute(*command)
            execute(*command)
            raise ResponseError(f"{word} of another")

        lab.fill(2)
        monkeypatch.setattr(lab.redis, "execute", slow)
        if word == "BUSYGROUP":
            assert lab.reader().step() == 2
            return
        with pytest.raises(ResponseError, match=word):
            lab.reader().step()

    def test_a_key_of_another_type_is_a_fault(self, lab: Lab) -> None:
        lab.redis.execute("SET", lab.stream.key, "x")
        with pytest.raises(ResponseError):
            lab.reader().step()

    def test_all_streams_are_drained_with_what_was_not_sent_yet(self, lab: Lab) -> None:
        other = lab.streams.register(Stream("likes", lab.write))
        for number in range(600):
            lab.appender.append([number])
        other.append([600])
        assert drain(lab.streams) == 601
        assert lab.seen() == once(601)
        assert consumers(lab) == []
