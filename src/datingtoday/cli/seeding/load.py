"""Brings made-up people into the tables in bulk, with everything that features derive from them."""

from __future__ import annotations

import secrets
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Table, func, insert, select

from datingtoday.cli.seeding.people import MadeUp, made_up_people
from datingtoday.cli.seeding.pictures import SIDE_PX, StoredPicture, store_pictures
from datingtoday.discovery.derived_rows import PeopleIndex
from datingtoday.discovery.hot.models import HotDay
from datingtoday.discovery.hot.models import HotPerson as HotPersonRow
from datingtoday.discovery.hot.ranking import ForwardDecay, day_of
from datingtoday.discovery.nearby.models import Location, LocationCell
from datingtoday.discovery.person_facts import PersonFacts
from datingtoday.discovery.search.models import SearchGram, SearchName
from datingtoday.discovery.search.nicknames import fold, grams
from datingtoday.infra.db import Base
from datingtoday.media.models import Media, MediaUsage
from datingtoday.media.moderation import Verdict
from datingtoday.media.processing.images import MIME
from datingtoday.media.processing.inspect import Kind
from datingtoday.profiles.enumerations import NOBODY
from datingtoday.profiles.models import FIRST_USER_ID, UserInfo, UserLabel, UserStatus

if TYPE_CHECKING:
    from datingtoday.app import Parts

BATCH = 5_000
_FEW = 2_000

Rows = dict[type[Base], list[tuple[Any, ...]]]
COLUMNS: dict[type[Base], tuple[str, ...]] = {
    UserInfo: (
        "id", "phone", "nickname", "gender", "birthday", "avatar", "height", "sexual", "education", "emotion",
        "salary", "authority", "intro", "stealth", "personal", "status", "last_active", "create_time", "update_time",
    ),
    Media: (
        "id", "user_id", "kind", "mime", "storage_key", "size_bytes", "sha256", "medium_bytes", "medium_sha256",
        "thumb_bytes", "thumb_sha256", "width", "height", "verdict", "reason", "reference", "asked_at", "uses",
        "create_time",
    ),
    MediaUsage: ("user_id", "files", "stored_bytes"),
    UserLabel: ("user_id", "label_id", "position"),
    SearchName: ("user_id", "folded"),
    SearchGram: ("gram", "user_id"),
    HotDay: ("user_id", "day", "weight", "people", "active"),
    HotPersonRow: ("user_id", "shelf", "attention", "bonus", "score"),
    Location: (
        "user_id", "longitude", "latitude", "report_time", "cell", "cell_since", "hidden", "shown_cell", "shown_until",
        "gender", "lot",
    ),
}  # fmt: skip


