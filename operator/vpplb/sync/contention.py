"""What somebody else changes again and again: it is repaired ever later, and said.

Two that undo each other's work at each sync would recreate VIPs, and cut their flows, for ever.
"""

from collections.abc import Hashable
from dataclasses import dataclass

from vpplb.model.backoff import backoff_seconds

FREE = 3
"""Repairs at once, before they come later."""
LAST_DELAY = 600.0
"""Seconds from one repair to the next at most."""
FORGET = 1800.0
"""Seconds after a repair in which nobody has changed anything: then the quarrel is over."""


@dataclass(slots=True)
class _Quarrel:
    times: int
    first: float
    last: float


class Quarrels:
    """Quarrels by what they are about. `interval` is the seconds between two looks at VPP."""

    def __init__(self, interval: float) -> None:
        self._interval = interval
        self._known: dict[Hashable, _Quarrel] = {}

    def repair(self, what: Hashable, now: float) -> str:
        """Say why what was changed once more is not repaired now; empty: it is, and counts."""
        quarrel = self._known.get(what)
        if quarrel is None or now - quarrel.last > FORGET:
            self._known[what] = _Quarrel(1, now, now)
            return ""
        delay = self._delay(quarrel.times)
        if now - quarrel.last >= delay - self._interval / 2:
            quarrel.times += 1
            quarrel.last = now
            return ""
        minutes = (quarrel.last - quarrel.first) / 60
        return (
            f"something else keeps changing it: repaired {quarrel.times} times in"
            f" {minutes:.0f} min, next {delay:.0f} s after the last"
        )

    def _delay(self, times: int) -> float:
        return backoff_seconds(times - FREE + 1, 2 * self._interval, LAST_DELAY)
