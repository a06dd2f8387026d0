"""What a metric is declared by, and what is made of it: for the catalogue."""

from dataclasses import dataclass
from typing import Literal

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

# Otherwise every counter has a second series `…_created`, which nobody asked for.
disable_created_metrics()  # type: ignore[no-untyped-call]  # prometheus_client has no type here


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricSpec:
    """A metric. A counter's name ends in `_total`; `buckets` are upper bounds in its unit."""

    name: str
    type: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()

    def make_counter(self, registry: CollectorRegistry) -> Counter:
        """Make the counter of this name in a registry."""
        return Counter(self.name, self.help, self.labels, registry=registry)

    def make_gauge(self, registry: CollectorRegistry) -> Gauge:
        """Make the gauge of this name in a registry."""
        return Gauge(self.name, self.help, self.labels, registry=registry)

    def make_histogram(self, registry: CollectorRegistry) -> Histogram:
        """Make the histogram of this name in a registry."""
        return Histogram(self.name, self.help, self.labels, buckets=self.buckets, registry=registry)

    def counter_family(self) -> CounterMetricFamily:
        """Make an empty family for a collector that is read at scrape time."""
        return CounterMetricFamily(self.name, self.help, labels=self.labels)

    def gauge_family(self) -> GaugeMetricFamily:
        """Make an empty family for a collector that is read at scrape time."""
        return GaugeMetricFamily(self.name, self.help, labels=self.labels)

    def histogram_family(self) -> HistogramMetricFamily:
        """Make an empty family for a collector that is read at scrape time."""
        return HistogramMetricFamily(self.name, self.help, labels=self.labels)
