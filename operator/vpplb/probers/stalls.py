"""Remembers when the prober itself did not run: a timeout then says nothing about a backend."""

from collections import deque

SHORTEST = 0.001
"""Gaps up to this are the work of any loop and not worth a note, in seconds."""


class Stalls:
    """The gaps in which nobody listened to the sockets.

    Only gaps that may still be the longest since some moment are kept: those that came before
    a longer one are forgotten, so what is kept gets shorter towards the end.
    """

    def __init__(self) -> None:
        self._gaps: deque[tuple[float, float]] = deque()

    def note(self, *, ended: float, seconds: float) -> None:
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
