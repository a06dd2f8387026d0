"""A simulated VPP behind a wire that can be cut, muted and tampered with."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from vpplb.simulator.server import VppSimulator


class FaultyVpp:
    """A `VppSimulator` at `socket`, through a relay.

    `muted`: nothing that VPP says comes through. `tamper` changes what VPP says, chunk by chunk.
    """

    def __init__(self, directory: Path) -> None:
        self.socket = directory / "api.sock"
        self.simulator = VppSimulator(directory / "vpp.sock")
        self.muted = False
        self.tamper: Callable[[bytes], bytes] = lambda data: data
        self.connections = 0
        self._wires: list[_Wire] = []
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        await self.simulator.start()
        loop = asyncio.get_running_loop()
        self._server = await loop.create_unix_server(self._accept, self.socket)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._server is not None
        self._server.close()
        self.cut()
        await self.simulator.stop()
        await asyncio.sleep(0)  # transports close in the next turn of the loop

    def cut(self) -> None:
        """Close every connection, as a VPP that dies does."""
        for wire in self._wires:
            wire.cut()
        self._wires.clear()

    def deafen(self) -> None:
        """Take nothing more from any client."""
        for wire in self._wires:
            assert wire.client is not None
            wire.client.pause_reading()

    def say(self, data: bytes) -> None:
        """Say something to every client that VPP did not say."""
        for wire in self._wires:
            assert wire.client is not None
            wire.client.write(data)

    def _accept(self) -> asyncio.Protocol:
        self.connections += 1
        wire = _Wire(self)
        self._wires.append(wire)
        return wire


class _Wire(asyncio.Protocol):
    """The client's end; `_Far` is VPP's."""

    def __init__(self, vpp: FaultyVpp) -> None:
        self.vpp = vpp
        self.client: asyncio.Transport | None = None
        self.far: asyncio.Transport | None = None
        self._dialling: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.client = transport
        transport.pause_reading()
        self._dialling = asyncio.create_task(self._dial())

    async def _dial(self) -> None:
        assert self.client is not None
        loop = asyncio.get_running_loop()
        self.far, _ = await loop.create_unix_connection(
            lambda: _Far(self), str(self.vpp.simulator.api_socket)
        )
        self.client.resume_reading()

    def data_received(self, data: bytes) -> None:
        assert self.far is not None
        self.far.write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self.cut()

    def cut(self) -> None:
        for end in (self.client, self.far):
            if end is not None:
                end.abort()


class _Far(asyncio.Protocol):
    def __init__(self, wire: _Wire) -> None:
        self._wire = wire

    def data_received(self, data: bytes) -> None:
        assert self._wire.client is not None
        if not self._wire.vpp.muted:
            self._wire.client.write(self._wire.vpp.tamper(data))

    def connection_lost(self, exc: Exception | None) -> None:
        self._wire.cut()
