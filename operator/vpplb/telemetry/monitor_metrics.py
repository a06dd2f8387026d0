"""What `vpplb monitor` has seen of VIPs, as metrics."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from vpplb.telemetry import catalog
from vpplb.telemetry.metrics import HistogramSums, MetricsRegistry


class MonitoredVip(NamedTuple):
    """What `vpplb monitor` has counted of a VIP: by result, by why there was no probe, by server.

    `durations` are counts by DURATION_BUCKETS, not accumulated, and their sum in seconds.
    """

    vip: str
    results: Mapping[str, int]
    unprobed: Mapping[str, int]
    servers: Mapping[str, int]
    durations: tuple[Sequence[int], float]
    spells: int
    failing: bool


@dataclass(slots=True, eq=False)
class _MonitorCollector(Collector):
    figures: Callable[[], Sequence[MonitoredVip]]

    def collect(self) -> Iterator[Metric]:
        probes = catalog.MONITOR_PROBES.make_family()
        durations = catalog.MONITOR_DURATION.make_family()
        unprobed = catalog.MONITOR_UNPROBED.make_family()
        answers = catalog.MONITOR_ANSWERS.make_family()
        spells = catalog.MONITOR_SPELLS.make_family()
        failing = catalog.MONITOR_FAILING.make_family()
        for one in self.figures():
            labelled = ((probes, one.results), (unprobed, one.unprobed), (answers, one.servers))
            for family, counts in labelled:
                for name, count in counts.items():
                    family.add_metric((one.vip, name), count)
            buckets, seconds = one.durations
            sums = HistogramSums(list(buckets), seconds)
            sums.put_into(durations, (one.vip,), catalog.MONITOR_DURATION.buckets)
            spells.add_metric((one.vip,), one.spells)
            failing.add_metric((one.vip,), one.failing)
        yield from (probes, durations, unprobed, answers, spells, failing)


def register_monitor(
    registry: MetricsRegistry, figures: Callable[[], Sequence[MonitoredVip]]
) -> None:
    """Show what is seen of VIPs from outside; asked at scrape time."""
    registry.register(_MonitorCollector(figures))
