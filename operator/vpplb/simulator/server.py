"""A simulated VPP as a whole: its sockets, its clients, its death and its return."""

import asyncio
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vpplb.simulator.clients import FILLS_BYTES, Clients
from vpplb.simulator.connection import Connection
from vpplb.simulator.dialect import Dialect
from vpplb.simulator.faults import Faults
from vpplb.simulator.lb import LoadBalancerState
from vpplb.simulator.messages import CHANGING
from vpplb.simulator.paths import clear_path
from vpplb.simulator.service import Answer, Service
from vpplb.simulator.stats_socket import StatsSocket
from vpplb.simulator.statseg import StatsSegment


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
    """A VPP with the lb plugin behind Unix sockets, in this process's event loop.

    `lb` is its state, `clients` who is connected, `calls` all that was received in order, `faults`
    what is to go wrong, for tests to look at and to set. With `stats_socket` its counters are in
    a stats segment. `threads` is the number of those that forward packets.
    """

    def __init__(
        self,
        api_socket: Path,
        *,
        stats_socket: Path | None = None,
        mode: int = 0o660,
        threads: int = 1,
        on_call: Callable[[Call], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.api_socket, self.stats_socket = api_socket, stats_socket
        self.calls: list[Call] = []
        self.faults = Faults()
        self.hung = False
        self._mode, self._threads = mode, threads
        self._on_call = on_call or self.calls.append
        self._clock = clock
        self._server: asyncio.Server | None = None
        self._stats = StatsSocket(stats_socket, mode) if stats_socket else None
        self._segment: StatsSegment | None = None
        self.clients = Clients()
        self.service = Service(self._new_state(), os.getpid())

    @property
    def lb(self) -> LoadBalancerState:
        """The state of the lb plugin."""
        return self.service.state

    @property
    def changing_calls(self) -> list[Call]:
        """Those of `calls` that may change a VPP."""
        return [call for call in self.calls if call.changing]

    # --- life and death ----------------------------------------------------------------------

    async def start(self) -> None:
        """Listen, in place of sockets that nobody listens on; SocketInUse or OSError if not."""
        clear_path(self.api_socket)
        loop = asyncio.get_running_loop()
        if self._stats is not None:
            self._stats.open(self._new_segment())
        self._server = await loop.create_unix_server(lambda: Connection(self), path=self.api_socket)
        self.api_socket.chmod(self._mode)

    async def stop(self) -> None:
        """End in order, as a VPP that is told to: close all connections, remove the sockets."""
        server = self._server
        self._end(Connection.close)
        if server is not None:
            await server.wait_closed()
        for path in (self.api_socket, self.stats_socket):
            if path is not None and server is not None:
                path.unlink(missing_ok=True)

    def die(self) -> None:
        """End as a process that is killed: what was not sent is lost, the sockets stay."""
        self._end(Connection.abort)

    def _end(self, part: Callable[[Connection], None]) -> None:
        if self._server is None:
            return
        self._server.close()
        self._server = None
        for client in self.clients:
            part(client)
        if self._stats is not None:
            self._stats.close()
            self._give_up_segment()

    async def restart(self, *, keep: bool = False, dialect: Dialect | None = None) -> None:
        """Be another process at the same sockets, having died if need be.

        With `keep` it has the VIPs and servers of the one before, as if from its start-up
        configuration, but none of its flows; with `dialect` other message ids or CRCs.
        """
        self.die()
        self.hung = False
        self.clients = Clients()
        state = self._new_state()
        if keep:
            state.configure_as(self.lb)
        self.service = Service(state, self.service.pid + 1, dialect)
        await self.start()

    def clear(self) -> None:
        """Become a freshly started VPP, with another pid, but for the clients' connections."""
        self._give_up_segment()
        self.service = Service(self._new_state(), self.service.pid + 1, self.service.dialect)
        if self._stats is not None and self._server is not None:
            self._stats.fd = self._new_segment()
        self.calls.clear()

    # --- misbehaviour ------------------------------------------------------------------------

    def hang(self, hung: bool = True) -> None:
        """Be a process that is stopped: take nothing in and answer nothing. Or go on."""
        self.hung = hung
        for client in self.clients:
            client.hang(hung)
        if self._stats is not None:
            self._stats.mute(hung)

    def hang_up(self) -> None:
        """Close every connection at once; new ones are taken."""
        for client in self.clients:
            client.abort()

    def say(self, data: bytes) -> None:
        """Send bytes to every client that VPP would not."""
        for client in self.clients:
            client.say(data)

    # --- what connections need ---------------------------------------------------------------

    def _new_state(self) -> LoadBalancerState:
        started = self._clock()
        return LoadBalancerState(lambda: self._clock() - started, self._threads)

    def _new_segment(self) -> int:
        """Have the counters in a segment; return its descriptor."""
        self._segment = StatsSegment(self._threads)
        self.lb.counters.attach(self._segment)
        return self._segment.fd

    def _give_up_segment(self) -> None:
        if self._segment is not None:
            self.lb.counters.attach(None)
            self._segment.close()
            self._segment = None

    def record(self, name: str, args: dict[str, Any], retval: int | None) -> None:
        """Note a received message."""
        self._on_call(Call(message=name, args=args, retval=retval))

    def admit(self, connection: Connection) -> int:
        """Give a connection its client index."""
        return self.clients.admit(connection)

    def client(self, index: int) -> Connection | None:
        """Return the connection of a client index."""
        return self.clients.get(index)

    def forget(self, index: int) -> None:
        """Free a client index: VPP hangs up on it."""
        self.clients.forget(index)

    def ended(self, index: int) -> None:
        """Take in that a client has hung up; too many unnoticed ones are the end of all service."""
        if not self.clients.ended(index):
            self.hang()

    def replied(self, sizes: Sequence[int]) -> None:
        """Take in that replies of these sizes, in bytes, go out at once."""
        self.clients.replied(sizes)

    def answer(self, name: str, fields: dict[str, Any]) -> Sequence[Answer]:
        """Do what a message asks, and return the answers in order."""
        if name == "get_api_json":
            self.clients.replied([FILLS_BYTES + 1])  # VPP's, of more plugins, has a megabyte
        match str(fields.get("cmd", "")).split() if name == "cli_inband" else []:
            case ["show", "api", "clients"]:
                return [("cli_inband_reply", {"retval": 0, "reply": self.clients.text()})]
            case ["exec", path]:
                self.clients.failed()
                text = f"exec: failed to open `{path}': No such file or directory (errno 2)\n"
                return [("cli_inband_reply", {"retval": 2, "reply": text})]
            case _:
                return self.service.answer(name, fields)
