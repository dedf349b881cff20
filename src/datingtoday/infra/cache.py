"""Ready-made bytes in the cache role of Redis: made once for many readers, gone with the commit that changes them.

An entry is one key of a `Memory`, which holds one of three things:

    =<bytes>    the entry
    +<lease>    it is being made: only the holder of the lease may put the entry, others wait a moment
    ?           its content is being changed: read SQL, and put nothing

A change marks the key before its commit and deletes it after. Deleting takes the lease of every reader who looked at
SQL before the commit, so such a reader cannot put what is out of date. The mark is for a process that dies between
commit and deletion: readers then ask SQL until it runs out, and the entry with it. What becomes of all this when Redis
loses something, or cannot be told, `memory.py` says.

SQL is the truth: every key may be lost at any time, and with Redis down everything is made from SQL.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

import structlog
from sqlalchemy.orm import Session

from datingtoday.infra.bounded_memory import ReadCount
from datingtoday.infra.db import Database
from datingtoday.infra.memory import Change, Memory, Reading
from datingtoday.infra.milliseconds import to_ms
from datingtoday.infra.paired import paired
from datingtoday.infra.redis import RedisDown, RedisRole, Script

log = structlog.get_logger(__name__)

MARK_S = 60
"""Time for which a mark stands if nobody takes it away; far longer than a commit takes."""
LEASE_MS = 2_000
WAIT_S = 0.15
"""Time for which a reader waits for another who is making the entry, before asking SQL itself."""
_POLL_S = 0.008

_ENTRY, _LEASE, _MARK = ord("="), ord("+"), b"?"

# KEYS: entry; ARGV: my lease, what to put ('' gives the lease back), its life in ms.
_PUT = Script(
    """
    if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
    if ARGV[2] == '' then return redis.call('DEL', KEYS[1]) end
    redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
    return 1
    """
)

K = TypeVar("K")

ReadAhead = Mapping[str, bytes | None]
"""Values of keys as they were read a moment ago, for whoever wants them now."""
NOTHING_AHEAD: ReadAhead = MappingProxyType({})


def value_of(entry: bytes | None) -> bytes | None:
    """Value of a key for an entry that `ReadyCache.fetch` gave."""
    return None if entry is None else b"=" + entry


@dataclass(frozen=True, slots=True)
class CacheEntry:
    """An entry and for how many seconds what it says stays true; 0 or less: not to be kept."""

    data: bytes
    life_s: float


class Source(Protocol[K]):
    """Makes the entries of one kind."""

    def key(self, what: K) -> str:
        """The key of an entry in Redis."""

    def make(self, session: Session, wanted: Sequence[K], now: datetime) -> Mapping[K, CacheEntry]:
        """The entries as SQL has them now, in few statements; what does not exist is left out."""


class CacheRequest(NamedTuple, Generic[K]):
    """One entry of one kind."""

    source: Source[K]
    what: K


class ReadyCache:
    """Entries of any kind, fetched together.

    :param redis: the cache role. :param database: entries are made in read transactions of their own: the caller's may
        have begun before a change that is committed by now, and must not be what a cache is filled from.
    """

    def __init__(self, redis: RedisRole, database: Database) -> None:
        self._redis = redis
        self._database = database
        self._count = ReadCount("redis cache")
        self.memory = Memory(
            "cache",
            redis,
            database,
            marked=Change(_MARK, to_ms(MARK_S)),
            after=Change(b"", 0),
            must_reach=False,
        )

    def prepare(self) -> None:
        """Find out what may be believed, if that is not known; best before a transaction that writes."""
        self.memory.prepare()

    def read_ahead(self, redis: RedisRole, keys: Sequence[str]) -> Reading | None:
        """Commands that read keys for `fetch`, for whoever has a conversation with this server anyway.

        :return: None where they cannot be read along: another server, a cluster, or a memory that cannot be believed.
        """
        if redis is not self._redis or redis.is_cluster:
            return None
        try:
            return self.memory.reading(keys)
        except RedisDown:
            return None

    def taken(self, reading: Reading, answers: Sequence[Any]) -> ReadAhead:
        """Entries that were read ahead. :param answers: to the commands."""
        values = self.memory.values(reading, answers)
        return NOTHING_AHEAD if values is None else dict(paired(reading.keys, values))

    def entries_read(self, keys: Sequence[str], ahead: ReadAhead) -> list[bytes] | None:
        """Result of `fetch`, if all of it was read ahead and is there; None if it has to be asked."""
        values = list(map(ahead.get, keys))
        if None in values:
            return None
        entries = [value[1:] for value in values if value and value[0] == _ENTRY]
        if len(entries) != len(values):
            return None
        self._count.hits += len(entries)
        return entries

    def read(self, keys: Sequence[str]) -> ReadAhead:
        """Values of keys, in one round trip; nothing with Redis down."""
        try:
            return dict(paired(keys, self.memory.read(keys)))
        except RedisDown:
            return NOTHING_AHEAD

    def fetch(
        self, requests: Sequence[CacheRequest[Any]], now: datetime, ahead: ReadAhead = NOTHING_AHEAD
    ) -> list[bytes | None]:
        """The entries in the order of the requests; None for what does not exist. Each key is asked for once.

        :param ahead: what was read of them within this very request; see `CacheReader`.

        One round trip if all are there. Of several readers of a missing entry one makes it; the others wait for it up
        to `WAIT_S` and then ask SQL themselves. With Redis down SQL serves.
        """
        if not requests:
            return []
        keys = [source.key(what) for source, what in requests]
        try:
            values = self._get_all(keys, ahead)
        except RedisDown:
            self._count.misses += len(requests)
            made = self._make(requests, range(len(requests)), now)
            return [made[at].data if at in made else None for at in range(len(requests))]
        found = [value[1:] if value and value[0] == _ENTRY else None for value in values]
        if None in found:
            missing = [at for at, entry in enumerate(found) if entry is None]
            self._count.misses += len(missing)
            self._count.hits += len(found) - len(missing)
            self._fill(requests, keys, values, missing, found, now)
        else:
            self._count.hits += len(found)
        return found

    def fetch_one(
        self, source: Source[K], what: K, now: datetime, ahead: ReadAhead = NOTHING_AHEAD
    ) -> bytes | None:
        """`fetch` of a single entry."""
        entries = self.entries_read([source.key(what)], ahead)
        return entries[0] if entries else self.fetch([CacheRequest(source, what)], now, ahead)[0]

    def forget(self, session: Session, keys: Iterable[str]) -> None:
        """Invalidate entries with the session's commit.

        With Redis down the change goes on, and Redis is told as soon as any process reaches it again.
        """
        self.memory.change(session, keys)

    # --- reading

    def _get_all(self, keys: Sequence[str], ahead: ReadAhead) -> list[bytes | None]:
        if not ahead:
            return self.memory.read(keys)
        rest = [key for key in keys if key not in ahead]
        if not rest:
            return [ahead[key] for key in keys]
        known = {**ahead, **dict(paired(rest, self.memory.read(rest)))}
        return [known[key] for key in keys]

    def _fill(
        self,
        requests: Sequence[CacheRequest[Any]],
        keys: Sequence[str],
        values: Sequence[bytes | None],
        missing: Sequence[int],
        found: list[bytes | None],
        now: datetime,
    ) -> None:
        """Find what the first look did not."""
        lease = b"+" + secrets.token_hex(8).encode()
        names, mine, others = self._take_leases(keys, values, missing, lease)
        waiting = set(others)
        # Marked ones are read from SQL with my own, and are not put.
        now_from_sql = [at for at in missing if at not in waiting]
        puts: dict[int, CacheEntry] = {}
        try:
            puts = self._make(requests, now_from_sql, now)
        finally:
            self._put({names[at]: puts.get(at) for at in mine}, lease)
        for at, made in puts.items():
            found[at] = made.data
        if waiting:
            late = self._wait_for(keys, waiting, found)
            for at, made in self._make(requests, late, now).items():
                found[at] = made.data

    def _take_leases(
        self, keys: Sequence[str], values: Sequence[bytes | None], missing: Sequence[int], lease: bytes
    ) -> tuple[Mapping[int, str], list[int], list[int]]:
        """Names of the entries that are free, which of the missing ones are mine to make, and which another makes."""
        free = [at for at in missing if values[at] is None]
        others = [at for at in missing if (value := values[at]) is not None and value[0] == _LEASE]
        try:
            # What I make goes to the epoch in which I began, if that is over or not.
            names = dict(paired(free, self.memory.names([keys[at] for at in free])))
            taken = self._redis.round_trip([("SET", names[at], lease, "NX", "PX", LEASE_MS) for at in free])
        except RedisDown:
            return {}, [], []
        mine = [at for at, answer in paired(free, taken) if answer is not None]
        return names, mine, others + [at for at, answer in paired(free, taken) if answer is None]

    def _make(
        self, requests: Sequence[CacheRequest[Any]], which: Iterable[int], now: datetime
    ) -> dict[int, CacheEntry]:
        """Entries out of SQL, by their place among the requests; kinds are made together."""
        by_source: dict[int, tuple[Source[Any], list[int]]] = {}
        for at in which:
            source = requests[at].source
            by_source.setdefault(id(source), (source, []))[1].append(at)
        if not by_source:
            return {}
        made: dict[int, CacheEntry] = {}
        with self._database.reading() as session:
            for source, places in by_source.values():
                entries = source.make(session, [requests[at].what for at in places], now)
                made.update({at: entries[requests[at].what] for at in places if requests[at].what in entries})
        return made

    def _put(self, entries: Mapping[str, CacheEntry | None], lease: bytes) -> None:
        """Put what was made (by name) under my lease, and give the lease back where there is nothing to keep."""
        if not entries:
            return
        calls: list[Any] = []
        for key, made in entries.items():
            life_ms = 0 if made is None else to_ms(made.life_s)
            value = b"=" + made.data if made is not None and life_ms > 0 else b""
            calls.append((_PUT, [key], (lease, value, life_ms)))
        try:
            self._redis.round_trip_with_scripts(calls)
        except RedisDown as error:
            log.info("cache_not_filled", entries=len(calls), reason=str(error))

    def _wait_for(self, keys: Sequence[str], waiting: set[int], found: list[bytes | None]) -> list[int]:
        """Take what others put; which of them must be read from SQL after all."""
        give_up_at = time.monotonic() + WAIT_S
        late: list[int] = []
        while waiting and time.monotonic() < give_up_at:
            time.sleep(_POLL_S)
            places = sorted(waiting)
            try:
                values = self.memory.read([keys[at] for at in places])
            except RedisDown:
                break
            for at, value in paired(places, values):
                if value is not None and value[0] == _LEASE:
                    continue
                waiting.remove(at)
                if value is not None and value[0] == _ENTRY:
                    found[at] = value[1:]
                else:
                    late.append(at)
        return late + sorted(waiting)
