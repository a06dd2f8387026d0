"""What somebody else changes again and again: it is repaired ever later, and said.

Two that undo each other's work at each sync would recreate VIPs, and cut their flows, for ever.
"""

from collections.abc import Hashable
from dataclasses import dataclass

from vpplb.model.backoff import backoff_seconds

FREE_REPAIRS = 3
"""Repairs at once, before they come later."""
LAST_DELAY = 600.0
"""Seconds from one repair to the next at most."""
FORGET_AFTER = 1800.0
"""Seconds after a repair in which nobody has changed anything: then it counts from the start."""


@dataclass(slots=True)
class _RepairHistory:
    times: int
    first: float
    last: float


class ContentionTracker:
    """Remembers the repairs. `interval` is the seconds between two looks at VPP."""

    def __init__(self, interval: float) -> None:
        self._interval = interval
        self._repairs: dict[Hashable, _RepairHistory] = {}

    def defer_repair(self, what: Hashable, now: float) -> str:
        """Say why what was changed once more is not repaired now; empty: it is, and counts."""
        history = self._repairs.get(what)
        if history is None or now - history.last > FORGET_AFTER:
            self._repairs[what] = _RepairHistory(1, now, now)
            return ""
        delay = self._repair_delay(history.times)
        # VPP is looked at once an interval: half of one too early is nearer than half too late.
        if now - history.last >= delay - self._interval / 2:
            history.times += 1
            history.last = now
            return ""
        minutes = (history.last - history.first) / 60
        return (
            f"something else keeps changing it: repaired {history.times} times in"
            f" {minutes:.0f} min, next {delay:.0f} s after the last"
        )

    def _repair_delay(self, times: int) -> float:
        return backoff_seconds(times - FREE_REPAIRS + 1, 2 * self._interval, LAST_DELAY)
