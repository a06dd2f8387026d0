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
AWAKE, REST = 0.002, 0.03
"""Seconds in which what was read is worked off, and for which the loop then stands still. What else
is told in that time is read so much later, which nobody waits for who is told directly."""


@dataclass(slots=True)
class EchoPace:
    """Has the loop that it is used on stand still for a moment (`rest`) where echoes crowd."""

    rest: Callable[[float], None] = time.sleep
    _since: float = -math.inf
    _echoes: int = 0
    _due: asyncio.TimerHandle | None = field(default=None)

    def note_echo(self) -> None:
        """Take note of an echo, on the loop that reads."""
        if self._due is not None:
            return
        loop = asyncio.get_running_loop()
        if (now := loop.time()) > self._since + WINDOW:
            self._since, self._echoes = now, 0
        self._echoes += 1
        if self._echoes >= CROWD:
            self._due = loop.call_later(AWAKE, self._stand_still)

    def _stand_still(self) -> None:
        self._due, self._since = None, -math.inf
        self.rest(REST)
