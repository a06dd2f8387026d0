"""Calm: that nothing urgent has happened for a while."""

import asyncio
from dataclasses import dataclass, field


@dataclass(slots=True)
class Calm:
    """Comes `after` so many seconds without a disturbance; at first there is none."""

    after: float
    _until: float = 0.0
    _timer: asyncio.TimerHandle | None = None
    _calm: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self._calm.set()

    def disturb(self) -> None:
        """Say that something urgent has happened."""
        loop = asyncio.get_running_loop()
        self._until = loop.time() + self.after
        if self._timer is None:
            self._calm.clear()
            self._timer = loop.call_at(self._until, self._look)

    async def comes(self) -> None:
        """Wait for it."""
        await self._calm.wait()

    def _look(self) -> None:
        loop = asyncio.get_running_loop()
        if loop.time() < self._until:
            self._timer = loop.call_at(self._until, self._look)
            return
        self._timer = None
        self._calm.set()
