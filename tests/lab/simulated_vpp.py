"""Runs a simulator for a test: in its event loop, or beside one that blocks in a thread."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, TypeVar

from vpplb.simulator.server import RecordedCall, VppSimulator

T = TypeVar("T")

CHANGING = frozenset(
    {
        "lb_conf",
        "lb_add_del_vip",
        "lb_add_del_vip_v2",
        "lb_add_del_as",
        "lb_add_del_as_v2",
        "lb_as_set_weight",
        "lb_flush_vip",
        "lb_add_del_intf_nat4",
        "lb_add_del_intf_nat6",
    }
)
"""Messages that change a VPP; all others only read."""


def changing_calls(vpp: VppSimulator) -> list[RecordedCall]:
    """Return those calls that may have changed a VPP."""
    return [call for call in vpp.calls if call.message in CHANGING]


def hang_up(vpp: VppSimulator) -> None:
    """Close every connection at once; new ones are taken."""
    for client in vpp.clients:
        client.abort()


def send_raw(vpp: VppSimulator, data: bytes) -> None:
    """Send bytes to every client that VPP would not."""
    for client in vpp.clients:
        client.flush()
        client._transport.write(data)


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


@asynccontextmanager
async def simulated_vpp(directory: Path) -> AsyncIterator[VppSimulator]:
    """Run a simulator at `directory`/api.sock, in the test's own event loop."""
    simulator = VppSimulator(directory / "api.sock")
    await simulator.start()
    try:
        yield simulator
    finally:
        await simulator.stop()
        await asyncio.sleep(0)  # transports close in the next turn of the loop


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
