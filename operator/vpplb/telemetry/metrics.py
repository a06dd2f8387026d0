"""The metrics of the programs, each with a registry of its own.

Nothing here is looked up by label while probing: workers count by themselves and hand in
`ProbeStats` now and then, and what is per object is read from its owner when somebody scrapes.
"""

import platform
from collections import Counter as Tally
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache, partial
from itertools import accumulate

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector

from vpplb import __version__
from vpplb.model.clock import SystemClock
from vpplb.model.health import HealthTransition, ProbeCode
from vpplb.model.names import ObjectKey
from vpplb.plan.ops import ChangeKind
from vpplb.reconcile.ports import ProbeStats
from vpplb.telemetry import catalog
from vpplb.telemetry.object_metrics import ObjectView, object_series

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4


class MetricsRegistry(CollectorRegistry):
    """The metrics of a program. `sections` write series as text when somebody scrapes."""

    def __init__(self, program: str) -> None:
        super().__init__(auto_describe=False)
        self.sections: list[Callable[[], Iterable[str]]] = []
        ProcessCollector(registry=self)
        info = catalog.BUILD_INFO.make_metric(self)
        info.labels(program, __version__, platform.python_version()).set(1)

    def render_pieces(self) -> Iterator[bytes]:
        """Write everything in Prometheus's text format (`CONTENT_TYPE`), in small pieces."""
        yield generate_latest(self)
        for section in self.sections:
            for line in section():
                yield line.encode()


@dataclass(slots=True)
class HistogramSums:
    """A histogram's counts, not accumulated, the last for what exceeds all bounds; and its sum."""

    counts: list[int] = field(default_factory=list)
    seconds: float = 0.0

    def add_counts(self, counts: Sequence[int], seconds: float) -> None:
        own = self.counts or [0] * len(counts)
        self.counts = [mine + more for mine, more in zip(own, counts, strict=True)]
        self.seconds += seconds

    def put_into(
        self, family: HistogramMetricFamily, labels: Sequence[str], bounds: Sequence[float]
    ) -> None:
        names = [*map(str, bounds), "+Inf"]
        counts = self.counts or [0] * len(names)
        buckets = list(zip(names, map(float, accumulate(counts)), strict=True))
        family.add_metric(labels, buckets, self.seconds)


@dataclass(slots=True, eq=False)
class _ProbeCollector(Collector):
    """Sums of what the workers have counted."""

    results: Tally[tuple[str, str]] = field(default_factory=Tally)
    discarded: Tally[str] = field(default_factory=Tally)
    durations: dict[str, HistogramSums] = field(default_factory=dict)
    lateness: HistogramSums = field(default_factory=HistogramSums)

    def add_stats(self, stats: ProbeStats) -> None:
        self.results.update(stats.results)
        self.discarded.update(stats.discarded)
        for type_, (counts, seconds) in stats.durations.items():
            self.durations.setdefault(type_, HistogramSums()).add_counts(counts, seconds)
        self.lateness.add_counts(*stats.lateness)

    def collect(self) -> Iterator[Metric]:
        probes = catalog.PROBES.make_family()
        for (type_, code), count in self.results.items():
            probes.add_metric((type_, code, "pass" if ProbeCode(code).is_pass else "fail"), count)
        yield probes
        discarded = catalog.PROBES_DISCARDED.make_family()
        for reason, count in self.discarded.items():
            discarded.add_metric((reason,), count)
        yield discarded
        durations = catalog.PROBE_DURATION.make_family()
        for type_, sums in self.durations.items():
            sums.put_into(durations, (type_,), catalog.PROBE_DURATION.buckets)
        yield durations
        lateness = catalog.PROBE_LATENESS.make_family()
        self.lateness.put_into(lateness, (), catalog.PROBE_LATENESS.buckets)
        yield lateness


@dataclass(slots=True, eq=False)
class _DecisionCollector(Collector):
    """When something was decided; transitions by backend, so that those of a deleted one go."""

    decided_at: datetime | None = None
    tallies: dict[ObjectKey, Tally[tuple[str, str]]] = field(default_factory=dict)

    def note_decision(self) -> None:
        self.decided_at = SystemClock().now()

    def collect(self) -> Iterator[Metric]:
        family = catalog.BACKEND_TRANSITIONS.make_family()
        for (namespace, name), tally in self.tallies.items():
            for (from_state, to_state), count in tally.items():
                family.add_metric((namespace, name, from_state, to_state), count)
        yield family
        at = self.decided_at
        yield make_gauge(catalog.LAST_DECISION, None if at is None else at.timestamp())


