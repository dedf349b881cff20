"""The people of `datingtoday seed` for benchmarks: loaded, some of them logged in, and what they take up."""

from __future__ import annotations

import json
import os
import urllib.request
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import cycle, islice
from typing import Any

from redis import Redis
from sqlalchemy import create_engine, func, insert, select, text

from benchmarks.clients import signed_gets
from benchmarks.measuring import tell
from benchmarks.servers import product_command
from datingtoday.accounts.models import UserSession
from datingtoday.app import make_parts
from datingtoday.discovery.nearby.jobs import Rebuilding
from datingtoday.discovery.nearby.models import Location
from datingtoday.infra.config.settings import load_settings
from datingtoday.infra.db import LONG_ANSWER_S
from datingtoday.profiles.models import UserInfo
from datingtoday.protocol.login import digest_of, new_token

DENSE_CITY = (31.23, 121.47)
"""Latitude and longitude of the middle of the seed's biggest city."""
_DENSE_DEGREES = 0.1
_SQUARES_PER_DEGREE = 2
_LEAST_AROUND = 20
"""Minimum of people around: with fewer, a page is not full and measures less work."""
_FULL = 8
"""Minimum of entries of ten on a page; a page requested by its number leaves out people who may not be found."""
_SESSION = timedelta(days=7)


@dataclass(frozen=True)
class Viewer:
    """A user made up who is logged in."""

    user_id: int
    token: str

    @property
    def common(self) -> dict[str, str]:
        return {"userId": str(self.user_id), "token": self.token}


@dataclass(frozen=True)
class TakenUp:
    """Bytes in SQL (rows and indexes, by table) and in Redis."""

    sql: dict[str, int]
    redis: int


