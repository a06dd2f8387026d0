"""Tells in the log which agents are refused and why, so that nobody can fill it by being refused.

Whoever reaches the port can be refused as often as it likes, under any node's name.
"""

import logging
from collections import deque
from dataclasses import dataclass, field

log = logging.getLogger(__name__)

AGAIN = 3600.0
"""Seconds until what is told of a node is told again, unless it changes before."""
MOST_LINES = 100
"""Warnings in that time, and nodes that are remembered: those of which it was told last."""


@dataclass(slots=True, kw_only=True)
class RefusalLog:
    """Warns of each node's refusal once, until it changes or is over; `MOST_LINES` an hour in all.

    The first that is not told for that is told of as such; what goes untold is at level DEBUG.
    """

    _told: dict[str, tuple[str, float]] = field(default_factory=dict)
    _times: deque[float] = field(default_factory=lambda: deque(maxlen=MOST_LINES))
    _full: bool = False

    def note_refusal(self, node: str, remote: str, why: str, now: float) -> None:
        """Take note that who calls itself the agent of `node` is refused, at this loop's time."""
        before, at = self._told.get(node, ("", 0.0))
        if before == why and now < at + AGAIN:
            level = logging.DEBUG
        elif len(self._times) == MOST_LINES and now < self._times[0] + AGAIN:
            level = logging.DEBUG
            self._note_full()
        else:
            level = logging.WARNING
            self._remember(node, why, now)
        log.log(level, "the agent of %s is refused, at %s: %s", node, remote, why)

    def note_served(self, node: str) -> None:
        """Take note that the agent of a node was let in: another refusal of it is news."""
        self._told.pop(node, None)

    def _note_full(self) -> None:
        if not self._full:
            self._full = True
            log.warning(
                "more agents are refused than are told of, %d in an hour:"
                " vpplb_direct_refused_total counts them",
                MOST_LINES,
            )

    def _remember(self, node: str, why: str, now: float) -> None:
        self._full = False
        self._times.append(now)
        self._told.pop(node, None)
        self._told[node] = (why, now)
        if len(self._told) > MOST_LINES:
            del self._told[next(iter(self._told))]
