"""Streams: what is recorded off a request's path, on its way to SQL through the queue role of Redis.

A request only leaves a note in memory. A thread of each process sends the notes at most `SEND_S` later; the worker
reads them in batches, folds and writes each batch in one transaction, and acknowledges it after the commit. So an entry
is written at least once, and twice only where a worker died between commit and acknowledgement.

Where the queue role is down or full, because no worker has read for long, the process writes to SQL itself. Where that
fails too, the entries are lost: counted, and logged. What a wiped Redis loses is what it held: the lag.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
import structlog
from redis.exceptions import ResponseError
from sqlalchemy.orm import Session

from datingtoday.infra.batches import Batches
from datingtoday.infra.db import Database, DatabaseDown
from datingtoday.infra.milliseconds import to_s
from datingtoday.infra.paired import paired
from datingtoday.infra.redis import Command, RedisDown, RedisRole

log = structlog.get_logger(__name__)

Entry = list[Any]
"""Numbers and texts, as JSON has them."""
WriteBatch = Callable[[Session, Sequence[Entry]], None]
Observer = Callable[[str, str, int], None]
"""Called with a stream's name, an outcome (``queued``, ``direct``, ``refused``, ``lost``) and a number of entries."""

GROUP = "worker"
BATCH = 500
SEND_S = 0.03
"""Time for which entries are collected in memory; what a process that is killed had not sent is lost."""
MAX_QUEUED = 200_000
"""Entries in Redis beyond which a process writes to SQL by itself."""
MAX_UNSENT = 50_000
"""Entries in a process's memory; what comes on top of them is lost."""
FULL_S = 1.0
"""Time for which a full stream is not asked again."""
_SENT_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Stream:
    """Declaration of a stream.

    :param name: lower-case letters, digits and ``_``.
    :param write_batch: called with a session and up to some hundred entries, in the order in which they came, each as
        it was appended; writes them in few statements that are right when some were written before. The caller
        commits; what must follow the commit goes through ``on_commit``. Locks rows in the order of their keys.
    """

    name: str
    write_batch: WriteBatch

    @property
    def key(self) -> str:
        """In Redis."""
        return f"stream:{self.name}"


@dataclass(frozen=True, slots=True)
class StreamState:
    """Number of entries waiting in a stream, and the age of the oldest."""

    entries: int
    lag_s: float


class Appender:
    """Takes the entries of one stream."""

    def __init__(self, streams: Streams, name: str) -> None:
        self._streams = streams
        self._name = name

    def append(self, entry: Sequence[Any]) -> None:
        """Record an entry soon; costs a request some microseconds and never raises for what is down.

        Call it after the commit of what it tells.
        """
        self._streams.note(self._name, entry)


class Streams:
    """The streams of one application.

    :param redis: the queue role.
    """

    def __init__(self, redis: RedisRole, database: Database) -> None:
        self.redis = redis
        self._database = database
        self._streams: dict[str, Stream] = {}
        self._unsent: Batches[tuple[str, bytes]] = Batches(
            "streams", self._send, delay_s=SEND_S, max_items=MAX_UNSENT, max_at_once=_SENT_AT_ONCE
        )
        self._direct_until = 0.0
        self.counts: Counter[tuple[str, str]] = Counter()
        """Entries of this process by (stream, outcome)."""
        self.observer: Observer | None = None

    def register(self, stream: Stream) -> Appender:
        """Add a stream.

        :raises RuntimeError: its name is taken.
        """
        if stream.name in self._streams:
            raise RuntimeError(f"two streams are called {stream.name}")
        self._streams[stream.name] = stream
        return Appender(self, stream.name)

    def all(self) -> tuple[Stream, ...]:
        """In the order in which they were registered."""
        return tuple(self._streams.values())

    def __getitem__(self, name: str) -> Stream:
        """:raises KeyError: there is no such stream."""
        return self._streams[name]

    # --- sending

    def note(self, name: str, entry: Sequence[Any]) -> None:
        """See `Appender.append`."""
        if not self._unsent.add((name, orjson.dumps(entry))):
            self.count(name, "lost", 1)

    def flush(self) -> None:
        """Send what this process has not sent yet. Never raises for what is down."""
        self._unsent.flush()

    def _send(self, taken: Sequence[tuple[str, bytes]]) -> None:
        by_name: dict[str, list[bytes]] = {}
        for name, data in taken:
            by_name.setdefault(name, []).append(data)
        if time.monotonic() >= self._direct_until and self._queue(by_name):
            return
        for name, entries in by_name.items():
            self._write_directly(self._streams[name], [orjson.loads(data) for data in entries])

    def _queue(self, by_name: dict[str, list[bytes]]) -> bool:
        commands: list[Command] = []
        for name, entries in by_name.items():
            commands += [("XADD", self._streams[name].key, "*", "e", data) for data in entries]
        commands += [("XLEN", self._streams[name].key) for name in by_name]
        try:
            answers = self.redis.round_trip(commands)
        except (RedisDown, ResponseError) as error:
            # Some of them may have been taken: they count twice, which is better than not at all.
            log.warning("stream_not_queued", entries=sum(map(len, by_name.values())), reason=str(error))
            return False
        for (name, entries), length in paired(by_name.items(), answers[-len(by_name) :]):
            self.count(name, "queued", len(entries))
            if length > MAX_QUEUED:
                log.warning("stream_full", stream=name, entries=length)
                self._direct_until = time.monotonic() + FULL_S
        return True

    def _write_directly(self, stream: Stream, entries: list[Entry]) -> None:
        try:
            self.write(stream, entries)
        except DatabaseDown as error:
            log.error("stream_entries_lost", stream=stream.name, entries=len(entries), reason=str(error))
            self.count(stream.name, "lost", len(entries))
        else:
            self.count(stream.name, "direct", len(entries))

    # --- writing

    def write(self, stream: Stream, entries: Sequence[Entry]) -> None:
        """Write a batch to SQL, with its after-commit hooks. Entries that fail by themselves are left out, and logged.

        :raises DatabaseDown: nothing was written.
        """
        try:
            self._database.retried(lambda session: stream.write_batch(session, entries))
        except DatabaseDown:
            raise
        except Exception:
            if len(entries) == 1:
                log.exception("stream_entry_refused", stream=stream.name, entry=entries[0])
                self.count(stream.name, "refused", 1)
                return
            log.warning("stream_batch_split", stream=stream.name, entries=len(entries))
            half = len(entries) // 2
            self.write(stream, entries[:half])
            self.write(stream, entries[half:])

    def states(self) -> dict[str, StreamState]:
        """Backlog of each stream. :raises RedisDown:"""
        found: dict[str, StreamState] = {}
        for stream in self.all():
            entries, oldest, now = self.redis.round_trip(
                [("XLEN", stream.key), ("XRANGE", stream.key, "-", "+", "COUNT", 1), ("TIME",)]
            )
            lag_s = 0.0
            if oldest:
                added_ms = int(oldest[0][0].partition(b"-")[0])
                lag_s = max(0.0, int(now[0]) + int(now[1]) / 1e6 - to_s(added_ms))
            found[stream.name] = StreamState(int(entries), lag_s)
        return found

    def count(self, name: str, outcome: str, entries: int) -> None:
        """Count entries by what became of them."""
        self.counts[name, outcome] += entries
        if self.observer is not None:
            self.observer(name, outcome, entries)