class Seeded:
    """Fills an empty database with so many people of the product's own loader, and logs some of them in.

    :param environ: the product's settings.
    """

    def __init__(self, environ: Mapping[str, str], users: int) -> None:
        self.users = users
        self._engine = create_engine(environ["DATINGTODAY_DATABASE_URI"])
        self._redis = Redis.from_url(environ["DATINGTODAY_REDIS_URI"])
        product_command(["db", "upgrade"], environ)
        empty = self._taken_up()
        product_command(["seed", "--users", str(users)], environ)
        tell(f"{self._fill_nearby(environ)} entries of people nearby")
        filled = self._taken_up()
        self.taken_up = TakenUp(
            {table: size - empty.sql.get(table, 0) for table, size in filled.sql.items()},
            filled.redis - empty.redis,
        )

    @staticmethod
    def _fill_nearby(environ: Mapping[str, str]) -> int:
        """Put all of them into Redis, as when the app is used everywhere; SQL is right after the loading."""
        parts = make_parts(load_settings(None, None, {**os.environ, **environ}))
        parts.base.database.answer_s = LONG_ANSWER_S
        try:
            return Rebuilding(
                parts.base.database, parts.discovery.places, parts.base.cache, datetime.now(UTC)
            ).fill()
        finally:
            parts.base.guard_redis.close()
            parts.base.cache_redis.close()
            parts.base.database.dispose()

    def close(self) -> None:
        """Give the connections back."""
        self._redis.close()
        self._engine.dispose()

    def anywhere(self, count: int) -> list[Viewer]:
        """Evenly out of all people."""
        step = max(1, self.users // count)
        chosen = select(UserInfo.id).where(UserInfo.id % step == 0).limit(count)
        return self._log_in(chosen)

    def in_dense_city(self, count: int) -> list[Viewer]:
        """People in the middle of the biggest city."""
        latitude, longitude = DENSE_CITY
        chosen = select(Location.user_id).where(
            Location.latitude.between(latitude - _DENSE_DEGREES, latitude + _DENSE_DEGREES),
            Location.longitude.between(longitude - _DENSE_DEGREES, longitude + _DENSE_DEGREES),
        )
        return self._log_in(chosen.limit(count))

    def in_countryside(self, count: int) -> list[Viewer]:
        """Those who have the fewest people around them: some dozens, with any number of people in all."""
        row = func.floor(Location.latitude * _SQUARES_PER_DEGREE)
        column = func.floor(Location.longitude * _SQUARES_PER_DEGREE)
        with self._engine.connect() as connection:
            counted = connection.execute(
                select(row, column, func.count()).where(Location.latitude.is_not(None)).group_by(row, column)
            )
            squares = {(int(y), int(x)): number for y, x, number in counted}
        around: dict[tuple[int, int], int] = defaultdict(int)
        for (y, x), number in squares.items():
            for square in ((y + dy, x + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)):
                around[square] += number
        found: list[Viewer] = []
        sparse = sorted((around[square], square) for square in squares if around[square] >= _LEAST_AROUND)
        for _, (y, x) in sparse:
            found += self._log_in(
                select(Location.user_id).where(row == y, column == x).limit(count - len(found))
            )
            if len(found) == count:
                break
        return found

    def _log_in(self, chosen: Any) -> list[Viewer]:
        now = datetime.now(UTC)
        with self._engine.begin() as connection:
            viewers = [Viewer(user_id, new_token()) for user_id in connection.scalars(chosen)]
            rows = [
                {
                    "user_id": viewer.user_id,
                    "token_hash": digest_of(viewer.token),
                    "device": "",
                    "login_time": now,
                    "last_seen": now + timedelta(hours=3),
                    "expires_at": now + _SESSION,
                }
                for viewer in viewers
            ]
            if rows:
                connection.execute(insert(UserSession), rows)
        return viewers

    def _taken_up(self) -> TakenUp:
        with self._engine.connect() as connection:
            tables = list(connection.scalars(text("SHOW TABLES")))
            for table in tables:
                connection.execute(text(f"ANALYZE TABLE `{table}`")).all()
            sizes = connection.execute(
                text(
                    "SELECT table_name, data_length + index_length FROM information_schema.tables "
                    "WHERE table_schema = DATABASE()"
                )
            )
            sql = {name: int(size) for name, size in sizes}
        memory: Any = self._redis.info("memory")
        return TakenUp(sql, int(memory["used_memory"]))


class Asking:
    """A request that many people make, one after another.

    :param own: the request's own parameters, for each person.
    """

    def __init__(
        self, path: str, viewers: Sequence[Viewer], own: Callable[[int, Viewer], Mapping[str, str]]
    ) -> None:
        self._path = path
        self._parameters = [{**viewer.common, **own(number, viewer)} for number, viewer in enumerate(viewers)]
        self._next = cycle(self._parameters)

    def __call__(self, count: int) -> list[bytes]:
        return [signed_gets(self._path, own, 1)[0] for own in islice(self._next, count)]


def pages(port: int, path: str, viewers: Sequence[Viewer], **own: str) -> Iterator[tuple[Viewer, Any]]:
    """Ask once for each viewer; the answers' ``data``."""
    for viewer in viewers:
        (request,) = signed_gets(path, {**viewer.common, **own}, 1)
        target = request.split(b" ", 2)[1].decode()
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{target}", timeout=60) as response:
            answer = json.load(response)
        if answer["code"] != 0:
            raise SystemExit(f"{path}: {answer}")
        yield viewer, answer["data"]


def with_full_page(
    port: int, path: str, viewers: Sequence[Viewer], least: int, **own: str
) -> dict[Viewer, Any]:
    """Those of the viewers whose page is full, with the page; their caches are warm then.

    Ends the program if they are fewer than ``least``: a few people's lists are no measure.
    """
    full = {viewer: data for viewer, data in pages(port, path, viewers, **own) if len(data["list"]) >= _FULL}
    tell(f"{path} {own or ''}: {len(full)} of {len(viewers)} people have a full page")
    if len(full) < least:
        raise SystemExit(
            f"{path} {own}: only {len(full)} people have a full page; more --users, or fewer --viewers"
        )
    return full
