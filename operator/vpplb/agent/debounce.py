"""Many requests in one tick of the loop, or in a while, make one run."""

import asyncio
import math
from collections.abc import Callable


class RunDebounce:
    """Runs `action` soon, once, however often it is asked for before then.

    `action` is synchronous: what it decides is decided before anything else runs. From one run
    to the next there are at least `spacing` seconds.
    """

    def __init__(self, action: Callable[[], None], spacing: float = 0.0) -> None:
        self._action = action
        self._spacing = spacing
        self._earliest = -math.inf
        self._pending: asyncio.Handle | None = None

    def request_run(self) -> None:
        if self._pending is not None:
            return
        loop = asyncio.get_running_loop()
        if self._spacing and loop.time() < self._earliest:
            self._pending = loop.call_at(self._earliest, self._run)
        else:
            self._pending = loop.call_soon(self._run)

    def run_now(self) -> None:
        if self._pending is not None:
            self._pending.cancel()
            self._run()

    def _run(self) -> None:
        self._pending = None
        if self._spacing:
            self._earliest = asyncio.get_running_loop().time() + self._spacing
        self._action()
