"""Declarations of metrics: name, kind, labels and meaning, once for the code, the documentation and the checks.

A metric is made from its declaration; `docs/metrics.md` is generated from all of them, and a test compares dashboard
and alert rules with them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

from datingtoday.infra.text import Text

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

Mode = Literal["livesum", "livemax"]
"""The sum or the highest of the gauges of the processes that live."""
Kind = Literal["counter", "gauge", "histogram"]


@dataclass(frozen=True, slots=True)
class MetricDeclaration:
    """A metric.

    :param name: without the suffixes that Prometheus adds (``_total``, ``_bucket``, …).
    :param labels: names of the labels, in the order in which values are given.
    """

    name: str
    kind: Kind
    help: Text
    labels: tuple[str, ...] = ()

    @property
    def series(self) -> tuple[str, ...]:
        """Names of the series that Prometheus stores."""
        if self.kind == "counter":
            return (f"{self.name}_total",)
        if self.kind == "histogram":
            return (f"{self.name}_bucket", f"{self.name}_count", f"{self.name}_sum")
        return (self.name,)

    def counter(self, registry: CollectorRegistry | None) -> Any:
        """A counter that this process increments."""
        from prometheus_client.metrics import Counter

        return Counter(self.name, self.help.en, self.labels, registry=registry)

    def histogram(self, registry: CollectorRegistry | None, buckets: Sequence[float]) -> Any:
        """A histogram that this process observes."""
        from prometheus_client.metrics import Histogram

        return Histogram(self.name, self.help.en, self.labels, buckets=buckets, registry=registry)

    def gauge(self, registry: CollectorRegistry | None, mode: Mode) -> Any:
        """A gauge that each process sets; those of processes that have ended do not count."""
        from prometheus_client.metrics import Gauge

        return Gauge(self.name, self.help.en, self.labels, multiprocess_mode=mode, registry=registry)

    def family(self) -> Any:
        """An empty gauge family, filled when Prometheus asks."""
        from prometheus_client.core import GaugeMetricFamily

        return GaugeMetricFamily(self.name, self.help.en, labels=self.labels)


_making = threading.RLock()
_made: dict[str, Any] = {}
_declared: dict[str, MetricDeclaration] = {}


def declare(name: str, kind: Kind, *, en: str, zh: str, labels: tuple[str, ...] = ()) -> MetricDeclaration:
    """Declare a metric, at import.

    :raises ValueError: the name is taken, or does not begin with ``datingtoday_``.
    """
    if name in _declared or not name.startswith("datingtoday_"):
        raise ValueError(f"metric {name}: taken, or without the prefix datingtoday_")
    _declared[name] = MetricDeclaration(name, kind, Text(en, zh), labels)
    return _declared[name]


def declared_metrics() -> list[MetricDeclaration]:
    """All of them, by name."""
    return [_declared[name] for name in sorted(_declared)]


@cache
def process_registry() -> CollectorRegistry:
    """The registry of metrics that exist once in a process, whatever number of applications it has."""
    from prometheus_client import CollectorRegistry

    return CollectorRegistry()


def process_counter(declaration: MetricDeclaration) -> Any:
    """The process's counter. Made at first use: processes that count together name their folder before."""
    return _once(declaration, lambda: declaration.counter(process_registry()))


def process_gauge(declaration: MetricDeclaration, mode: Mode) -> Any:
    """The process's gauge, made at first use."""
    return _once(declaration, lambda: declaration.gauge(process_registry(), mode))


def _once(declaration: MetricDeclaration, make: Callable[[], Any]) -> Any:
    """Return the metric of a declaration, made once; several threads may be the first to ask."""
    with _making:
        if declaration.name not in _made:
            _made[declaration.name] = make()
        return _made[declaration.name]
