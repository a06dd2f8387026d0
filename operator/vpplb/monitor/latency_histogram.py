"""Latencies in buckets: as much memory for a week as for a minute, quantiles within a hundredth."""

from bisect import bisect_left
from collections.abc import Sequence
from math import ceil, exp, inf, log

_FINEST = 1e-6
_STEP = log(1.01)  # each bucket is so much wider than the one before


class LatencyHistogram:
    """Latencies in seconds. `total` is their sum, `lowest` and `highest` are exact."""

    __slots__ = ("_buckets", "count", "highest", "lowest", "total")

    def __init__(self) -> None:
        self._buckets: dict[int, int] = {}
        self.count = 0
        self.total = 0.0
        self.lowest = inf
        self.highest = 0.0

    def add_latency(self, seconds: float) -> None:
        bucket = ceil(log(max(seconds, _FINEST) / _FINEST) / _STEP)
        self._buckets[bucket] = self._buckets.get(bucket, 0) + 1
        self.count += 1
        self.total += seconds
        self.lowest = min(self.lowest, seconds)
        self.highest = max(self.highest, seconds)

    def find_quantiles(self, parts: Sequence[float]) -> list[float | None]:
        """Return for each part (0 to 1, ascending) the latency that so many do not exceed.

        None when there is none. By nearest rank: the p99 of less than a hundred is the highest.
        Never beyond what was measured, however wide a bucket is.
        """
        found: list[float | None] = []
        buckets, seen, reached = iter(sorted(self._buckets.items())), 0, 0
        for part in parts if self.count else ():
            wanted = max(1, ceil(part * self.count))
            while seen < wanted:
                reached, count = next(buckets)
                seen += count
            found.append(min(max(_upper_bound(reached), self.lowest), self.highest))
        return found or [None] * len(parts)

    def count_between(self, bounds: Sequence[float]) -> list[int]:
        """Count by these upper bounds, ascending; the last number is of what exceeds all."""
        counts = [0] * (len(bounds) + 1)
        for bucket, count in self._buckets.items():
            counts[bisect_left(bounds, min(_upper_bound(bucket), self.highest))] += count
        return counts


def _upper_bound(bucket: int) -> float:
    return _FINEST * exp(bucket * _STEP)
