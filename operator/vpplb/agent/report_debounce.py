"""`ReportDebounce`: when the next report is due, of news that come in bursts.

It is about what an agent says of itself. What it programs waits for nothing (`sync.syncer`).
"""

import asyncio
import math
from collections.abc import Callable


class ReportDebounce:
    """Runs `action` soon, once, however often it is asked for before then.

    `action` is synchronous: what it decides is decided before anything else runs. From one run
    to the next there are at least `spacing` seconds.
    """

    def __init__(self, action: Callable[[], None], spacing: float) -> None:
        self._action, self._spacing = action, spacing
        self._last = -math.inf
        self._pending: asyncio.Handle | None = None

    def set_spacing(self, spacing: float) -> None:
        """Keep another distance from now on, but for a run that is pending."""
        self._spacing = spacing

    def request_run(self) -> None:
        if self._pending is not None:
            return
        loop = asyncio.get_running_loop()
        earliest = self._last + self._spacing
        if loop.time() < earliest:
            self._pending = loop.call_at(earliest, self._run)
        else:
            self._pending = loop.call_soon(self._run)

    def run_now(self) -> None:
        if self._pending is not None:
            self._pending.cancel()
            self._run()

    def _run(self) -> None:
        self._pending = None
        self._last = asyncio.get_running_loop().time()
        self._action()
