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
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Any

from vpplb.simulator import wire
from vpplb.simulator.lb import LoadBalancerState
from vpplb.simulator.messages import CHANGING, REQUESTS
from vpplb.simulator.service import Service, message_table

log = logging.getLogger(__name__)

_FIRST_CLIENT_INDEX = 0x80000001  # the high bit marks a client of the socket

_OUTPUT_AT_ONCE = 65536  # bytes that are gathered before they are written


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
    `clear()` empties both while clients stay connected; stop, clear and start are a VPP's restart.
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
        self.service = Service(self._new_state(), os.getpid())

    @property
    def lb(self) -> LoadBalancerState:
        """The state of the lb plugin."""
        return self.service.state

    @property
    def changing_calls(self) -> list[Call]:
        """Those of `calls` that may change a VPP."""
        return [call for call in self.calls if call.changing]

    def clear(self) -> None:
        """Become a freshly started VPP, with another pid, but for the clients' connections."""
        self.service = Service(self._new_state(), self.service.pid + 1)
        self.calls.clear()

    async def start(self) -> None:
        """Listen, in place of a socket that nobody listens on; SocketInUse or OSError if not."""
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
        self._index: int
        self._paused = False
        self._input = bytearray()
        self._output = bytearray()
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._index = self._simulator.admit(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._simulator.forget(self)

    def data_received(self, data: bytes) -> None:
        self._input += data
        self._advance()

    def pause_writing(self) -> None:
        self._paused = True
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        self._paused = False
        self._transport.resume_reading()
        self._advance()

    def _advance(self) -> None:
        """Answer what has come in, as long as the client takes the answers."""
        while not self._paused and (message := wire.take_frame(self._input)) is not None:
            self.handle(message)
            if len(self._output) > _OUTPUT_AT_ONCE:
                self.flush()
        self.flush()

    def close(self) -> None:
        """Hang up, having sent what is still to be sent; what comes in from now on is dropped."""
        self._simulator.forget(self)
        self._transport.close()

    def handle(self, message: bytes) -> None:
        """Answer one message, or drop it with a line in the log as VPP does."""
        number = int.from_bytes(message[:2], "big")
        layout = wire.LAYOUT_OF_ID.get(number)
        if layout is None or layout.message.kind not in REQUESTS:
            log.warning("no handler for msg id %d", number)
            return
        name = layout.message.name
        try:
            fields = layout.unpack(message)
        except wire.Malformed as error:
            log.warning("truncated message dropped: %s", error)
            return
        if name == "sockclnt_create":
            self._connect(fields)
        elif (client := self._simulator.client(fields["client_index"])) is None:
            log.warning("%s dropped: no client %#x", name, fields["client_index"])
        elif name == "sockclnt_delete":
            self._disconnect(fields)
        else:
            self._serve(client, name, fields)

    def _serve(self, client: "_Connection", name: str, fields: dict[str, Any]) -> None:
        answers = self._simulator.service.answer(name, fields)
        retval = answers[0][1].get("retval") if answers else None
        self._simulator.record(name, fields, retval)
        for answer, own in answers:
            client.send(answer, {"context": fields["context"], **own})
        if client is not self:
            client.flush()

    def _connect(self, fields: dict[str, Any]) -> None:
        table = message_table()
        self._simulator.record("sockclnt_create", fields, 0)
        self.send(
            "sockclnt_create_reply",
            {
                "client_index": 0,
                "context": fields["context"],
                "response": 0,
                "index": self._index,
                "count": len(table),
                "message_table": table,
            },
        )

    def _disconnect(self, fields: dict[str, Any]) -> None:
        mine = fields["index"] == self._index
        response = 1 if mine else -1
        self._simulator.record("sockclnt_delete", fields, response)
        self.send("sockclnt_delete_reply", {"context": fields["context"], "response": response})
        if mine:
            self.flush()
            self.close()

    def send(self, name: str, fields: wire.Fields) -> None:
        """Put a message behind what is to be sent."""
        self._output += wire.frame(wire.LAYOUTS[name].pack(fields))

    def flush(self) -> None:
        """Send what is to be sent."""
        if self._output:
            self._transport.write(bytes(self._output))
            self._output.clear()


def _plain(value: Any) -> Any:
    """Return a field's value as JSON can write it."""
    match value:
        case bool() | int() | str():
            return value
        case wire.Address() | wire.Prefix() | IPv4Address() | IPv6Address():
            return str(value)
        case _:
            return list(value)


def _clear_path(path: Path) -> None:
    """Remove a socket that nobody listens on; SocketInUse when something else is there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        return
    if not stat.S_ISSOCK(path.stat().st_mode):
        raise SocketInUse(f"{path} exists and is not a socket")
    with socket.socket(socket.AF_UNIX) as probe, contextlib.suppress(ConnectionRefusedError):
        probe.connect(str(path))
        raise SocketInUse(f"another process listens on {path}")
    path.unlink()
