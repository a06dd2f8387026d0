"""A simulated VPP as a whole: its sockets, its clients, its death and its return."""

import array
import asyncio
import contextlib
import os
import socket
import stat
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vpplb.simulator.clients import FILLS_BYTES, ClientTable
from vpplb.simulator.connection import ClientConnection
from vpplb.simulator.counters import StatsSegment
from vpplb.simulator.faults import FaultInjector
from vpplb.simulator.lb import LoadBalancerState
from vpplb.simulator.message_handlers import AnswerMessage, MessageHandlers
from vpplb.simulator.messages import ApiVersion


class StatsSocket:
    """Hands out `fd`, VPP's stats segment, at a Unix socket while it is open and not muted.

    It goes along with an empty message, after which VPP hangs up.
    """

    def __init__(self, path: Path, mode: int) -> None:
        self._path, self._mode, self.fd = path, mode, -1
        self._listener: socket.socket | None = None

    def open(self, fd: int) -> None:
        """Listen, in place of a socket that nobody listens on; SocketInUse or OSError if not."""
        clear_socket_path(self._path, socket.SOCK_SEQPACKET)
        self.fd = fd
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._listener.setblocking(False)
        self._listener.bind(str(self._path))
        self._path.chmod(self._mode)
        self._listener.listen()
        self.set_muted(False)

    def set_muted(self, muted: bool) -> None:
        """Let clients wait, or serve them again."""
        if self._listener is None:
            return
        loop = asyncio.get_running_loop()
        if muted:
            loop.remove_reader(self._listener)
        else:
            loop.add_reader(self._listener, self._send_descriptor)

    def close(self) -> None:
        """Listen no more; the socket stays in its place, as that of a VPP that died."""
        if self._listener is not None:
            self.set_muted(True)
            self._listener.close()
            self._listener = None

    def _send_descriptor(self) -> None:
        assert self._listener is not None
        with contextlib.suppress(BlockingIOError, ConnectionError):
            client, _ = self._listener.accept()
            with client:
                rights = array.array("i", [self.fd])
                client.sendmsg([], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])


class SocketInUse(Exception):
    """Another process listens at the path; the text names it."""


