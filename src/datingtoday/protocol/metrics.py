"""Numbers for Prometheus: how many requests, with which outcome, how long they took.

Several processes count together through files in one folder, which `count_across_processes` names before the first
`Metrics` of a process is made; without that each process counts alone.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import structlog
from flask import Flask

from datingtoday.protocol.endpoint import RULE

log = structlog.get_logger(__name__)

FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
"""prometheus-client's own name for the folder; it is read when that package is imported."""
BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
OTHER = "other"
"""In place of a path that no endpoint has: what clients make up must not become a time series."""

Environ = dict[str, Any]
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
    """The counters of an application."""

    def __init__(self, app: Flask) -> None:
        from prometheus_client import CollectorRegistry
        from prometheus_client.metrics import Counter, Histogram

        self._app = app
        self._paths: frozenset[str] | None = None
        self.registry = CollectorRegistry()
        self._requests = Counter(
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
        # Looking a series up by its labels costs more than counting.
        self._series: dict[tuple[str, str, int], tuple[Any, Any]] = {}

    def observe(self, environ: Environ, status_line: str, elapsed_ns: int) -> None:
        """Count one answer. Never raises: what cannot be counted is logged."""
        key = (self._label(environ), status_line[:3], environ.get("datingtoday.code", 0))
        try:
            series = self._series.get(key)
            if series is None:
                requests = self._requests.labels(*map(str, key))
                series = self._series[key] = (requests.inc, self._seconds.labels(key[0]).observe)
            count, observe = series
            count()
            observe(elapsed_ns / 1e9)
        except (OSError, ValueError) as error:
            log.error("metrics_failed", reason=str(error))

    def text(self) -> tuple[bytes, str]:
        """What Prometheus reads, of all processes that count together, and its content type."""
        from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
        from prometheus_client.multiprocess import MultiProcessCollector

        registry = self.registry
        if os.environ.get(FOLDER_VARIABLE):
            registry = CollectorRegistry()
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry), CONTENT_TYPE_LATEST

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
