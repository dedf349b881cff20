"""Editions of the hot list: what the ranking was at one moment, for each kind of viewer a sorted set in Redis.

An edition never changes, so whoever pages through one by its cursor meets everybody in it once, although the ranking
moves on; a new one is made every few minutes by one process, and old ones stay until nobody can be reading them. Its
parts may be kept in memory, so that a busy server asks Redis only for what it has not seen of an edition, and no key is
fought over. An edition holds the first so many of each list: making one costs the same with any number of users.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256

import orjson
import structlog
from sqlalchemy import select
from sqlalchemy.orm import Session

from datingtoday.discovery.hot.models import HotPerson
from datingtoday.discovery.hot.ranking import GENDERS, SHELVES, shelves_for
from datingtoday.infra.db import Database, DatabaseDown
from datingtoday.infra.memory import Memory
from datingtoday.infra.paired import paired
from datingtoday.infra.redis import Command, RedisDown, Script

log = structlog.get_logger(__name__)

KINDS = tuple((gender, sexual) for gender in GENDERS for sexual in GENDERS)
"""Kinds of viewers by (gender, wanted gender); the first one is shown everybody."""
KEPT_S = 3600
MIN_KEPT_S = 300
KEPT_PERIODS = 12
"""Time for which an edition can be paged through: this many times as long as it is the newest, within these bounds."""
MIN_REFRESH_S = 2.5
COST_FACTOR = 1_000
"""Making editions takes at most one part in this many of a processor's time."""
_NOW = "hot:now"
_LOCK = "hot:building"
_LOCK_MS = 60_000
_CHUNK = 1_000
_PART = 200
_MAX_PARTS = 300
_CHECK_EVERY = timedelta(seconds=1)

# KEYS: the lock; ARGV: my token.
_UNLOCK = Script(
    "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"
)


class EditionLost(Exception):
    """The edition was evicted, has expired, or was lost with its server."""


@dataclass(frozen=True, slots=True)
class Edition:
    """An edition: its id, its time, and the number of people in each kind's list."""

    name: str
    made_at: datetime
    """Last time SQL confirmed it: an edition stays the same while nothing changes."""
    sizes: tuple[int, ...]
    refresh_s: float = 0.0
    """The next one is due so long after it: soon where making one is cheap."""
    digest: str = ""
    """Digest of the lists."""


@dataclass(frozen=True, slots=True)
class Ranked:
    """A person's rank and score in a list."""

    user_id: int
    score: float