def clear_socket_path(path: Path, kind: socket.SocketKind = socket.SOCK_STREAM) -> None:
    """Make room for a socket: remove one that nobody listens on, and make the folder.

    SocketInUse when something else is there.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        return
    if not stat.S_ISSOCK(path.stat().st_mode):
        raise SocketInUse(f"{path} exists and is not a socket")
    with socket.socket(socket.AF_UNIX, kind) as probe, contextlib.suppress(ConnectionRefusedError):
        probe.connect(str(path))
        raise SocketInUse(f"another process listens on {path}")
    path.unlink()


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedCall:
    """A message that was received, and its retval where its reply has one.

    `args` are the message's own fields, as JSON can write them (addresses and prefixes as text).
    """

    message: str
    args: dict[str, Any]
    retval: int | None


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
        on_call: Callable[[RecordedCall], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.api_socket, self.stats_socket = api_socket, stats_socket
        self.calls: list[RecordedCall] = []
        self.faults = FaultInjector()
        self.hung = False
        self._mode, self._threads = mode, threads
        self._on_call = on_call or self.calls.append
        self._clock = clock
        self._server: asyncio.Server | None = None
        self._stats = StatsSocket(stats_socket, mode) if stats_socket else None
        self._segment: StatsSegment | None = None
        self.clients = ClientTable()
        self.service = MessageHandlers(self._new_state(), os.getpid())

    @property
    def lb(self) -> LoadBalancerState:
        return self.service.state

    # --- life and death ----------------------------------------------------------------------

    async def start(self) -> None:
        """Listen, in place of sockets that nobody listens on; SocketInUse or OSError if not."""
        clear_socket_path(self.api_socket)
        loop = asyncio.get_running_loop()
        if self._stats is not None:
            self._stats.open(self._new_segment())
        self._server = await loop.create_unix_server(
            lambda: ClientConnection(self), path=self.api_socket
        )
        self.api_socket.chmod(self._mode)

    async def stop(self) -> None:
        """End in order, as a VPP that is told to: close all connections, remove the sockets."""
        server = self._server
        self._end_clients(ClientConnection.close)
        if server is not None:
            await server.wait_closed()
        for path in (self.api_socket, self.stats_socket):
            if path is not None and server is not None:
                path.unlink(missing_ok=True)

    def die(self) -> None:
        """End as a process that is killed: what was not sent is lost, the sockets stay."""
        self._end_clients(ClientConnection.abort)

    def _end_clients(self, part: Callable[[ClientConnection], None]) -> None:
        if self._server is None:
            return
        self._server.close()
        self._server = None
        for client in self.clients:
            part(client)
        if self._stats is not None:
            self._stats.close()
            self._give_up_segment()

    async def restart(self, *, keep: bool = False, api_version: ApiVersion | None = None) -> None:
        """Be another process at the same sockets, having died if need be.

        With `keep` it has the VIPs and servers of the one before, as if from its start-up
        configuration, but none of its flows; with `api_version` other message ids or CRCs.
        """
        self.die()
        self.hung = False
        self.clients = ClientTable()
        state = self._new_state()
        if keep:
            state.configure_as(self.lb)
        self.service = MessageHandlers(state, self.service.pid + 1, api_version)
        await self.start()

    def clear(self) -> None:
        """Become a freshly started VPP, with another pid, but for the clients' connections."""
        self._give_up_segment()
        self.service = MessageHandlers(
            self._new_state(), self.service.pid + 1, self.service.api_version
        )
        if self._stats is not None and self._server is not None:
            self._stats.fd = self._new_segment()
        self.calls.clear()

    # --- misbehaviour ------------------------------------------------------------------------

    def hang(self, hung: bool = True) -> None:
        """Be a process that is stopped: take nothing in and answer nothing. Or go on."""
        self.hung = hung
        for client in self.clients:
            client.set_hung(hung)
        if self._stats is not None:
            self._stats.set_muted(hung)

    # --- what connections need ---------------------------------------------------------------

    def _new_state(self) -> LoadBalancerState:
        started = self._clock()
        return LoadBalancerState(lambda: self._clock() - started, self._threads)

    def _new_segment(self) -> int:
        """Have the counters in a segment; return its descriptor."""
        self._segment = StatsSegment(self._threads)
        self.lb.counters.set_mirror(self._segment)
        return self._segment.fd

    def _give_up_segment(self) -> None:
        if self._segment is not None:
            self.lb.counters.set_mirror(None)
            self._segment.close()
            self._segment = None

    def record_call(self, name: str, args: dict[str, Any], retval: int | None) -> None:
        self._on_call(RecordedCall(message=name, args=args, retval=retval))

    def on_client_end(self, index: int) -> None:
        """Take in that a client has hung up; too many unnoticed ones are the end of all service."""
        if not self.clients.on_client_end(index):
            self.hang()

    def answer_message(self, name: str, fields: dict[str, Any]) -> Sequence[AnswerMessage]:
        """Do what a message asks, and return the answers in order."""
        if name == "get_api_json":
            self.clients.on_replies([FILLS_BYTES + 1])  # VPP's, of more plugins, has a megabyte
        match str(fields.get("cmd", "")).split() if name == "cli_inband" else []:
            case ["show", "api", "clients"]:
                return [("cli_inband_reply", {"retval": 0, "reply": self.clients.show_clients()})]
            case ["exec", path]:
                self.clients.on_failed_call()
                text = f"exec: failed to open `{path}': No such file or directory (errno 2)\n"
                return [("cli_inband_reply", {"retval": 2, "reply": text})]
            case _:
                return self.service.answer_message(name, fields)
