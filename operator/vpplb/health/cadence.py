"""When the next probe of a backend starts.

From start to start, never faster than asked: `interval` when the counter is full,
`downInterval` when it is 0, `fastInterval` otherwise and before the first result (HAProxy's
inter, downinter, fastinter). Each wait is jittered, so that checks that started together do
not stay together.

Starts lie on a grid finer than the jitter. Waking up costs more than a probe does, and with a
grid one awakening serves several checks, where jitter alone would scatter them. The coarser it
is the less a probe costs; but those that begin at one moment wait for each other. A connection
takes so long that a grid of 32 ms is for waits from 1.6 s on; an echo request takes little.
"""

import math
from collections import Counter
from datetime import timedelta
from itertools import accumulate

from vpplb.health.machine import HealthCounter
from vpplb.model.check import ProbeCadence

JITTER = 0.1
"""Each wait varies by this share of itself, up or down."""

FIRST_PROBES = 1000
"""First probes a second, of checks that start together: TLS handshakes at that rate fill a core."""

_GRIDS = ((0.032, 1.6), (0.016, 0.4), (0.008, 0.2), (0.004, 0.1), (0.002, 0.05), (0.001, 0.025))
"""Grids and the least wait that each is for, in seconds."""
_ICMP_GRIDS = tuple((grid, grid * 12.5) for grid, _ in _GRIDS)
"""The same for echo requests."""


def mean_wait(cadence: ProbeCadence, counter: HealthCounter) -> timedelta:
    """Return the time from one probe's start to the next one's, before jitter."""
    if not counter.is_settled:
        return cadence.fast_interval
    return cadence.interval if counter.is_healthy else cadence.down_interval


def grid_of(wait: float, *, icmp: bool = False) -> float:
    """Return the grid for waits of this mean, in seconds, 0 for none; `icmp`: of ICMP probes.

    At most a twenty-fifth of the wait, for echo requests two. Of powers of two only, so that
    checks of different intervals meet.
    """
    grids = _ICMP_GRIDS if icmp else _GRIDS
    return next((grid for grid, least in grids if wait >= least), 0.0)


def next_start(started: float, wait: float, grid: float, random: float) -> float:
    """Return when the probe after the one that began at `started` begins.

    All in seconds; `random` is uniform in [0, 1). The result lies within JITTER of the mean
    wait, both ends included.
    """
    jittered = started + wait * (1 - JITTER) + (2 * JITTER * wait - grid) * random
    if not grid:
        return jittered
    return math.ceil(jittered / grid) * grid


def first_wait(cadence: ProbeCadence, position: int, of: int, *, known: bool) -> timedelta:
    """Spread `of` checks that start together; a single one starts at once.

    Those whose verdict is `known` have the whole interval. What is unknown is probed soon: within
    a second, or if there are more than FIRST_PROBES with so many a second.
    """
    if known:
        return cadence.interval * position / of
    soon = max(timedelta(seconds=1), timedelta(seconds=of / FIRST_PROBES))
    return min(cadence.interval, soon) * position / of


def first_verdict_time(cadence: ProbeCadence, checks: int) -> timedelta:
    """Return within which time one of so many new checks has its verdict."""
    return timedelta(seconds=max(1.0, checks / FIRST_PROBES)) + cadence.timeout


def detection_time(cadence: ProbeCadence) -> timedelta:
    """Return how long a backend that falls silent may still be up: `fall` probes in time-outs."""
    again = max(cadence.fast_interval * (1 + JITTER), cadence.timeout)
    return cadence.interval * (1 + JITTER) + again * (cadence.fall - 1) + cadence.timeout


class DetectionWindow:
    """Within how many seconds nine in ten of the checks notice what happens to all at once."""

    def __init__(self) -> None:
        self._times: Counter[float] = Counter()
        self._seconds: float | None = 0.0  # None: to be computed anew

    def add_check(self, cadence: ProbeCadence) -> None:
        self._times[detection_time(cadence).total_seconds()] += 1
        self._seconds = None

    def remove_check(self, cadence: ProbeCadence) -> None:
        self._times[detection_time(cadence).total_seconds()] -= 1
        self._seconds = None

    @property
    def seconds(self) -> float:
        """The window; 0 without a check."""
        if self._seconds is None:
            ordered, needed = sorted(self._times), 0.9 * self._times.total()
            seen = accumulate(self._times[one] for one in ordered)
            noticed = (one for one, n in zip(ordered, seen, strict=True) if n >= needed)
            self._seconds = next(noticed, 0.0)
        return self._seconds


def return_time(cadence: ProbeCadence) -> timedelta:
    """Return within which time a backend that is down has been probed twice, with the results."""
    first = max(cadence.down_interval * (1 + JITTER), cadence.timeout)
    longest = max(cadence.interval, cadence.fast_interval, cadence.down_interval)
    return first + max(longest * (1 + JITTER), cadence.timeout) + cadence.timeout
