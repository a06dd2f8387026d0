"""How late a probing process was of late."""

import time
from collections import deque
from collections.abc import Callable

from vpplb.probers.worker_messages import REPORT_EVERY

WINDOW = 30.0
"""Seconds for which the worst counts."""


class LatenessRecord:
    """What a process says of itself; and where it says nothing, for how long that is overdue.

    So one that hangs is late as one that has too much to do, and one that ended until its successor
    probes.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._heard = clock()
        self._seen: deque[tuple[float, float]] = deque()

    def note_report(self, seconds: float) -> None:
        """Take a report: since the last one probes started so late at worst."""
        late = max(seconds, self._count_overdue())
        self._heard = self._clock()
        self._seen.append((self._heard, late))
        self._forget_old()

    def worst_seconds(self) -> float:
        self._forget_old()
        return max(self._count_overdue(), *(seconds for _, seconds in self._seen), 0.0)

    def _count_overdue(self) -> float:
        return self._clock() - self._heard - REPORT_EVERY

    def _forget_old(self) -> None:
        while self._seen and self._seen[0][0] < self._clock() - WINDOW:
            self._seen.popleft()
