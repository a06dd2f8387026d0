"""What is to be looked at again at some time, though nothing will have happened."""

import asyncio
from collections.abc import Callable
from heapq import heappop, heappush

from vpplb.model.names import ObjectKey


class DeadlineQueue:
    """Keys with their times, in seconds of a clock that never goes back. `wake` is called then."""

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._times: dict[ObjectKey, float] = {}
        self._heap: list[tuple[float, ObjectKey]] = []
        self._timer: asyncio.TimerHandle | None = None

    def put_key(self, key: ObjectKey, at: float | None) -> None:
        """Look at it at that time, instead of when it was to be before; None: not."""
        if at is None:
            self._times.pop(key, None)
        elif self._times.get(key) != at:
            self._times[key] = at
            heappush(self._heap, (at, key))

    def pop_due(self, now: float) -> list[ObjectKey]:
        found = []
        while self._heap and (self._heap[0][0] <= now or self._is_old(*self._heap[0])):
            at, key = heappop(self._heap)
            if not self._is_old(at, key):
                del self._times[key]
                found.append(key)
        return found

    def await_next(self, now: float) -> None:
        self.cancel_timer()
        if self._heap:
            wait = max(0.0, self._heap[0][0] - now)
            self._timer = asyncio.get_running_loop().call_later(wait, self._wake)

    def cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _is_old(self, at: float, key: ObjectKey) -> bool:
        return self._times.get(key) != at
