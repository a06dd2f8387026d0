"""`EchoPace`: a loop that reads echoes of our own writes reads many at once, and not each alone.

At a start each of thousands of objects is written, and the watch tells of each. A thread that
wakes for each of these events takes much more CPU than one that finds several at a time: it takes
the interpreter from the thread that decides, again and again.
"""

import asyncio
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

CROWD, WINDOW = 4, 0.05
"""So many echoes in so many seconds are a crowd: a change, or a server that fails, makes fewer."""
QUIET, REST = 0.002, 0.03
"""Seconds without an echo, after which all that came is worked off, and for which the loop then
stands still. What else is told in that time is read so much later, which nobody waits for who is
told directly. Where echoes come faster than that the loop never rests, and nothing piles up."""


@dataclass(slots=True)
class EchoPace:
    """Has the loop that it is used on stand still for a moment (`rest`) where echoes crowd."""

    rest: Callable[[float], None] = time.sleep
    _since: float = -math.inf
    _last: float = -math.inf
    _echoes: int = 0
    _due: asyncio.TimerHandle | None = field(default=None)

    def note_echo(self) -> None:
        """Take note of an echo, on the loop that reads."""
        loop = asyncio.get_running_loop()
        self._last = now = loop.time()
        if now > self._since + WINDOW:
            self._since, self._echoes = now, 0
        self._echoes += 1
        if self._echoes >= CROWD and self._due is None:
            self._due = loop.call_later(QUIET, self._stand_still, loop)

    def _stand_still(self, loop: asyncio.AbstractEventLoop) -> None:
        if loop.time() < self._last + QUIET:  # there is more to work off
            self._due = loop.call_later(QUIET, self._stand_still, loop)
            return
        self._due, self._since = None, -math.inf
        self.rest(REST)
