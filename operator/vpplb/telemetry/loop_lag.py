"""How late the event loop comes to its work.

Nobody has to judge a loop that hangs: its HTTP server does not answer, and whoever asked sees
that. What is measured here is the slowness before that.
"""

import asyncio
from collections import deque
from dataclasses import dataclass, field

EVERY = 0.5
"""Seconds between two samples."""
WINDOW = 30.0
"""Seconds for which the worst sample counts."""


@dataclass(slots=True)
class LoopLag:
    """Samples the loop that runs `run`."""

    _samples: deque[float] = field(default_factory=lambda: deque(maxlen=int(WINDOW / EVERY)))
    _due: float | None = None

    async def run(self) -> None:
        clock = asyncio.get_running_loop().time
        while True:
            self._due = clock() + EVERY
            await asyncio.sleep(EVERY)
            self._samples.append(clock() - self._due)

    def worst_seconds(self) -> float:
        """Return by how many seconds the loop was late at worst of late, being late now included.

        To be called on that loop.
        """
        late = 0.0 if self._due is None else asyncio.get_running_loop().time() - self._due
        return max(0.0, late, *self._samples)
