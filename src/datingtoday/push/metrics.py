"""Numbers of a push process for Prometheus, read through `/metrics` of an API process on the same host.

The processes of a host count into one folder (see `protocol/metrics.py`); without it nothing is counted.
"""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import structlog

from datingtoday.protocol.metrics import FOLDER_VARIABLE

log = structlog.get_logger(__name__)


class PushMetrics:
    """Passes the gateway's counts on; does nothing where the processes do not count together."""

    def __init__(self) -> None:
        self._seen: Counter[str] = Counter()
        self._is_on = bool(os.environ.get(FOLDER_VARIABLE))
        if not self._is_on:
            return
        _forget_dead_processes(Path(os.environ[FOLDER_VARIABLE]))
        from prometheus_client import CollectorRegistry, Gauge
        from prometheus_client.metrics import Counter as SeriesCounter

        registry = CollectorRegistry()
        self._connections = Gauge(
            "datingtoday_push_connections",
            "Open connections that have authenticated.",
            multiprocess_mode="livesum",
            registry=registry,
        )
        self._outcomes = SeriesCounter(
            "datingtoday_push",
            "connected, refused, kicked, cut (read too little), delivered (events), typed.",
            ("outcome",),
            registry=registry,
        )

    def update(self, counts: Counter[str], connections: int) -> None:
        """Add what was counted since the last time."""
        if not self._is_on:
            return
        try:
            for outcome, number in counts.items():
                self._outcomes.labels(outcome).inc(number - self._seen[outcome])
            self._connections.set(connections)
        except (OSError, ValueError) as error:
            log.error("push_metrics_failed", reason=str(error))
        self._seen = Counter(counts)


def _forget_dead_processes(folder: Path) -> None:
    """Connections of a process that was killed are closed."""
    for path in folder.glob("gauge_live*.db"):
        pid = path.stem.rpartition("_")[2]
        if not Path("/proc", pid).exists():
            path.unlink(missing_ok=True)