class SeedLoad:
    """Loads people; each batch is a transaction.

    :param parts: of the application that the people are for.
    """

    def __init__(self, parts: Parts) -> None:
        self._database = parts.base.database
        self._grid = parts.discovery.places.grid
        self._active = parts.discovery.places.rules.active
        self._index = PeopleIndex(ForwardDecay(parts.base.settings.discovery.hot_half_life_days))
        self._edition = parts.discovery.editions.make
        self._storage = parts.media.service.storage
        self._pictures: dict[int, Sequence[StoredPicture]] = {}

    def is_empty(self) -> bool:
        """True if there are no people."""
        return self.number_of_people() == 0

    def number_of_people(self) -> int:
        """Number of accounts, made-up or not."""
        with self._database.transaction(write=False) as session:
            return session.scalar(select(func.count(UserInfo.id))) or 0

    def load(
        self, count: int, seed: int, now: datetime, report_progress: Callable[[int], None], *, skip: int = 0
    ) -> range:
        """Add people and return their ids.

        :param report_progress: called after every batch with the number of people stored.
        :param skip: number of people that an interrupted run with the same seed stored as the latest; they are not
            added again, and their ids are returned as well.
        :raises StorageError: the images cannot be stored; nobody was added.
        """
        self._pictures = {gender: store_pictures(self._storage, gender) for gender in (1, 2)}
        with self._database.transaction(write=False) as session:
            first_id = max(session.scalar(select(func.max(UserInfo.id))) or 0, FIRST_USER_ID - 1) + 1
        people = enumerate(islice(made_up_people(count, seed, now), skip, None), start=first_id)
        done = skip
        while batch := list(islice(people, BATCH)):
            with self._database.transaction() as session:
                self._load(session.connection(), batch, now)
            done += len(batch)
            report_progress(done)
        return range(first_id - skip, first_id - skip + count)

    def _load(self, connection: Connection, batch: Sequence[tuple[int, MadeUp]], now: datetime) -> None:
        rows: Rows = {table: [] for table in COLUMNS}
        shown: dict[int, list[int]] = defaultdict(lambda: [0, 0, 0])
        for user_id, person in batch:
            self._add(rows, user_id, person, now)
            cell = rows[Location][-1][COLUMNS[Location].index("shown_cell")]
            if cell is not None:
                shown[cell][person.gender] += 1
        # In the order of their keys, which is how tables grow fastest.
        rows[SearchGram].sort()
        for table, new in rows.items():
            insert_in_bulk(connection, table.__table__, COLUMNS[table], new)  # type: ignore[arg-type]
        self._count(connection, shown, now)

    def _add(self, rows: Rows, user_id: int, person: MadeUp, now: datetime) -> None:
        created, active = _stored(person.created), _stored(person.active)
        avatar = self._add_avatar(rows, user_id, person)
        rows[UserInfo].append(
            (
                # No number of this form exists, so nobody can log in as a made-up person.
                user_id, f"+8610{user_id:09d}", person.nickname, person.gender, person.birthday, avatar, person.height,
                person.sexual, person.education, person.emotion, person.salary, person.authority, person.intro, False,
                True, UserStatus.ACTIVE.value, active, created, created,
            )
        )  # fmt: skip
        rows[UserLabel] += [(user_id, label_id, at) for at, label_id in enumerate(person.label_ids)]
        folded = fold(person.nickname)
        rows[SearchName].append((user_id, folded))
        rows[SearchGram] += [(gram, user_id) for gram in grams(folded)]
        today = day_of(now)
        days = [(today - ago, visitors) for ago, visitors in person.attention]
        rows[HotDay] += [(user_id, day, visitors, visitors, True) for day, visitors in days]
        facts = PersonFacts(
            user_id=user_id,
            nickname=person.nickname,
            gender=person.gender,
            sexual=person.sexual,
            details_given=person.details_given,
            create_time=person.created,
            is_deleted=False,
            is_hidden=person.authority == NOBODY,
        )
        rows[HotPersonRow].append(tuple(self._index.place_row(facts, days).values()))
        cell = self._grid.cell_of(*person.point)
        latitude, longitude = self._grid.centre(cell)
        is_shown = person.authority != NOBODY and person.active > now - self._active
        rows[Location].append(
            (
                user_id, longitude, latitude, active, cell, active, False, cell if is_shown else None,
                _stored(person.active + self._active) if is_shown else None, person.gender, person.lot,
            )
        )  # fmt: skip

    def _add_avatar(self, rows: Rows, user_id: int, person: MadeUp) -> str | None:
        """An upload of the person's own, as if made when they came; its id."""
        if person.picture is None:
            return None
        # In the order of the people, which is how the table grows fastest; and nobody can guess the rest.
        media_id = f"{user_id:08x}{secrets.token_hex(12)}"
        picture = self._pictures[person.gender][person.picture]
        created = _stored(person.created)
        rows[Media].append(
            (
                media_id, user_id, Kind.PHOTO.value, MIME, picture.key, picture.size_bytes, picture.sha256,
                picture.medium_bytes, picture.medium_sha256, picture.thumb_bytes, picture.thumb_sha256, SIDE_PX,
                SIDE_PX, Verdict.APPROVED.value, "", "", created, 1, created,
            )
        )  # fmt: skip
        rows[MediaUsage].append((user_id, 1, picture.stored_bytes))
        return media_id

    @staticmethod
    def _count(connection: Connection, shown: dict[int, list[int]], now: datetime) -> None:
        known = set[int]()
        for some in _chunks(sorted(shown)):
            known.update(connection.scalars(select(LocationCell.cell).where(LocationCell.cell.in_(some))))
        new = [
            {"cell": cell, "unknown": 0, "men": 0, "women": 0, "changed_at": now}
            for cell in sorted(shown.keys() - known)
        ]
        if new:
            connection.execute(insert(LocationCell), new)
        cells: Table = LocationCell.__table__  # type: ignore[assignment]
        mark = "%s" if connection.dialect.paramstyle in ("format", "pyformat") else "?"
        connection.exec_driver_sql(
            f"UPDATE {cells.name} SET men = men + {mark}, women = women + {mark} WHERE cell = {mark}",  # noqa: S608
            [(men, women, cell) for cell, (_, men, women) in sorted(shown.items())],
        )

    def make_edition(self, now: datetime) -> None:
        """Let them be in the hot list."""
        self._edition(now)


def insert_in_bulk(
    connection: Connection, table: Table, columns: Sequence[str], rows: Sequence[tuple[Any, ...]]
) -> None:
    """Insert rows of plain values past SQLAlchemy's conversions: several times as fast."""
    mark = "%s" if connection.dialect.paramstyle in ("format", "pyformat") else "?"
    statement = f"INSERT INTO {table.name} ({', '.join(columns)}) VALUES ({', '.join([mark] * len(columns))})"  # noqa: S608
    if rows:
        connection.exec_driver_sql(statement, [_plain(connection, row) for row in rows])


def _plain(connection: Connection, row: tuple[Any, ...]) -> tuple[Any, ...]:
    # SQLite stores moments and days as text, in the form that SQLAlchemy reads.
    if connection.dialect.name != "sqlite":
        return row
    return tuple(
        value.isoformat(" ", "microseconds") if isinstance(value, datetime)
        else value.isoformat() if hasattr(value, "isoformat")
        else value
        for value in row
    )  # fmt: skip


def _stored(moment: datetime) -> datetime:
    return moment.replace(tzinfo=None) - (moment.utcoffset() or timedelta())


def _chunks(values: Sequence[int]) -> Iterable[Sequence[int]]:
    return (values[start : start + _FEW] for start in range(0, len(values), _FEW))
