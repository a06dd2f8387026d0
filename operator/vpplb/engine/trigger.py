"""A trigger: many requests in one tick of the loop, one run."""

import asyncio
from collections.abc import Callable


class Trigger:
    """Runs `action` soon, once, however often it is pulled before then.

    `action` is synchronous: what it decides is decided before anything else runs.
    """

    def __init__(self, action: Callable[[], None]) -> None:
        self._action = action
        self._pending: asyncio.Handle | None = None

    def pull(self) -> None:
        """Ask for a run."""
        if self._pending is None:
            self._pending = asyncio.get_running_loop().call_soon(self._run)

    def cancel(self) -> None:
        """Forget a run that was asked for."""
        if self._pending is not None:
            self._pending.cancel()
            self._pending = None

    def _run(self) -> None:
        self._pending = None
        self._action()
