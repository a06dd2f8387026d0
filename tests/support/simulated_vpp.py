"""Runs a simulator beside a test that blocks, such as one that uses a synchronous client."""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from vpplb.simulator.server import VppSimulator

T = TypeVar("T")


class LoopThread:
    """An event loop in a thread of its own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="simulator")
        self._thread.start()

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine there and return what it returns."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(timeout=30)

    def call(self, function: Callable[[], T]) -> T:
        """Call a function there and return what it returns."""

        async def coroutine() -> T:
            return function()

        return self.run(coroutine())

    def close(self) -> None:
        """End the loop and its thread."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=30)
        self._loop.close()


@contextmanager
def run_in_thread(simulator: VppSimulator) -> Iterator[LoopThread]:
    """Serve `simulator` in a thread; give the loop, through which alone it may be touched."""
    loop = LoopThread()
    try:
        loop.run(simulator.start())
        yield loop
        loop.run(simulator.stop())
    finally:
        loop.close()