class Editions:
    """Makes and reads them.

    :param memory: of the cache role: with its loss all editions are lost. :param size: the most people of one list.
    :param refresh_s: when a new one is due at the latest.
    """

    def __init__(self, database: Database, memory: Memory, *, size: int, refresh_s: int) -> None:
        self._database = database
        self._memory = memory
        self._redis = memory.redis
        self.size = size
        self._refresh_s = float(refresh_s)
        # The worker makes them; a request does so only where no worker does.
        self._overdue = timedelta(seconds=2 * refresh_s)
        self._newest: Edition | None = None
        self._checked_at = datetime.min.replace(tzinfo=UTC)
        self._parts: OrderedDict[tuple[str, int, int], list[Ranked]] = OrderedDict()
        self._lock = threading.Lock()
        self._is_making = threading.Lock()

    # --- reading

    def forget_all(self) -> None:
        """Forget the lists that this process remembers."""
        with self._lock:
            self._parts.clear()

    def newest(self, now: datetime) -> Edition | None:
        """The newest edition; None if there is none or Redis is down. Lets one be made if there is none, or if it is
        so old that no worker seems to run.
        """
        if abs(now - self._checked_at) >= _CHECK_EVERY:
            try:
                data = self._memory.read([_NOW])[0]
            except RedisDown:
                return None
            newest = self._newest = None if data is None else _load(data)
            self._checked_at = now
            if newest is None or now - newest.made_at >= self._overdue:
                self._make_aside(now)
        return self._newest

    def read(self, name: str, kind: int, size: int, start: int, count: int) -> list[Ranked]:
        """A stretch of a list, best first; shorter only where the list ends.

        :raises EditionLost:
        """
        end = min(start + count, size)
        found: list[Ranked] = []
        for part in range(start // _PART, -(-end // _PART)):
            first = part * _PART
            rows = self._part(name, kind, part, min(_PART, size - first))
            found += rows[max(0, start - first) : end - first]
        return found

    def remembered(self, name: str | None, kind: int, start: int, count: int) -> list[Ranked]:
        """The part of a stretch that this process has in memory. :param name: None: of the edition known last."""
        if name is None:
            if self._newest is None:
                return []
            name = self._newest.name
        found: list[Ranked] = []
        with self._lock:
            for part in range(start // _PART, (start + count - 1) // _PART + 1):
                first = part * _PART
                rows = self._parts.get((name, kind, part), [])
                found += rows[max(0, start - first) : start + count - first]
        return found

    def _part(self, name: str, kind: int, part: int, length: int) -> list[Ranked]:
        at = (name, kind, part)
        with self._lock:
            if at in self._parts:
                self._parts.move_to_end(at)
                return self._parts[at]
        first = part * _PART
        try:
            reply: Sequence[bytes] = self._redis.execute(
                "ZREVRANGE", self._name(name, kind), first, first + _PART - 1, "WITHSCORES"
            )
        except RedisDown as error:
            raise EditionLost(name) from error
        rows = [Ranked(int(user_id), float(score)) for user_id, score in paired(reply[::2], reply[1::2])]
        if len(rows) < length:
            self._checked_at = datetime.min.replace(tzinfo=UTC)
            raise EditionLost(name)
        with self._lock:
            self._parts[at] = rows
            while len(self._parts) > _MAX_PARTS:
                self._parts.popitem(last=False)
        return rows

    def forget(self, name: str) -> None:
        """An edition of which a part is gone is none: the next reader makes a new one. :raises RedisDown:"""
        data = self._memory.read([_NOW])[0]
        if data is not None and _load(data).name == name:
            self._redis.execute("DEL", *self._memory.names([_NOW]))

    def _name(self, name: str, kind: int) -> str:
        return self._memory.names([_key(name, kind)])[0]

    # --- making

    def is_due(self, now: datetime) -> bool:
        """True if it is time for a new edition. :raises RedisDown:"""
        data = self._memory.read([_NOW])[0]
        if data is None:
            return True
        newest = _load(data)
        return (now - newest.made_at).total_seconds() >= min(newest.refresh_s, self._refresh_s)

    def make(self, now: datetime) -> Edition | None:
        """Make a new edition out of SQL; None if another process is doing it. Where nothing has changed the newest one
        stays, and lasts longer.

        :raises RedisDown:
        """
        token = secrets.token_hex()
        if self._redis.execute("SET", _LOCK, token, "NX", "PX", _LOCK_MS) is None:
            return None
        try:
            # What SQL says from here on goes to this epoch of the memory.
            now_name = self._memory.names([_NOW])[0]
            data, began = self._memory.read([_NOW])[0], time.thread_time()
            with self._database.reading() as session:
                shelves = {shelf: self._top_of(session, shelf) for shelf in SHELVES}
            digest = sha256(orjson.dumps(list(shelves.items()))).hexdigest()
            newest = None if data is None else _load(data)
            if newest is not None and newest.digest == digest and self._prolong(newest):
                edition = replace(newest, made_at=now)
            else:
                edition = self._write_all(shelves, digest, now, began)
            # It is told of before the first of its sets can run out, and no longer.
            self._redis.execute("SET", now_name, _dump(edition), "EX", self._kept_s(edition.refresh_s) // 2)
            self._checked_at = datetime.min.replace(tzinfo=UTC)
        finally:
            self._redis.run_script(_UNLOCK, [_LOCK], token)
        return edition

    @staticmethod
    def _kept_s(refresh_s: float) -> int:
        return round(min(max(KEPT_PERIODS * refresh_s, MIN_KEPT_S), KEPT_S))

    def _prolong(self, edition: Edition) -> bool:
        """Let the sets of an edition last as long as new ones; False if one of them is gone."""
        kept_s = self._kept_s(edition.refresh_s)
        filled = [kind for kind, size in enumerate(edition.sizes) if size]
        names = self._memory.names([_key(edition.name, kind) for kind in filled])
        answers = self._redis.round_trip([("EXPIRE", name, kept_s) for name in names]) if names else []
        return all(answers)

    def _write_all(
        self, shelves: dict[int, list[tuple[float, int]]], digest: str, now: datetime, began: float
    ) -> Edition:
        name = secrets.token_hex(6)
        set_names = self._memory.names([_key(name, kind) for kind in range(len(KINDS))])
        sizes = tuple(
            self._write(set_name, shelves_for(*kind), shelves) for set_name, kind in paired(set_names, KINDS)
        )
        cost_s = COST_FACTOR * (time.thread_time() - began)
        refresh_s = min(max(cost_s, MIN_REFRESH_S), self._refresh_s)
        kept_s = self._kept_s(refresh_s)
        self._redis.round_trip([("EXPIRE", set_name, kept_s) for set_name in set_names])
        return Edition(name, now, sizes, refresh_s, digest)

    def _top_of(self, session: Session, shelf: int) -> list[tuple[float, int]]:
        best = (
            select(HotPerson.score, HotPerson.user_id)
            .where(HotPerson.shelf == shelf)
            .order_by(HotPerson.score.desc(), HotPerson.user_id.desc())
            .limit(self.size)
        )
        return [(score, user_id) for score, user_id in session.execute(best)]

    def _write(self, key: str, fitting: Sequence[int], shelves: dict[int, list[tuple[float, int]]]) -> int:
        # Each shelf is in order already, which sorting takes advantage of.
        rows = sorted((row for shelf in fitting for row in shelves[shelf]), reverse=True)[: self.size]
        for start in range(0, len(rows), _CHUNK):
            members = [
                part
                for score, user_id in rows[start : start + _CHUNK]
                # In this form texts have the order of numbers, as equal scores are ordered in SQL.
                for part in (repr(score), f"{user_id:010d}")
            ]
            commands: list[Command] = [("ZADD", key, *members), ("EXPIRE", key, KEPT_S)]
            self._redis.round_trip(commands)
        return len(rows)

    def _make_aside(self, now: datetime) -> None:
        """Let this process make one without letting anybody wait, unless another one is at it."""
        if self._is_making.acquire(blocking=False):
            threading.Thread(target=self._make_or_log, args=(now,), name="hot edition", daemon=True).start()

    def _make_or_log(self, now: datetime) -> None:
        try:
            self.make(now)
        except (RedisDown, DatabaseDown) as error:
            log.warning("hot_edition_not_made", reason=str(error))
        except Exception:
            log.exception("hot_edition_failed")
        finally:
            self._is_making.release()


def _key(name: str, kind: int) -> str:
    return f"hot:{name}:{kind}"


def _dump(edition: Edition) -> bytes:
    return orjson.dumps(
        [edition.name, edition.made_at.timestamp(), edition.sizes, edition.refresh_s, edition.digest]
    )


def _load(data: bytes) -> Edition:
    name, made_s, sizes, *more = orjson.loads(data)
    return Edition(name, datetime.fromtimestamp(made_s, UTC), tuple(sizes), *more)
