"""Reading streams: the worker's side of `streams.py`.

Workers share a stream as one consumer group. What a worker has read stays its own until it is acknowledged; when it
dies, another one takes that over after a while.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Any

import orjson
import structlog
from redis.exceptions import ResponseError

from datingtoday.infra.db import DatabaseDown
from datingtoday.infra.milliseconds import to_s
from datingtoday.infra.redis import Command, RedisDown
from datingtoday.infra.streams import BATCH, GROUP, Entry, Stream, Streams
from datingtoday.infra.tracing import Tracing, root_span

log = structlog.get_logger(__name__)

POLL_S = 0.2
DOWN_POLL_S = 1.0

Read = Sequence[tuple[bytes, Sequence[bytes] | None]]
"""Entries as Redis answers: id, and field names and values in turn; None: deleted meanwhile."""


class StreamReader:
    """Reads one stream as one consumer; for one thread.

    :param consumer: names the worker among all of them.
    :param idle_ms: for how long another worker must not have touched what it had read before it is taken over.
    :param tracing: with it each batch is a span.
    """

    def __init__(
        self, streams: Streams, stream: Stream, consumer: str, *, idle_ms: int, tracing: Tracing | None = None
    ) -> None:
        self._tracing = tracing
        self._streams = streams
        self._stream = stream
        self._consumer = consumer
        self._idle_ms = idle_ms
        self._has_unfinished = False

    def run(self, stopping: threading.Event) -> None:
        """Read until the event is set; a batch in hand is finished."""
        next_claim = time.monotonic()
        while not stopping.is_set():
            try:
                # By the clock: a stream that is never empty must not keep what a dead worker had read.
                if time.monotonic() >= next_claim:
                    next_claim = time.monotonic() + to_s(self._idle_ms / 2)
                    self.take_over()
                wait_s = 0.0 if self.step() else POLL_S
            except (RedisDown, DatabaseDown) as error:
                log.warning("stream_not_read", stream=self._stream.name, reason=str(error))
                wait_s = DOWN_POLL_S
            except Exception:
                log.exception("stream_not_read", stream=self._stream.name)
                wait_s = DOWN_POLL_S
            stopping.wait(wait_s)
        self.leave()

    def step(self) -> int:
        """Write one batch; how many entries it had. :raises RedisDown, DatabaseDown: they are read again."""
        # What was read but not written, because SQL was down, comes first; another worker may have taken it over.
        start = "0" if self._has_unfinished else ">"
        answer = self._on_group(
            ("XREADGROUP", "GROUP", GROUP, self._consumer, "COUNT", BATCH, "STREAMS", self._stream.key, start)
        )
        found: Read = answer[0][1] if answer else ()
        if not found:
            if not self._has_unfinished:
                return 0
            self._has_unfinished = False
            return self.step()
        self._finish(found)
        return len(found)

    def take_over(self) -> int:
        """Write what workers that died had read; how many entries. :raises RedisDown, DatabaseDown:"""
        taken, start = 0, "0-0"
        while True:
            answer = self._on_group(
                ("XAUTOCLAIM", self._stream.key, GROUP, self._consumer, self._idle_ms, start, "COUNT", BATCH)
            )
            start, found = answer[0], answer[1]
            if found:
                self._finish(found)
                taken += len(found)
            if start == b"0-0":
                return taken

    def leave(self) -> None:
        """Remove the consumer, unless it has read what it did not write: then another worker takes that over."""
        if self._has_unfinished:
            return
        try:
            self._on_group(("XGROUP", "DELCONSUMER", self._stream.key, GROUP, self._consumer))
        except RedisDown as error:
            log.info("stream_consumer_not_removed", stream=self._stream.name, reason=str(error))

    def _finish(self, found: Read) -> None:
        self._has_unfinished = True
        entries = [entry for _, fields in found if fields and (entry := self._load(fields)) is not None]
        if entries:
            with root_span(self._tracing, f"stream {self._stream.name}"):
                self._streams.write(self._stream, entries)
        ids = [id_ for id_, _ in found]
        commands: list[Command] = [
            ("XACK", self._stream.key, GROUP, *ids),
            ("XDEL", self._stream.key, *ids),
        ]
        self._streams.redis.round_trip(commands)
        self._has_unfinished = False

    def _load(self, fields: Sequence[bytes]) -> Entry | None:
        try:
            entry = orjson.loads(fields[1])
        except (IndexError, orjson.JSONDecodeError):
            entry = None
        if isinstance(entry, list):
            return entry
        log.error("stream_entry_unreadable", stream=self._stream.name)
        self._streams.count(self._stream.name, "refused", 1)
        return None

    def _on_group(self, command: Command) -> Any:
        """A command of the consumer group, which is made where there is none: at first, and after a loss of Redis."""
        try:
            return self._streams.redis.execute(*command)
        except ResponseError as error:
            if "NOGROUP" not in str(error) and "requires the key to exist" not in str(error):
                raise
        try:
            self._streams.redis.execute("XGROUP", "CREATE", self._stream.key, GROUP, "0", "MKSTREAM")
        except ResponseError as error:
            # Another worker was faster.
            if "BUSYGROUP" not in str(error):
                raise
        return self._streams.redis.execute(*command)


def drain(streams: Streams, *, consumer: str = "drain") -> int:
    """Write in this process everything that is in the streams and not in a worker's hands; how many entries.

    :raises RedisDown, DatabaseDown:
    """
    streams.flush()
    written = 0
    for stream in streams.all():
        reader = StreamReader(streams, stream, consumer, idle_ms=60_000)
        while some := reader.step():
            written += some
        reader.leave()
    return written