class DecisionMetrics:
    """The metrics of whoever probes and decides. All methods are cheap and never fail."""

    def __init__(self, registry: MetricsRegistry, view: ObjectView) -> None:
        self._probes = _ProbeCollector()
        self._decisions = _DecisionCollector()
        registry.register(self._probes)
        registry.register(self._decisions)
        registry.sections.append(partial(object_series, view))
        self.set_prober_suspect = catalog.PROBER_SUSPECT.make_metric(registry).set

    def record_stats(self, stats: ProbeStats) -> None:
        """Add what a worker has counted since its last report."""
        self._probes.add_stats(stats)

    @property
    def decided_at(self) -> datetime | None:
        """When something was decided last; None for never."""
        return self._decisions.decided_at

    def record_decision(self) -> None:
        """Take note that something is decided now."""
        self._decisions.note_decision()

    def record_transition(self, transition: HealthTransition) -> None:
        tally = self._decisions.tallies.setdefault(transition.backend, Tally())
        tally[transition.from_state, transition.to_state] += 1

    def forget_backend(self, key: ObjectKey) -> None:
        self._decisions.tallies.pop(key, None)


class OperatorMetrics:
    """The metrics of an operator in a cluster. All methods are cheap and never fail."""

    def __init__(self, registry: MetricsRegistry) -> None:
        self._status_writes = catalog.STATUS_WRITES.make_metric(registry)
        self._status_mended = catalog.STATUS_MENDED.make_metric(registry)
        delays = catalog.TRANSITION_TO_STATUS.make_metric(registry)
        self.observe_transition_to_status = delays.observe
        to_vpp = catalog.DECISION_TO_VPP.make_metric(registry)
        self._to_vpp = cache(to_vpp.labels)
        self.record_event_dropped = catalog.EVENTS_DROPPED.make_metric(registry).inc
        self.set_leader = catalog.LEADER.make_metric(registry).set

    def record_status_write(self, kind: str, result: str) -> None:
        self._status_writes.labels(kind, result).inc()

    def record_status_mended(self, kind: str) -> None:
        self._status_mended.labels(kind).inc()

    def observe_decision_to_vpp(self, road: str, seconds: float) -> None:
        self._to_vpp(road).observe(seconds)


def make_gauge(spec: catalog.GaugeSpec, value: float | None) -> Metric:
    """Make a gauge without labels, for a collector; None: it has no value at present."""
    family = spec.make_family()
    if value is not None:
        family.add_metric((), value)
    return family


def make_gauges(spec: catalog.GaugeSpec, values: Mapping[str, float]) -> Metric:
    """Make a gauge that has one label, from the values by that, for a collector."""
    family = spec.make_family()
    for label, value in values.items():
        family.add_metric((label,), value)
    return family


class AgentMetrics:
    """The metrics of whoever programs VPP. All methods are cheap and never fail."""

    def __init__(self, registry: MetricsRegistry) -> None:
        self._connected = catalog.VPP_CONNECTED.make_metric(registry)
        self._info = catalog.VPP_INFO.make_metric(registry)
        self.set_leftovers = catalog.VPP_LEFTOVERS.make_metric(registry).set
        calls = catalog.VPP_API_CALLS.make_metric(registry)
        self._calls = cache(lambda message, retval: calls.labels(message, str(retval)))
        self._changes = catalog.SYNC_CHANGES.make_metric(registry)
        self.observe_sync = catalog.SYNC_DURATION.make_metric(registry).observe
        self.record_drift = catalog.DRIFT_REPAIRS.make_metric(registry).inc
        self.set_programmed = catalog.PROGRAMMED_FRONTENDS.make_metric(registry).set
        self.set_contested = catalog.CONTESTED_PREFIXES.make_metric(registry).set
        self.set_strange = catalog.STRANGE_VIPS.make_metric(registry).set
        for kind in ChangeKind:
            self._changes.labels(kind)  # counted from 0, so that the first change is seen

    def set_connected(self, connected: bool, version: str = "") -> None:
        self._connected.set(connected)
        self._info.clear()
        if version:
            self._info.labels(version).set(1)

    def record_call(self, message: str, retval: int) -> None:
        self._calls(message, retval).inc()

    def record_change(self, kind: ChangeKind, count: int) -> None:
        self._changes.labels(kind).inc(count)
