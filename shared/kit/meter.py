"""What a service counts, once for /metrics and for /stats."""

from __future__ import annotations

from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

BUCKETS_S = (0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


class Meter:
    """Counters, gauges and histograms of one service, named `trade2026_<service>_<what>`."""

    def __init__(self, service: str) -> None:
        self._prefix = f"trade2026_{service.replace('-', '_')}_"
        self._registry = CollectorRegistry()
        self._counters: dict[str, Counter] = {}
        self._gauges: dict[str, Gauge] = {}
        self._histograms: dict[str, Histogram] = {}
        self._totals: dict[str, float] = {}
        self._labelled: dict[tuple[object, ...], Any] = {}

    def count(self, what: str, n: float = 1, **labels: str) -> None:
        """Add to a counter; the sum over all labels is what /stats shows."""
        counter = self._counters.get(what)
        if counter is None:
            counter = Counter(self._prefix + what, what, tuple(labels), registry=self._registry)
            self._counters[what] = counter
        self._of(counter, what, labels).inc(n)
        self._totals[what] = self._totals.get(what, 0) + n

    def gauge(self, what: str, value: float, **labels: str) -> None:
        """Set a gauge."""
        gauge = self._gauges.get(what)
        if gauge is None:
            gauge = self._gauges[what] = Gauge(self._prefix + what, what, tuple(labels), registry=self._registry)
        self._of(gauge, what, labels).set(value)

    def observe(self, what: str, seconds: float, **labels: str) -> None:
        """Note a duration in seconds."""
        histogram = self._histograms.get(what)
        if histogram is None:
            histogram = Histogram(self._prefix + what, what, tuple(labels), registry=self._registry, buckets=BUCKETS_S)
            self._histograms[what] = histogram
        self._of(histogram, what, labels).observe(seconds)

    def _of(self, metric: Any, what: str, labels: dict[str, str]) -> Any:
        """The metric under its labels; the library's own look-up sorts and checks them each time."""
        if not labels:
            return metric
        key = (what, *labels.items())
        found = self._labelled.get(key)
        if found is None:
            found = self._labelled[key] = metric.labels(**labels)
        return found

    @property
    def totals(self) -> dict[str, int | float]:
        """Every counter's sum since the process began."""
        return {what: int(n) if n == int(n) else n for what, n in sorted(self._totals.items())}

    def exposition(self) -> bytes:
        """The Prometheus text format."""
        return generate_latest(self._registry)
