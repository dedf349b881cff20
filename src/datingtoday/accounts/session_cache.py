"""Ready answers about sessions in Redis, which can never outlive the truth in SQL.

An entry is filled only where there is none, and replaced only where it is still what was read. Whoever changes a
session in SQL writes "ask" over its entry directly before the commit: readers then ask SQL, and a reader that had read
the old row just before can neither fill nor replace it. What Redis loses is not believed (`infra/memory.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import orjson
import structlog
from sqlalchemy.orm import Session

from datingtoday.infra.db import Database
from datingtoday.infra.memory import Change, Memory, Reading
from datingtoday.infra.milliseconds import to_ms
from datingtoday.infra.redis import RedisRole, Script

log = structlog.get_logger(__name__)

CACHE_S = 330
"""Time for which an entry lives, whatever it says: somewhat longer than sessions in use go without being
renewed, so that
SQL is not read for them."""
FILL_WITHIN_S = 20
"""Maximum age of an SQL answer that becomes an entry: well below the life of an "ask" that it must not miss."""
ASK = b"ask"
_MAX_LOADED = 4_000
"""Entries that a process keeps as it has read them."""
_FORM = 1
"""Number of the entries' form; an entry of another form is left alone, and SQL is asked."""
_SECONDS = (int, float)
_NOTHING = type(None)
_TYPES: tuple[Any, ...] = (int, int, _SECONDS, _SECONDS, bool, bool, (*_SECONDS, _NOTHING), (str, _NOTHING))
"""Types of the fields of `Entry`, in their order."""

# KEYS: entry; ARGV: the value seen, the value to put, life in ms. Only one of several readers succeeds.
_REPLACE = Script(
    """
    if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
    redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
    return 1
    """
)


class Entry(NamedTuple):
    """Cached state of a session; moments in epoch seconds."""

    user_id: int
    session_id: int
    expires_s: float
    seen_s: float
    ended: bool
    banned: bool
    banned_until_s: float | None
    """None while banned: for good."""
    ban_reason: str | None

    def dump(self) -> bytes:
        return orjson.dumps([_FORM, *self])

    @classmethod
    @lru_cache(maxsize=_MAX_LOADED)
    def load(cls, data: bytes) -> Entry | None:
        """None for anything that is not an entry of this form: "ask", another version's, or nonsense.

        The same bytes say the same: what was told of a person's last request is not read anew for the next.
        """
        if data == ASK:
            return None
        try:
            form, *values = orjson.loads(data)
        except (orjson.JSONDecodeError, TypeError, ValueError):
            form, values = None, []
        if form != _FORM or len(values) != len(_TYPES) or not all(map(isinstance, values, _TYPES)):
            log.warning("session_entry_of_another_form")
            return None
        return cls(*values)


class Slot(NamedTuple):
    """Key of a session's entry, and what was read there."""

    name: str
    value: bytes | None


class SessionCache:
    """The entries. Sessions are named by the SHA-256 of their token, in hex.

    :param redis: the guard role, without which no signed request is served.
    """

    def __init__(self, redis: RedisRole, database: Database) -> None:
        self._redis = redis
        ask = Change(ASK, to_ms(CACHE_S))
        self._memory = Memory("sessions", redis, database, marked=ask, after=ask, must_reach=True)

    def reading(self, digest: str) -> Reading:
        """Commands with which `look` reads the entry. :raises RedisDown:"""
        return self._memory.reading([_key(digest)])

    def look(self, reading: Reading, answers: Sequence[Any]) -> Slot:
        """The place of a session's entry, and what it holds. :raises RedisDown:"""
        values = self._memory.values(reading, answers)
        if values is None:
            # What is read of SQL now goes to the epoch that begins.
            return Slot(self._memory.names(reading.keys)[0], None)
        return Slot(reading.names[0], values[0])

    def fill(self, slot: Slot, entry: Entry) -> None:
        """Keep what SQL said, unless there is an entry (or "ask") by now. :raises RedisDown:"""
        self._redis.execute("SET", slot.name, entry.dump(), "PX", to_ms(CACHE_S), "NX")

    def replace(self, slot: Slot, seen: bytes, entry: Entry) -> bool:
        """Put the entry in the place of the one seen, if that is still there; whether it was. :raises RedisDown:"""
        return bool(self._redis.run_script(_REPLACE, [slot.name], seen, entry.dump(), to_ms(CACHE_S)))

    def ask_sql(self, session: Session, digests: Sequence[str]) -> None:
        """Whatever the transaction does to these sessions is seen by everybody once it is committed.

        The commit raises `RedisDown`, and changes nothing, where Redis cannot be told.
        """
        self._memory.change(session, map(_key, digests))


def _key(digest: str) -> str:
    return f"session:{digest}"
