"""Numbers for Prometheus: notifications by channel and verdict."""

from __future__ import annotations

from functools import cache
from typing import Any


def count_notice(channel: str, verdict: str) -> None:
    """Count one notification."""
    _notices().labels(channel, verdict).inc()


@cache
def _notices() -> Any:
    # Imported late: the package reads where processes count together when it is imported.
    from prometheus_client.metrics import Counter

    return Counter(
        "datingtoday_pay_notices",
        "Notifications of payment providers.",
        ("channel", "verdict"),
        registry=None,
    )
