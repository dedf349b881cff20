"""Numbers of a push process for Prometheus, read through `/metrics` of an API process on the same host.

The processes of a host count into one folder (see `protocol/metrics.py`); without it nothing is counted.
"""

from __future__ import annotations

import os
from collections import Counter

import structlog

from datingtoday.infra.metric_declarations import declare, process_counter, process_gauge
from datingtoday.protocol.metrics import FOLDER_VARIABLE

log = structlog.get_logger(__name__)

CONNECTIONS = declare(
    "datingtoday_push_connections",
    "gauge",
    en="Open push connections of this host that have authenticated.",
    zh="本机已认证的推送连接数。",
)
OUTCOMES = declare(
    "datingtoday_push",
    "counter",
    en="Push connections and events by outcome: connected, refused, kicked, cut (the client read too little), "
    "delivered (events), typed, malformed (messages in Redis that are no events).",
    zh="推送连接与事件，按结果：connected、refused、kicked、cut（客户端读取过慢）、delivered（事件）、typed、"
    "malformed（Redis 中无法识别的消息）。",
    labels=("outcome",),
)
LAG = declare(
    "datingtoday_push_lag_seconds",
    "gauge",
    en="Time from publishing an event to its receipt in the slowest push process of this host, by a probe every 5 s.",
    zh="事件从发布到本机最慢的推送进程收到的秒数，每 5 秒探测一次。",
)


class PushMetrics:
    """Passes the gateway's counts on; does nothing where the processes do not count together."""

    def __init__(self) -> None:
        self._seen: Counter[str] = Counter()
        self.is_on = bool(os.environ.get(FOLDER_VARIABLE))
        if not self.is_on:
            return
        self._connections = process_gauge(CONNECTIONS, "livesum")
        self._lag = process_gauge(LAG, "livemax")
        self._outcomes = process_counter(OUTCOMES)

    def update(self, counts: Counter[str], connections: int, lag_s: float) -> None:
        """Add what was counted since the last time."""
        if not self.is_on:
            return
        try:
            for outcome, number in counts.items():
                self._outcomes.labels(outcome).inc(number - self._seen[outcome])
            self._connections.set(connections)
            self._lag.set(lag_s)
        except (OSError, ValueError) as error:
            log.error("push_metrics_failed", reason=str(error))
        self._seen = Counter(counts)
