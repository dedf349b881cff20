"""Visitors without a server: whose turn it is to be told, what is marked as read, and how visits are put together."""

# mypy: disable-error-code="unreachable"

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import select

from datingtoday.infra.db import Base, Database, DatabaseDown
from datingtoday.infra.redis import RedisDown
from datingtoday.profiles.service import ProfileVisited
from datingtoday.visitors import push_events as module
from datingtoday.visitors.models import Visitor
from datingtoday.visitors.personal_data import VisitorData
from datingtoday.visitors.push_events import VisitorPush
from datingtoday.visitors.service import Visitors, fold
from tests.plugins.statements import statements

NOW = datetime(2026, 5, 4, 12, 0, 0, 250_000, tzinfo=UTC)
TICK = timedelta(microseconds=1)


class Told:
    """The push of visitors with its neighbours, and a clock that stands still."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_s = 100.0
        self.connected: set[int] = set()
        self.taken: set[int] = set()
        """Users whom another process has told within the last two seconds."""
        self.commands: list[Any] = []
        self.events: list[Any] = []
        self.fails: Exception | None = None
        self.threads: list[dict[str, Any]] = []
        self.is_alive = True
        monkeypatch.setattr(module.time, "monotonic", lambda: self.now_s)  # type: ignore[attr-defined]
        monkeypatch.setattr(module.threading, "Thread", self._thread)  # type: ignore[attr-defined]
        redis: Any = SimpleNamespace(round_trip=self._round_trip)
        realtime: Any = SimpleNamespace(connected=self._connected, publish=self.events.extend)
        self.push = VisitorPush(redis, realtime, self._payloads)

    def _thread(self, **given: Any) -> Any:
        return SimpleNamespace(is_alive=lambda: self.is_alive, start=lambda: self.threads.append(given))

    def _connected(self, user_ids: Collection[int]) -> set[int]:
        return self.connected & set(user_ids)

    def _round_trip(self, commands: list[Any]) -> list[Any]:
        self.commands += commands
        return [None if int(name.rpartition(":")[2]) in self.taken else b"OK" for _, name, *_ in commands]

    def _payloads(self, user_ids: Collection[int]) -> dict[int, bytes]:
        if self.fails is not None:
            raise self.fails
        return {user_id: b"%d" % user_id for user_id in user_ids}


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Told:
    return Told(monkeypatch)


def test_those_who_are_connected_are_told_once(told: Told) -> None:
    assert told.push.step() == 0 and told.commands == []
    told.connected = {7, 9}
    told.push.tell([9, 8, 7])
    told.push.tell([7])
    assert len(told.threads) == 1
    assert told.push.step() == 2
    assert [(it.user_id, it.name, it.data) for it in told.events] == [
        (7, "visitor", b"7"),
        (9, "visitor", b"9"),
    ]
    assert told.commands == [
        ("SET", f"visitor:told:{user_id}", b"1", "NX", "PX", 2_000) for user_id in (7, 9)
    ]
    assert told.push.step() == 0 and len(told.commands) == 2, "8 is not connected, and forgotten"


def test_who_was_told_by_another_process_is_told_a_quarter_of_a_second_later(told: Told) -> None:
    told.connected, told.taken = {7}, {7}
    told.push.tell([7])
    assert told.push.step() == 0
    told.push.tell([7])
    told.now_s += 0.249
    assert told.push.step() == 0 and len(told.commands) == 1
    told.now_s += 0.001
    assert told.push.step() == 0 and len(told.commands) == 2
    told.taken.clear()
    told.now_s += 0.25
    assert told.push.step() == 1
    told.now_s += 10
    assert told.push.step() == 0


def test_twenty_thousand_wait_and_five_hundred_are_told_at_once(told: Told) -> None:
    told.connected = set(range(1, 30_000))
    told.push.tell(range(1, 20_002))
    assert told.push.step() == 500
    steps = 1
    while told.push.step():
        steps += 1
    assert steps == 40
    assert {it.user_id for it in told.events} == set(range(1, 20_001))


class Stopped(BaseException):
    """The thread ends here."""


@pytest.mark.parametrize("error", [RedisDown("gone"), DatabaseDown("gone"), KeyError("whatever"), None])
def test_its_thread_goes_on_after_any_failure_and_rests_when_nobody_waits(
    told: Told, monkeypatch: pytest.MonkeyPatch, error: Exception | None
) -> None:
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        raise Stopped

    monkeypatch.setattr(module.time, "sleep", pause)  # type: ignore[attr-defined]
    told.connected, told.fails = {7}, error
    told.push.tell([7])
    with pytest.raises(Stopped):
        told.push._run()
    assert pauses == [0.1]
    assert len(told.events) == (0 if error else 1)
    assert not told.push._wake.is_set()
    told.fails = None
    assert told.push.step() == 0, "the hint is lost"
    # Another visit: it wakes up again, and stays awake while anybody waits.
    told.taken = {7}
    told.push.tell([7])
    with pytest.raises(Stopped):
        told.push._run()
    assert told.push._wake.is_set()


def test_its_thread_keeps_no_process_from_ending_and_is_followed_by_another_if_it_dies(told: Told) -> None:
    told.push.tell([7])
    told.push.tell([8])
    assert told.threads == [{"target": told.push._run, "name": "visitor push", "daemon": True}]
    told.is_alive = False
    told.push.tell([8])
    assert len(told.threads) == 2


def test_its_thread_waits_until_a_person_is_to_be_told(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    def wait() -> None:
        raise Stopped

    monkeypatch.setattr(told.push, "_wake", SimpleNamespace(wait=wait))
    monkeypatch.setattr(told.push, "step", lambda: pytest.fail("nobody is to be told"))
    with pytest.raises(Stopped):
        told.push._run()


class House:
    """The service on a database of its own, with the visits that were appended to its stream."""

    def __init__(self, folder: Path) -> None:
        self.database = Database(f"sqlite:///{folder / 'visitors.db'}", timeout_s=1)
        Base.metadata.create_all(self.database.engine, tables=[Visitor.__table__])  # type: ignore[list-item]
        self.appended: list[Any] = []
        self.owners: list[Any] = []
        streams: Any = SimpleNamespace(register=lambda _stream: SimpleNamespace(append=self.appended.append))
        push: Any = SimpleNamespace(tell=self.owners.append)
        nobody: Any = None
        self.service = Visitors(self.database, streams, push, nobody, nobody, nobody)

    def rows(self) -> dict[int, Visitor]:
        with self.database.reading() as session:
            return {
                row.visitor_id: row for row in session.scalars(select(Visitor).where(Visitor.user_id == 7))
            }

    def write(self, *entries: tuple[int, int, datetime]) -> None:
        for user_id, visitor_id, at in entries:
            self.service.visited(ProfileVisited(visitor_id, user_id, at, is_listed=True))
        with self.database.transaction() as session:
            self.service.write(session, self.appended)
        self.appended.clear()


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path)
    yield house
    house.database.dispose()


def test_visits_are_added_to_the_row_of_their_pair(house: House) -> None:
    house.service.visited(ProfileVisited(1, 7, NOW, is_listed=False))
    assert house.appended == []
    house.write((7, 1, NOW), (8, 1, NOW), (7, 2, NOW), (7, 1, NOW - TICK))
    assert house.owners == [[7, 8]]
    assert {it: (row.visits, row.visit_time, row.status) for it, row in house.rows().items()} == {
        1: (2, NOW, 0),
        2: (1, NOW, 0),
    }
    house.service._mark_read(7, NOW)
    house.write((7, 1, NOW - 5 * TICK), (7, 2, NOW + TICK))
    assert {it: (row.visits, row.visit_time, row.status) for it, row in house.rows().items()} == {
        1: (3, NOW, 0),
        2: (2, NOW + TICK, 0),
    }


def test_all_up_to_this_moment_are_marked_as_read_of_this_person_alone(house: House) -> None:
    house.write(*((7, visitor_id, NOW) for visitor_id in range(1, 1002)))
    house.write((7, 2000, NOW + TICK), (8, 1, NOW))
    house.service._mark_read(7, NOW)
    assert [it for it, row in house.rows().items() if row.status == 0] == [2000]
    with house.database.reading() as session:
        assert house.service.count(session, 7) == ((1000, True), 1)
        assert house.service.count(session, 8) == ((1, False), 1)
        assert house.service.count(session, 7).form() == {"total": 1000, "total_more": True, "unread": 1}
        assert house.service.count(session, 8).form() == {"total": 1, "unread": 1}
        assert house.service.has_seen(session, 1, [7, 8, 9]) == {7, 8}
        assert house.service.has_seen(session, 2, [7, 8]) == {7}


def test_visits_of_a_pair_count_together_with_the_last_time() -> None:
    def us(at: datetime) -> int:
        return round(at.timestamp() * 1_000_000)

    folded = fold(
        [[8, 1, us(NOW)], [7, 2, us(NOW)], [8, 1, us(NOW) - 3], [7, 2, us(NOW) + 1], [7, 1, us(NOW)]]
    )
    assert [tuple(it) for it in folded] == [
        (7, 1, 1, NOW),
        (7, 2, 2, NOW + TICK),
        (8, 1, 2, NOW),
    ]


def test_five_hundred_are_marked_as_read_at_once(house: House) -> None:
    house.write(*((7, visitor_id, NOW) for visitor_id in range(1, 502)))
    with statements(house.database) as ran:
        house.service._mark_read(7, NOW)
    marked = [it.values for it in ran if it.text.startswith("UPDATE")]
    # The new status, the person, the old status and the moment; and the visitors.
    assert [len(values) - 4 for values in marked] == [500, 1]


def test_personal_data_of_a_visitor(house: House) -> None:
    """Who came is not told; visits of others stay."""
    house.write(
        (7, 1, NOW), (7, 2, NOW - TICK), (7, 2, NOW - TICK), (1, 7, NOW), (3, 7, NOW - TICK), (3, 1, NOW)
    )
    house.service._mark_read(3, NOW)
    data = VisitorData()
    with house.database.transaction() as session:
        assert data.export(session, 7, NOW) == {
            "visits_made": [
                {"user_id": 3, "visit_time": NOW - TICK, "visits": 1},
                {"user_id": 1, "visit_time": NOW, "visits": 1},
            ],
            "visits_received": [
                {"visit_time": NOW - TICK, "visits": 2, "status": 0},
                {"visit_time": NOW, "visits": 1, "status": 0},
            ],
        }
        assert data.export(session, 3, NOW)["visits_received"] == [
            {"visit_time": NOW - TICK, "visits": 1, "status": 1},
            {"visit_time": NOW, "visits": 1, "status": 1},
        ]
        assert [data.remove(session, 7, 3) for _ in range(3)] == [3, 1, 0]
        rows = session.execute(select(Visitor.user_id, Visitor.visitor_id)).all()
        assert [tuple(row) for row in rows] == [(3, 1)]
