"""The simulator's socket: any number of clients, each answered in the order it asks.

A fault to inject later (a hung VPP, a lost answer) belongs in `_Connection.handle`, between a
message's arrival and its answers; nothing else knows of clients.
"""

import asyncio
import contextlib
import logging
import os
import socket
import stat
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vpplb.simulator import wire
from vpplb.simulator.lb import LoadBalancerState
from vpplb.simulator.messages import CHANGING
from vpplb.simulator.service import Service, message_table

log = logging.getLogger(__name__)

_FIRST_CLIENT_INDEX = 0x80000001  # the high bit marks a client of the socket


class SocketInUse(Exception):
    """Another process listens at the path; the text names it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A message that was received, and its retval where its reply has one.

    `args` are the message's own fields, as JSON can write them (addresses and prefixes as text).
    """

    message: str
    args: dict[str, Any]
    retval: int | None

    @property
    def changing(self) -> bool:
        """Whether the message may change a VPP."""
        return self.message in CHANGING


class VppSimulator:
    """A VPP with the lb plugin behind a Unix socket, in this process's event loop.

    `lb` is its state, `calls` all that was received in order, for tests to look at;
    `clear()` empties both while clients stay connected.
    """

    def __init__(
        self,
        api_socket: Path,
        *,
        mode: int = 0o660,
        on_call: Callable[[Call], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.api_socket = api_socket
        self.calls: list[Call] = []
        self._mode = mode
        self._on_call = on_call or self.calls.append
        self._clock = clock
        self._server: asyncio.Server | None = None
        self._clients: dict[int, _Connection] = {}
        self._next_index = _FIRST_CLIENT_INDEX
        self.service = Service(self._new_state())

    @property
    def lb(self) -> LoadBalancerState:
        """The state of the lb plugin."""
        return self.service.state

    @property
    def changing_calls(self) -> list[Call]:
        """Those of `calls` that may change a VPP."""
        return [call for call in self.calls if call.changing]

    def clear(self) -> None:
        """Become a freshly started VPP, but for the clients' connections."""
        self.service = Service(self._new_state())
        self.calls.clear()

    async def start(self) -> None:
        """Listen; replace a socket that nobody listens on. SocketInUse, or OSError, if it cannot."""
        _clear_path(self.api_socket)
        loop = asyncio.get_running_loop()
        self._server = await loop.create_unix_server(
            lambda: _Connection(self), path=self.api_socket
        )
        self.api_socket.chmod(self._mode)

    async def stop(self) -> None:
        """Close all connections as a dying VPP does, and remove the socket."""
        if self._server is None:
            return
        self._server.close()
        for client in list(self._clients.values()):
            client.close()
        await self._server.wait_closed()
        self._server = None
        self.api_socket.unlink(missing_ok=True)

    def _new_state(self) -> LoadBalancerState:
        started = self._clock()
        return LoadBalancerState(lambda: self._clock() - started)

    def record(self, name: str, fields: dict[str, Any], retval: int | None) -> None:
        """Note a received message."""
        args = {k: _plain(v) for k, v in fields.items() if k not in ("client_index", "context")}
        self._on_call(Call(message=name, args=args, retval=retval))

    def admit(self, connection: "_Connection") -> int:
        """Give a connection its client index."""
        index = self._next_index
        self._next_index += 1
        self._clients[index] = connection
        return index

    def client(self, index: int) -> "_Connection | None":
        """Return the connection of a client index."""
        return self._clients.get(index)

    def forget(self, connection: "_Connection") -> None:
        """Free a connection's client index."""
        self._clients = {i: c for i, c in self._clients.items() if c is not connection}


class _Connection(asyncio.Protocol):
    """One client's end of the socket."""

    def __init__(self, simulator: VppSimulator) -> None:
        self._simulator = simulator
        self._input = bytearray()
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self._simulator.forget(self)

    def data_received(self, data: bytes) -> None:
        self._input += data
        while (message := wire.take_frame(self._input)) is not None:
            self.handle(message)

    def pause_writing(self) -> None:
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        self._transport.resume_reading()

    def close(self) -> None:
        """Hang up, having sent what is still to be sent."""
        self._transport.close()
