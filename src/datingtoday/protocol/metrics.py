"""Get metrics for Prometheus: how many requests, with which outcome, how long they took.

Several processes count together through files in one folder, which `count_across_processes` names before the first
`Metrics` of a process is made; without that each process counts alone.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import structlog
from flask import Flask

from datingtoday.infra.batches import Batches
from datingtoday.infra.bounded_memory import Reads, reads_by_name
from datingtoday.infra.db import DatabaseDown
from datingtoday.infra.metric_declarations import declare, process_counter, process_registry
from datingtoday.infra.readiness import Readiness, gauges_of
from datingtoday.infra.redis import RedisDown
from datingtoday.protocol.call import Environ
from datingtoday.protocol.endpoint_labels import EndpointLabels

if TYPE_CHECKING:
    from prometheus_client.core import Metric

log = structlog.get_logger(__name__)

FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
"""prometheus-client's own name for the folder; it is read when that package is imported."""
BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)

Reader = Callable[[datetime], "Iterable[Metric]"]
"""Reads numbers at a moment (UTC)."""
Observer = Callable[[Environ, str, int], None]
"""Called with the WSGI environ, the status line, and the nanoseconds that an answer took."""


REQUESTS = declare(
    "datingtoday_requests",
    "counter",
    en="Answers by endpoint, HTTP status and code (0: success, 1001: bad signature or time, 1002: replayed, "
    "429: limited).",
    zh="应答数，按接口、HTTP 状态码和错误码（0 成功，1001 签名或时间错误，1002 重放，429 限流）。",
    labels=("endpoint", "status", "code"),
)
SECONDS = declare(
    "datingtoday_request_seconds",
    "histogram",
    en="Time until the answer was ready, sending not counted.",
    zh="从收到请求到应答就绪的时间，不含发送。",
    labels=("endpoint",),
)
MEMORY_READS = declare(
    "datingtoday_memory_reads",
    "counter",
    en="Reads of remembered values by memory and result (hit, miss): `redis cache` is the shared cache, the others "
    "lie in each process.",
    zh="缓存读取次数，按缓存和结果（hit、miss）：`redis cache` 为共享缓存，其余为进程内缓存。",
    labels=("memory", "result"),
)
STREAM_ENTRIES = declare(
    "datingtoday_stream_entries",
    "counter",
    en="Entries recorded off the path of requests, by stream and outcome (queued, direct, refused, lost).",
    zh="请求之外记录的条目，按流和结果（queued、direct、refused、lost）。",
    labels=("stream", "outcome"),
)
PUSH_EVENTS = declare(
    "datingtoday_push_events",
    "counter",
    en="Events for connected devices, by outcome (published, failed: Redis did not take them).",
    zh="发给在线设备的事件，按结果（published、failed：Redis 未接收）。",
    labels=("outcome",),
)


def count_across_processes(folder: Path) -> None:
    """Let this process and its children count into a folder; one that is already named in the environment is kept.

    What dead processes left there is removed unless a live one counts there too: a server's numbers survive the end
    of one of its workers, and begin anew when all of it was started anew.
    """
    chosen = Path(os.environ.setdefault(FOLDER_VARIABLE, str(folder)))
    chosen.mkdir(parents=True, exist_ok=True)
    found = list(chosen.glob("*.db"))
    if not any(_is_written(path) for path in found):
        for path in found:
            path.unlink(missing_ok=True)


def _is_written(path: Path) -> bool:
    pid = path.stem.rpartition("_")[2]
    return pid.isdigit() and Path("/proc", pid).exists()


def count_stream_entries(stream: str, outcome: str, entries: int) -> None:
    """Count entries of a stream, in a process without an application: the worker, push."""
    process_counter(STREAM_ENTRIES).labels(stream, outcome).inc(entries)


def count_push_events(outcome: str, events: int) -> None:
    """Count published events, in a process without an application."""
    process_counter(PUSH_EVENTS).labels(outcome).inc(events)


