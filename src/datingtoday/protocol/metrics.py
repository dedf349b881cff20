"""Get metrics for Prometheus: how many requests, with which outcome, how long they took.

Several processes count together through files in one folder, which `count_across_processes` names before the first
`Metrics` of a process is made; without that each process counts alone.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections import Counter, deque
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import structlog
from flask import Flask

from datingtoday.infra.bounded_memory import Reads, reads_by_name
from datingtoday.protocol.call import RULE, Environ

if TYPE_CHECKING:
    from prometheus_client.core import Metric

log = structlog.get_logger(__name__)

FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
"""prometheus-client's own name for the folder; it is read when that package is imported."""
BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
FLUSH_S = 0.5
OTHER = "other"
"""In place of a path that no endpoint has: what clients make up must not become a time series."""

Reader = Callable[[datetime], "Iterable[Metric]"]
"""Reads numbers at a moment (UTC)."""
Observer = Callable[[Environ, str, int], None]
"""Called with the WSGI environ, the status line, and the nanoseconds that an answer took."""


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


class Metrics:
    """The counters of an application.

    A request only leaves a note, and a thread of each process adds the notes up, at most `FLUSH_S` later. Counting at
    once would cost a request four times as much: it finds nothing of this in the processor's caches.
    """

    def __init__(self, app: Flask) -> None:
        from prometheus_client import CollectorRegistry
        from prometheus_client.metrics import Counter as SeriesCounter
        from prometheus_client.metrics import Histogram

        self._app = app
        self._paths: frozenset[str] | None = None
        self.registry = CollectorRegistry()
        self._readers: list[Reader] = []
        self._requests = SeriesCounter(
            "datingtoday_requests",
            "Answers by endpoint, HTTP status and code (1002: replayed, 429: limited).",
            ("endpoint", "status", "code"),
            registry=self.registry,
        )
        self._seconds = Histogram(
            "datingtoday_request_seconds",
            "Time until the answer was ready, sending not counted.",
            ("endpoint",),
            buckets=BUCKETS_S,
            registry=self.registry,
        )
        self._memory_reads = SeriesCounter(
            "datingtoday_memory_reads",
            "Reads of values that a process remembers, by memory and result (hit, miss).",
            ("memory", "result"),
            registry=self.registry,
        )
        self._memory_counted = reads_by_name()
        self._stream_entries = SeriesCounter(
            "datingtoday_stream_entries",
            "Entries recorded off the path of requests, by stream and outcome (queued, direct, refused, lost).",
            ("stream", "outcome"),
            registry=self.registry,
        )
        self._push_events = SeriesCounter(
            "datingtoday_push_events",
            "Events for connected devices, by outcome (published, failed: Redis did not take them).",
            ("outcome",),
            registry=self.registry,
        )
        # Appending and taking from the left are atomic: no request ever waits for a lock.
        self._notes: deque[tuple[str, str, int, int]] = deque()
        self._flushing = threading.Lock()
        self._is_flushing = False
        this = weakref.ref(self)
        os.register_at_fork(after_in_child=lambda: _after_fork(this()))

    def count_stream(self, stream: str, outcome: str, entries: int) -> None:
        """Count entries of a stream. Never raises: what cannot be counted is logged."""
        try:
            self._stream_entries.labels(stream, outcome).inc(entries)
        except (OSError, ValueError) as error:
            log.error("metrics_failed", reason=str(error))

    def observe(self, environ: Environ, status_line: str, elapsed_ns: int) -> None:
        """Note one answer."""
        self._notes.append(
            (self._label(environ), status_line[:3], environ.get("datingtoday.code", 0), elapsed_ns)
        )
        if not self._is_flushing:
            self._begin()

    def count_push(self, outcome: str, events: int) -> None:
        """Count events that were published to the push processes. Never raises."""
        try:
            self._push_events.labels(outcome).inc(events)
        except (OSError, ValueError) as error:
            log.error("metrics_failed", reason=str(error))

    def _begin(self) -> None:
        """Start the thread: in each process anew, and anew after a time without requests."""
        self._is_flushing = True
        threading.Thread(target=self._flush_while_busy, name="metrics", daemon=True).start()

    def _flush_while_busy(self) -> None:
        while True:
            time.sleep(FLUSH_S)
            if self._notes:
                self.flush()
                continue
            # In this order: whoever notes something from here on starts the next thread.
            self._is_flushing = False
            if not self._notes:
                return
            self._is_flushing = True

    def forget_notes(self) -> None:
        """In a forked child: what was noted is the parent's to count."""
        self._notes.clear()
        self._memory_counted = reads_by_name()
        self._flushing = threading.Lock()
        self._is_flushing = False

    def flush(self) -> None:
        """Add up what was noted. Never raises: what cannot be counted is logged."""
        counts: Counter[tuple[str, str, int]] = Counter()
        with self._flushing:
            try:
                for _ in range(len(self._notes)):
                    endpoint, status, code, elapsed_ns = self._notes.popleft()
                    counts[endpoint, status, code] += 1
                    self._seconds.labels(endpoint).observe(elapsed_ns / 1e9)
                for (endpoint, status, code), number in counts.items():
                    self._requests.labels(endpoint, status, str(code)).inc(number)
                self._count_memories()
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

    def register(self, read: Reader) -> None:
        """Add numbers that are the same in every process, read when `text` is made."""
        self._readers.append(read)

    def text(self) -> tuple[bytes, str]:
        """Metrics as Prometheus reads them, of all processes that count together, and the content type."""
        from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
        from prometheus_client.multiprocess import MultiProcessCollector

        self.flush()
        registry = self.registry
        if os.environ.get(FOLDER_VARIABLE):
            registry = CollectorRegistry()
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        shared = CollectorRegistry(auto_describe=False)
        for read in self._readers:
            shared.register(_Collector(read, datetime.now(UTC)))
        return generate_latest(registry) + generate_latest(shared), CONTENT_TYPE_LATEST

    def _label(self, environ: Environ) -> str:
        path = str(environ.get("PATH_INFO", ""))
        if self._paths is None:
            # Not before: routes are still registered when this object is made.
            self._paths = frozenset(
                rule.rule for rule in self._app.url_map.iter_rules() if not rule.arguments
            )
        if path in self._paths:
            return path
        return environ.get(RULE) or OTHER


class _Collector:
    """A reader in the form that a registry takes."""

    def __init__(self, read: Reader, now: datetime) -> None:
        self._read = read
        self._now = now

    def collect(self) -> Iterable[Metric]:
        return self._read(self._now)


def _after_fork(metrics: Metrics | None) -> None:
    if metrics is not None:
        metrics.forget_notes()
