"""Keeps what discovery derives from people in step with their rows: nicknames for search, places for the hot list."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import delete, insert, select, update
from sqlalchemy.engine import Connection

from datingtoday.discovery.hot.models import HotPerson
from datingtoday.discovery.hot.ranking import NEWCOMER, ForwardDecay, completeness_bonus, day_of, shelf_of
from datingtoday.discovery.person_facts import PersonFacts
from datingtoday.discovery.search.models import SearchGram, SearchName
from datingtoday.discovery.search.nicknames import fold, grams
from datingtoday.infra.db import Base


class PeopleIndex:
    """Writes `SearchName`, `SearchGram` and `HotPerson`; `queries.on_person_written` tells it when.

    :param decay: for the ranking of new people.
    """

    def __init__(self, decay: ForwardDecay) -> None:
        self._decay = decay

    def person_written(self, connection: Connection, person: PersonFacts, is_new: bool) -> None:
        """A person's row was written. The deleted have nothing here."""
        if person.is_deleted:
            self.remove(connection, person.user_id)
            return
        self._name(connection, person)
        self._place(connection, person, is_new)

    def remove(self, connection: Connection, user_id: int) -> int:
        """Delete all rows derived from this person; returns their number."""
        names = select(SearchName.folded).where(SearchName.user_id == user_id)
        folded = connection.scalar(names)
        removed = 0
        if folded is not None:
            removed += self._remove_grams(connection, user_id, grams(folded))
        for table in (SearchName, HotPerson):
            done = connection.execute(delete(table).where(table.user_id == user_id))
            removed += done.rowcount
        return removed

    def _name(self, connection: Connection, person: PersonFacts) -> None:
        folded = fold(person.nickname)
        names = select(SearchName.folded).where(SearchName.user_id == person.user_id)
        before = connection.scalar(names)
        if before == folded:
            return
        old, new = grams(before or ""), grams(folded)
        self._remove_grams(connection, person.user_id, old - new)
        insert_missing(
            connection, SearchGram, [{"gram": gram, "user_id": person.user_id} for gram in sorted(new - old)]
        )
        if before is None:
            insert_missing(connection, SearchName, [{"user_id": person.user_id, "folded": folded}])
        else:
            of_person = SearchName.user_id == person.user_id
            connection.execute(update(SearchName).where(of_person).values(folded=folded))

    @staticmethod
    def _remove_grams(connection: Connection, user_id: int, gone: Iterable[int]) -> int:
        which = (SearchGram.user_id == user_id) & SearchGram.gram.in_(sorted(gone))
        return connection.execute(delete(SearchGram).where(which)).rowcount

    def _place(self, connection: Connection, person: PersonFacts, is_new: bool) -> None:
        row = self.place_row(person, ())
        if is_new:
            insert_missing(connection, HotPerson, [row])
            return
        bonus = row["bonus"]
        # The assignments of one statement see the row as it was on some databases, and as it is becoming on others:
        # nothing here depends on a column that is assigned.
        connection.execute(
            update(HotPerson)
            .where(HotPerson.user_id == person.user_id)
            .values(shelf=row["shelf"], bonus=bonus, score=HotPerson.attention + bonus)
        )

    def place_row(self, person: PersonFacts, days: Iterable[tuple[int, float]]) -> dict[str, Any]:
        """A row of `HotPerson`. :param days: attention received, by (day, weight)."""
        attention = self._decay.total([(day_of(person.create_time), NEWCOMER), *days])
        bonus = completeness_bonus(person.details_given)
        return {
            "user_id": person.user_id,
            "shelf": None if person.is_hidden else shelf_of(person.gender, person.sexual),
            "attention": attention,
            "bonus": bonus,
            "score": attention + bonus,
        }


def insert_missing(connection: Connection, table: type[Base], rows: Sequence[dict[str, Any]]) -> int:
    """Insert those of the rows whose key does not exist; how many that were."""
    if not rows:
        return 0
    ignore = insert(table).prefix_with("IGNORE", dialect="mysql").prefix_with("IGNORE", dialect="mariadb")
    return connection.execute(ignore.prefix_with("OR IGNORE", dialect="sqlite").values(list(rows))).rowcount
