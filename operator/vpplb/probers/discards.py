"""Which results are discarded since the prober itself is to blame, and for how long (decision 22).

A timeout during which the prober did not run, or a probe that could not begin, says nothing
about the backend. But if none is believed, a dead backend stays up for as long as the prober is
short of something. So there is a bound: after some in a row they count again.
"""

import logging
from collections import Counter
from collections.abc import Callable, Mapping
from math import inf

from vpplb.model.names import ObjectKey
from vpplb.probers.errors import Lack

_log = logging.getLogger(__name__)

_COMPLAINT_EVERY = 60.0
IN_A_ROW = 3
"""So many results of one check are discarded in a row."""
UNPROBED = 60.0
"""And for so many seconds, if nothing was sent at all."""


class _Streak:
    """Probes of one check without a result, one after the other."""

    __slots__ = ("count", "lack", "since")

    def __init__(self, since: float) -> None:
        self.count = 0
        self.since = since
        self.lack = Lack.CPU


class Discards:
    """The checks of a worker whose last probes had no result. Times are of any steady clock."""

    def __init__(self) -> None:
        self._streaks: dict[ObjectKey, _Streak] = {}

    def excuses(self, check: ObjectKey, lack: Lack, now: float) -> bool:
        """Take note of a probe without a result; return whether that does not count."""
        streak = self._streaks.get(check)
        if streak is None:
            streak = self._streaks[check] = _Streak(now)
        streak.count += 1
        streak.lack = lack
        patience = 0.0 if lack is Lack.CPU else UNPROBED
        return streak.count <= IN_A_ROW or now - streak.since < patience

    def end(self, check: ObjectKey) -> None:
        """Take note of a result."""
        self._streaks.pop(check, None)

    def lasting(self) -> Mapping[Lack, int]:
        """Return how many checks have been without a result several times in a row, by why."""
        return Counter(each.lack for each in self._streaks.values() if each.count >= IN_A_ROW)


class Complaints:
    """The log of what the prober itself is short of: each at most once a minute."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._logged: dict[str, float] = {}

    def log(self, text: str) -> None:
        """Log it, unless that was done a moment ago."""
        now = self._clock()
        if now - self._logged.get(text, -inf) >= _COMPLAINT_EVERY:
            self._logged[text] = now
            _log.warning("probes discarded: %s", text)
