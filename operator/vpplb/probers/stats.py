"""Counts what probes do, between two reports."""

from bisect import bisect_left

from vpplb.engine.ports import DURATION_BUCKETS, LATENESS_BUCKETS, ProbeStats


class Tally:
    """A histogram: counts by bucket (the last one is the rest), and the sum in seconds."""

    __slots__ = ("_bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def add(self, seconds: float) -> None:
        """Count one value; one equal to a bound belongs below it."""
        self.counts[bisect_left(self._bounds, seconds)] += 1
        self.total += seconds


class Statistics:
    """Counters of a worker since its last report."""

    def __init__(self) -> None:
        self._results: dict[tuple[str, str], int] = {}
        self._durations: dict[str, Tally] = {}
        self._lateness = Tally(LATENESS_BUCKETS)

    def started(self, lateness: float) -> None:
        """Count the start of a probe, this many seconds late."""
        self._lateness.add(lateness)

    def finished(self, kind: str, code: str, seconds: float) -> None:
        """Count a result of a probe of this type, and how long it took."""
        key = kind, code
        self._results[key] = self._results.get(key, 0) + 1
        tally = self._durations.get(kind)
        if tally is None:
            tally = self._durations[kind] = Tally(DURATION_BUCKETS)
        tally.add(seconds)

    def take(self) -> ProbeStats | None:
        """Return what was counted and begin anew; None if that is nothing."""
        if not self._results and not any(self._lateness.counts):
            return None
        taken = ProbeStats(
            results=dict(self._results),
            durations={kind: (each.counts, each.total) for kind, each in self._durations.items()},
            lateness=(self._lateness.counts, self._lateness.total),
        )
        self.__init__()  # type: ignore[misc]
        return taken
