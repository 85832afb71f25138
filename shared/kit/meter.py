"""What a service counts, once for /metrics and for /stats."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric, ProcessCollector, generate_latest
from prometheus_client.core import GaugeMetricFamily

BUCKETS_S = (0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
PREFIX, SERVICE = "trade2026_", "service"
NUMBERS = (int, float, Decimal)
STATED = (*NUMBERS, Mapping)


class Meter:
    """Counters, gauges and histograms of one service, named `trade2026_<what>`; the service is a label of each."""

    def __init__(self, service: str) -> None:
        self._service = service
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._counters: dict[str, Counter] = {}
        self._gauges: dict[str, Gauge] = {}
        self._histograms: dict[str, Histogram] = {}
        self._totals: dict[str, float] = {}
        self._labelled: dict[tuple[object, ...], Any] = {}

    def count(self, what: str, n: float = 1, **labels: str) -> None:
        """Add to a counter; the sum over all labels is what /stats shows."""
        counter = self._counters.get(what)
        if counter is None:
            counter = Counter(PREFIX + what, what, (SERVICE, *labels), registry=self._registry)
            self._counters[what] = counter
        self._of(counter, what, labels).inc(n)
        self._totals[what] = self._totals.get(what, 0) + n

    def gauge(self, what: str, value: float, **labels: str) -> None:
        """Set a gauge."""
        gauge = self._gauges.get(what)
        if gauge is None:
            gauge = self._gauges[what] = Gauge(PREFIX + what, what, (SERVICE, *labels), registry=self._registry)
        self._of(gauge, what, labels).set(value)

    def observe(self, what: str, seconds: float, **labels: str) -> None:
        """Note a duration in seconds."""
        histogram = self._histograms.get(what)
        if histogram is None:
            names = (SERVICE, *labels)
            histogram = Histogram(PREFIX + what, what, names, registry=self._registry, buckets=BUCKETS_S)
            self._histograms[what] = histogram
        self._of(histogram, what, labels).observe(seconds)

    def _of(self, metric: Any, what: str, labels: dict[str, str]) -> Any:
        """The metric under its labels; the library's own look-up sorts and checks them each time."""
        key = (what, *labels.items())
        found = self._labelled.get(key)
        if found is None:
            found = self._labelled[key] = metric.labels(self._service, *labels.values())
        return found

    @property
    def totals(self) -> dict[str, int | float]:
        """Every counter's sum since the process began."""
        return {what: int(n) if n == int(n) else n for what, n in sorted(self._totals.items())}

    def exposition(self, stated: Mapping[str, Any] | None = None) -> bytes:
        """The Prometheus text format: what was counted, and as gauges what is stated of this very moment.

        Stated is a number, numbers by name, or words by name: `modes: {"binance": "PAPER"}` becomes
        `trade2026_modes{of="binance",is="PAPER"} 1`. What is counted already is not said twice.
        """
        words = {what: value for what, value in (stated or {}).items() if what not in self._counters}
        now = CollectorRegistry()
        now.register(_Now([self._gauge(what, value) for what, value in words.items() if isinstance(value, STATED)]))
        return generate_latest(self._registry) + generate_latest(now)

    def _gauge(self, what: str, stated: Any) -> Metric:
        named: Mapping[str, Any] = stated if isinstance(stated, Mapping) else {}
        if not named:
            return self._family(what, () if isinstance(stated, Mapping) else (((), stated),))
        if all(isinstance(value, NUMBERS) for value in named.values()):
            return self._family(what, [((of,), value) for of, value in named.items()], "of")
        return self._family(what, [((of, str(value)), 1) for of, value in named.items()], "of", "is")

    def _family(self, what: str, samples: Iterable[tuple[tuple[str, ...], Any]], *names: str) -> Metric:
        family = GaugeMetricFamily(PREFIX + what, what, labels=(SERVICE, *names))
        for labels, value in samples:
            family.add_metric((self._service, *labels), float(value))
        return family


class _Now:
    """Metrics as they are at this moment, for a registry to collect."""

    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        return self._metrics
