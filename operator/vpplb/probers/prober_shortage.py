"""Which results are discarded since the prober itself is to blame, and for how long (decision 22).

A timeout during which the prober did not run, or a probe that could not begin, says nothing
about the backend. But if none is believed, a dead backend stays up for as long as the prober is
short of something. So there is a bound: after some in a row they count again.
"""

import logging
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import inf

from vpplb.model.names import ObjectKey
from vpplb.probers.errors import ShortageKind

_log = logging.getLogger(__name__)

_COMPLAINT_EVERY = 60.0
IN_A_ROW = 3
"""So many results of one check are discarded in a row."""
UNPROBED = 60.0
"""And for so many seconds, if nothing was sent at all."""


SHORTEST_GAP = 0.001
"""Gaps up to this are the work of any loop and not worth a note, in seconds."""


class ListeningGaps:
    """The gaps in which nobody listened to the sockets.

    Only gaps that may still be the longest since some moment are kept: those that came before
    a longer one are forgotten, so what is kept gets shorter towards the end.
    """

    def __init__(self) -> None:
        self._gaps: deque[tuple[float, float]] = deque()

    def note_gap(self, *, ended: float, seconds: float) -> None:
        """Take note of a gap that ended then and lasted so long."""
        while self._gaps and self._gaps[-1][1] <= seconds:
            self._gaps.pop()
        self._gaps.append((ended, seconds))

    def longest_since(self, moment: float) -> float:
        """Return how long the longest gap after that moment was, 0 if there was none.

        Of a gap that had begun before, only what came after counts.
        """
        return max(
            (min(seconds, ended - moment) for ended, seconds in self._gaps if ended > moment),
            default=0.0,
        )


@dataclass(slots=True)
class _ShortageStreak:
    """Probes of one check without a result, one after the other."""

    since: float
    count: int = 0
    shortage: ShortageKind = ShortageKind.CPU


class ShortageStreaks:
    """The checks of a worker whose last probes had no result. Times are of any steady clock."""

    def __init__(self) -> None:
        self._streaks: dict[ObjectKey, _ShortageStreak] = {}

    def may_discard(self, check: ObjectKey, shortage: ShortageKind, now: float) -> bool:
        """Take note of a probe without a result; return whether that does not count."""
        streak = self._streaks.get(check)
        if streak is None:
            streak = self._streaks[check] = _ShortageStreak(now)
        streak.count += 1
        streak.shortage = shortage
        patience = 0.0 if shortage is ShortageKind.CPU else UNPROBED
        return streak.count <= IN_A_ROW or now - streak.since < patience

    def end_streak(self, check: ObjectKey) -> None:
        self._streaks.pop(check, None)

    def count_lasting(self) -> Mapping[ShortageKind, int]:
        """Return how many checks have been without a result several times in a row, by why."""
        return Counter(each.shortage for each in self._streaks.values() if each.count >= IN_A_ROW)


class ShortageLog:
    """The log of what the prober itself is short of: each at most once a minute."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._logged: dict[str, float] = {}

    def log_shortage(self, text: str) -> None:
        """Log it, unless that was done a moment ago."""
        now = self._clock()
        if now - self._logged.get(text, -inf) >= _COMPLAINT_EVERY:
            self._logged[text] = now
            _log.warning("probes discarded: %s", text)