class Metrics:
    """The counters of an application.

    A request only leaves a note, and a thread of each process adds the notes up soon after. Counting at once would cost
    a request four times as much: it finds nothing of this in the processor's caches.
    """

    def __init__(self, app: Flask) -> None:
        from prometheus_client import CollectorRegistry

        self._labels = EndpointLabels(app)
        self.registry = CollectorRegistry()
        self.readiness: Readiness | None = None
        """Asked first: what needs a part that is down is not read."""
        self._readers: list[tuple[Reader, str]] = []
        self._samplers: list[Callable[[], None]] = []
        self._requests = REQUESTS.counter(self.registry)
        self._seconds = SECONDS.histogram(self.registry, BUCKETS_S)
        self._memory_reads = MEMORY_READS.counter(self.registry)
        self._stream_entries = STREAM_ENTRIES.counter(self.registry)
        self._push_events = PUSH_EVENTS.counter(self.registry)
        self._notes: Batches[tuple[str, str, int, int]] = Batches("metrics", self._count, begin=self._begin)

    def count_stream(self, stream: str, outcome: str, entries: int) -> None:
        """Count entries of a stream. Never raises: what cannot be counted is logged."""
        try:
            self._stream_entries.labels(stream, outcome).inc(entries)
        except (OSError, ValueError) as error:
            log.error("metrics_failed", reason=str(error))

    def observe(self, environ: Environ, status_line: str, elapsed_ns: int) -> None:
        """Note one answer."""
        self._notes.add(
            (self._labels.of(environ), status_line[:3], environ.get("datingtoday.code", 0), elapsed_ns)
        )

    def count_push(self, outcome: str, events: int) -> None:
        """Count events that were published to the push processes. Never raises."""
        try:
            self._push_events.labels(outcome).inc(events)
        except (OSError, ValueError) as error:
            log.error("metrics_failed", reason=str(error))

    def flush(self) -> None:
        """Add up what was noted. Never raises: what cannot be counted is logged."""
        self._notes.flush()

    def _begin(self) -> None:
        # Reads before a fork are the parent's to count.
        self._memory_counted = reads_by_name()

    def _count(self, notes: Sequence[tuple[str, str, int, int]]) -> None:
        counts: Counter[tuple[str, str, int]] = Counter()
        try:
            for endpoint, status, code, elapsed_ns in notes:
                counts[endpoint, status, code] += 1
                self._seconds.labels(endpoint).observe(elapsed_ns / 1e9)
            for (endpoint, status, code), number in counts.items():
                self._requests.labels(endpoint, status, str(code)).inc(number)
            self._count_memories()
            for sampler in self._samplers:
                sampler()
        except (OSError, ValueError) as error:
            log.error("metrics_failed", reason=str(error))

    def _count_memories(self) -> None:
        now = reads_by_name()
        for name, (hits, misses) in now.items():
            before = self._memory_counted.get(name, Reads(0, 0))
            # Fewer than before: an application of this process has ended, and its memories with it.
            self._memory_reads.labels(name, "hit").inc(max(0, hits - before.hits))
            self._memory_reads.labels(name, "miss").inc(max(0, misses - before.misses))
        self._memory_counted = now

    def register(self, read: Reader, *, needs: str = "database") -> None:
        """Add numbers that are the same in every process, read when `text` is made.

        :param needs: the part of `infra.readiness` without which they are not read.
        """
        self._readers.append((read, needs))

    def sample(self, sampler: Callable[[], None]) -> None:
        """Add a sampler of this process: called while requests are counted, and when `text` is made."""
        self._samplers.append(sampler)

    def text(self) -> tuple[bytes, str]:
        """Metrics as Prometheus reads them, of all processes that count together, and the content type."""
        from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

        self.flush()
        if folder := os.environ.get(FOLDER_VARIABLE):
            together = CollectorRegistry()
            together.register(_Collector(_counted_together(Path(folder))))
            text = generate_latest(together)
        else:
            text = generate_latest(self.registry) + generate_latest(process_registry())
        shared = CollectorRegistry()
        for families in self._read_shared(datetime.now(UTC)):
            shared.register(_Collector(families))
        return text + generate_latest(shared), CONTENT_TYPE_LATEST

    def _read_shared(self, now: datetime) -> Iterator[list[Metric]]:
        """The numbers that are the same in every process; none of those whose part is down."""
        down: set[str] = set()
        if self.readiness is not None:
            found = self.readiness.check()
            down = {part for part, state in found.items() if not state.is_up}
            if "schema" in down:
                down.add("database")
            yield list(gauges_of(found))
        for read, needs in self._readers:
            if needs not in down:
                try:
                    yield list(read(now))
                except (DatabaseDown, RedisDown) as error:
                    log.warning("metrics_not_read", part=needs, reason=str(error))


class _Collector:
    """Metrics in the form that a registry takes."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


def _counted_together(folder: Path) -> Iterable[Metric]:
    """Metrics of all processes that count into the folder."""
    from prometheus_client.multiprocess import MultiProcessCollector

    for path in folder.glob("gauge_live*.db"):
        if not _is_written(path):
            # Gauges of a process that was killed count no more: its connections are closed.
            path.unlink(missing_ok=True)
    # A file is empty for the moment in which it is made, and stays so if its process is killed then.
    files = [path for path in folder.glob("*.db") if _has_content(path)]
    families: Iterable[Metric] = MultiProcessCollector.merge([str(path) for path in files])  # type: ignore[no-untyped-call]
    return families


def _has_content(path: Path) -> bool:
    try:
        return path.stat().st_size > 0
    except FileNotFoundError:
        return False
