"""Clocks of which a test knows what they show."""

import asyncio
from datetime import UTC, datetime, timedelta


class FakeClock:
    """A clock that stands until it is moved. Implements `model.clock.Clock`."""

    def __init__(self) -> None:
        self.time = datetime(2026, 1, 1, 12, tzinfo=UTC)

    def now(self) -> datetime:
        return self.time

    def advance(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)


class LoopClock:
    """A clock that goes as the loop's, some seconds ahead of others. Implements `Clock`."""

    def __init__(self, ahead: float = 0.0) -> None:
        self._begin = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=ahead)

    def now(self) -> datetime:
        return self._begin + timedelta(seconds=asyncio.get_running_loop().time())
