"""Events between features, and the stores of personal data that features register."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import insert, select

from datingtoday.infra.db import Base, Database
from datingtoday.infra.events import Events
from datingtoday.infra.models_memory import UnsentChange
from datingtoday.infra.personal_data import PersonalData, remove_some


@dataclass(frozen=True, slots=True)
class Moved:
    user_id: int


@dataclass(frozen=True, slots=True)
class Left:
    user_id: int


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    made = Database(f"sqlite:///{tmp_path}/x.sqlite3")
    Base.metadata.create_all(made.engine, tables=[Base.metadata.tables[UnsentChange.__tablename__]])
    yield made
    made.dispose()


class TestEvents:
    def test_some_listen_within_the_transaction_and_the_others_after_it(self, database: Database) -> None:
        events, told = Events(), list[str]()
        events.listen(Moved, lambda event: told.append(f"after {event.user_id}"))
        events.listen(Moved, lambda event: told.append(f"also after {event.user_id}"))
        events.within(Moved, lambda _, event: told.append(f"within {event.user_id}"))
        events.listen(Left, lambda _: told.append("left"))
        with database.transaction() as session:
            events.announce(session, Moved(7))
            assert told == ["within 7"]
            events.announce(session, Moved(8))
        assert told == ["within 7", "within 8", "after 7", "also after 7", "after 8", "also after 8"]

    def test_nobody_hears_after_what_was_rolled_back(self, database: Database) -> None:
        events, told = Events(), list[Any]()
        events.listen(Moved, told.append)

        def refuse(*_: Any) -> None:
            raise ZeroDivisionError

        events.within(Moved, refuse)
        with pytest.raises(ZeroDivisionError), database.transaction() as session:
            events.announce(session, Moved(7))
        assert told == []

    def test_who_stopped_hears_no_more(self, database: Database) -> None:
        events, told = Events(), list[Any]()
        events.listen(Moved, told.append)
        events.stop(Moved, told.append)
        with database.transaction() as session:
            events.announce(session, Moved(7))
        assert told == []


class TestPersonalData:
    def test_a_name_is_taken_once(self) -> None:
        stores: list[Any] = [SimpleNamespace(name=name) for name in ("accounts", "chat", "accounts")]
        data = PersonalData()
        data.register(stores[0])
        data.register(stores[1])
        assert (list(data), list(reversed(data))) == (stores[:2], [stores[1], stores[0]])
        with pytest.raises(RuntimeError, match=r"^two stores of personal data are called accounts$"):
            data.register(stores[2])

    def test_rows_are_removed_some_at_a_time(self, database: Database) -> None:
        with database.transaction() as session:
            rows = [{"memory": name, "key": str(number)} for name in ("own", "other") for number in range(5)]
            session.execute(insert(UnsentChange), rows)
        removed = []
        for _ in range(4):
            with database.transaction() as session:
                removed.append(remove_some(session, UnsentChange, UnsentChange.memory == "own", 2))
        assert removed == [2, 2, 1, 0]
        with database.reading() as session:
            assert session.scalars(select(UnsentChange.memory)).all() == ["other"] * 5
