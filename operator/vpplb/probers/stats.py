"""Counts what probes do, between two reports."""

from bisect import bisect_left
from collections import Counter

from vpplb.model.health import ProbeCode
from vpplb.reconcile.ports import DURATION_BUCKETS, LATENESS_BUCKETS, ProbeStats


class TimeHistogram:
    """A histogram: counts by bucket (the last one is the rest), sum and maximum in seconds."""

    __slots__ = ("_bounds", "counts", "total", "worst")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0
        self.worst = 0.0

    def add_value(self, seconds: float) -> None:
        """Count one value; one equal to a bound belongs below it."""
        self.counts[bisect_left(self._bounds, seconds)] += 1
        self.total += seconds
        self.worst = max(self.worst, seconds)


class ProbeStatistics:
    """Counters of a worker since its last report. `lateness`: of the starts of probes."""

    def __init__(self) -> None:
        self._of_type: dict[str, tuple[Counter[ProbeCode], TimeHistogram]] = {}
        self.lateness = TimeHistogram(LATENESS_BUCKETS)
        self._discarded: Counter[str] = Counter()

    def count_result(self, kind: str, code: ProbeCode, seconds: float) -> None:
        """Count a result of a probe of this type, and how long it took."""
        found = self._of_type.get(kind)
        if found is None:
            found = self._of_type[kind] = (Counter(), TimeHistogram(DURATION_BUCKETS))
        results, durations = found
        results[code] += 1
        durations.add_value(seconds)

    def count_discard(self, reason: str) -> None:
        self._discarded[reason] += 1

    def take_counts(self) -> ProbeStats | None:
        """Return what was counted and begin anew; None if that is nothing."""
        if not self._of_type and not self._discarded and not any(self.lateness.counts):
            return None
        taken = ProbeStats(
            results={
                (kind, code.value): count
                for kind, (results, _) in self._of_type.items()
                for code, count in results.items()
            },
            durations={
                kind: (each.counts, each.total) for kind, (_, each) in self._of_type.items()
            },
            lateness=(self.lateness.counts, self.lateness.total),
            discarded=self._discarded,
        )
        self._of_type = {}
        self._discarded = Counter()
        self.lateness = TimeHistogram(LATENESS_BUCKETS)
        return taken
