"""Takes in everybody: what search and the hot list derive from people, made again out of what SQL holds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from datingtoday.discovery.derived_rows import PeopleIndex, insert_missing
from datingtoday.discovery.hot.editions import Edition, Editions
from datingtoday.discovery.hot.models import HotDay, HotPerson
from datingtoday.discovery.person_facts import PersonFacts, next_people
from datingtoday.discovery.search.models import SearchGram, SearchName
from datingtoday.discovery.search.nicknames import fold, grams
from datingtoday.infra.db import Database

BATCH = 500
_INSERTED_AT_ONCE = 2_000


class HotRebuild:
    """The work of `datingtoday hot rebuild`; servers go on meanwhile, and it may be stopped and begun again."""

    def __init__(self, database: Database, index: PeopleIndex, editions: Editions) -> None:
        self._database = database
        self._index = index
        self._editions = editions

    def reindex_all(self, report_progress: Callable[[int], None]) -> int:
        """Index everybody, in small transactions; the number of people.

        :param report_progress: called after every batch with the number of people who are done.
        """
        done = last_id = 0
        while True:
            with self._database.transaction() as session:
                people = next_people(session, last_id, BATCH)
                self.reindex(session, people)
            if not people:
                return done
            done += len(people)
            last_id = people[-1].user_id
            report_progress(done)

    def reindex(self, session: Session, people: Sequence[PersonFacts]) -> None:
        """These people, whose rows nobody else can change meanwhile."""
        connection = session.connection()
        for person in people:
            if person.is_deleted:
                self._index.remove(connection, person.user_id)
        present = {person.user_id: person for person in people if not person.is_deleted}
        named = select(SearchName.user_id, SearchName.folded).where(SearchName.user_id.in_(present))
        names = {row.user_id: row.folded for row in session.execute(named)}
        new_names, new_grams = [], []
        for user_id, person in present.items():
            if user_id not in names:
                folded = fold(person.nickname)
                new_names.append({"user_id": user_id, "folded": folded})
                new_grams += [{"gram": gram, "user_id": user_id} for gram in grams(folded)]
            elif names[user_id] != fold(person.nickname):
                self._index.person_written(connection, person, is_new=False)
        insert_missing(connection, SearchName, new_names)
        new_grams.sort(key=lambda row: (row["gram"], row["user_id"]))
        for start in range(0, len(new_grams), _INSERTED_AT_ONCE):
            insert_missing(connection, SearchGram, new_grams[start : start + _INSERTED_AT_ONCE])
        self._take_places(session, present)

    def _take_places(self, session: Session, present: dict[int, PersonFacts]) -> None:
        locked = select(HotPerson).where(HotPerson.user_id.in_(present)).order_by(HotPerson.user_id)
        rankings = {ranking.user_id: ranking for ranking in session.scalars(locked.with_for_update())}
        days: dict[int, list[tuple[int, float]]] = {}
        rows = select(HotDay.user_id, HotDay.day, HotDay.weight).where(
            HotDay.user_id.in_(present), HotDay.weight > 0
        )
        for user_id, day, weight in session.execute(rows):
            days.setdefault(user_id, []).append((day, weight))
        new, changed = [], []
        for user_id, person in present.items():
            row = self._index.place_row(person, days.get(user_id, ()))
            ranking = rankings.get(user_id)
            if ranking is None:
                new.append(row)
            elif any(getattr(ranking, name) != value for name, value in row.items()):
                changed.append(row)
        insert_missing(session.connection(), HotPerson, new)
        if changed:
            session.execute(update(HotPerson), changed)

    def make_edition(self, now: datetime) -> Edition | None:
        """A new edition of the lists; None if a server is making one just now. :raises RedisDown:"""
        return self._editions.make(now)
