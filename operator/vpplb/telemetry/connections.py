"""Connections to the HTTP server: so many, and none that says nothing.

aiohttp waits without end for the first request of a connection, or for the rest of one, and takes
as many connections as there are descriptors, which the prober needs too. So each connection is
ended that has begun no whole request in time, and where there are too many, the one that has been
idle the longest makes room. With TLS that holds from the first byte: who never ends a
handshake is no better than who never sends a request.
"""

import asyncio
import ssl
from asyncio.sslproto import SSLProtocol
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

MOST = 256
"""Connections at a time: dashboards, scrapers and the kubelet are a dozen."""
PATIENCE = 20.0
"""Seconds for a request to come whole; then a connection is ended, also an idle one."""


@dataclass(slots=True)
class ConnectionGuard:
    """Counts the connections of a server; `guarded` wraps what makes its protocols."""

    most: int = MOST
    patience: float = PATIENCE
    _idle: dict[object, "_IdleConnection"] = field(default_factory=dict)
    _busy: set[object] = field(default_factory=set)

    @property
    def connection_count(self) -> int:
        return len(self._idle) + len(self._busy)

    def wrap_factory(self, make: Callable[[], asyncio.Protocol]) -> Callable[[], asyncio.Protocol]:
        """Return what makes the same protocols, under this guard."""
        return lambda: _GuardedProtocol(self, make())

    def wrap_tls(
        self, make: Callable[[], asyncio.Protocol], find_context: Callable[[], ssl.SSLContext]
    ) -> Callable[[], asyncio.BaseProtocol]:
        """Return what makes the same protocols inside TLS, with the context of that moment."""
        return lambda: _GuardedTls(self, make(), find_context())

    @contextmanager
    def mark_busy(self, transport: asyncio.BaseTransport | None) -> Iterator[None]:
        """Leave a connection alone while its request is answered."""
        name = _name_connection(transport)
        waiting = self._idle.pop(name, None)
        if waiting is None:
            yield
            return
        waiting.timer.cancel()
        self._busy.add(name)
        try:
            yield
        finally:
            if name in self._busy:
                self._busy.discard(name)
                self._start_timeout(waiting.transport)

    def on_opened(self, transport: asyncio.BaseTransport) -> bool:
        """Take a connection in; False when it has no place and is ended at once."""
        if self.connection_count >= self.most:
            longest = next(iter(self._idle.values()), None)
            if longest is None:
                _abort_transport(transport)
                return False
            self._end_connection(longest.transport)
        self._start_timeout(transport)
        return True

    def on_closed(self, transport: asyncio.BaseTransport) -> None:
        name = _name_connection(transport)
        self._busy.discard(name)
        if waiting := self._idle.pop(name, None):
            waiting.timer.cancel()

    def _start_timeout(self, transport: asyncio.BaseTransport) -> None:
        loop = asyncio.get_running_loop()
        timer = loop.call_later(self.patience, self._end_connection, transport)
        self._idle[_name_connection(transport)] = _IdleConnection(transport, timer)

    def _end_connection(self, transport: asyncio.BaseTransport) -> None:
        self.on_closed(transport)
        _abort_transport(transport)


class _IdleConnection(NamedTuple):
    """A connection with no request under way, and what ends it if that stays so."""

    transport: asyncio.BaseTransport
    timer: asyncio.TimerHandle


def _name_connection(transport: asyncio.BaseTransport | None) -> object:
    """Return what is one for a connection's transport and for that inside its TLS: the socket."""
    return transport.get_extra_info("socket") if transport is not None else None


def _abort_transport(transport: asyncio.BaseTransport) -> None:
    if isinstance(transport, asyncio.Transport):
        transport.abort()


class _GuardedProtocol(asyncio.Protocol):
    """Hands everything on to the protocol inside, and tells the guard of the beginning and end."""

    def __init__(self, guard: ConnectionGuard, inside: asyncio.Protocol) -> None:
        self._guard, self._inside = guard, inside
        self._taken = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._taken = self._guard.on_opened(transport)
        if self._taken:
            self._inside.connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._guard.on_closed(self._transport)
        if self._taken:
            self._inside.connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._taken:
            self._inside.data_received(data)

    def eof_received(self) -> bool | None:
        return self._inside.eof_received() if self._taken else None

    def pause_writing(self) -> None:
        self._inside.pause_writing()

    def resume_writing(self) -> None:
        self._inside.resume_writing()


class _GuardedTls(SSLProtocol):
    """What asyncio itself puts between a connection and its protocol, under the guard.

    `max_size` is how much it reads at a time: its own 256 KiB are for few connections.
    """

    max_size = 16 * 1024

    def __init__(
        self, guard: ConnectionGuard, inside: asyncio.Protocol, context: ssl.SSLContext
    ) -> None:
        loop = asyncio.get_running_loop()
        handshake = loop.create_future()
        handshake.add_done_callback(_ignore_failure)
        super().__init__(loop, inside, context, handshake, server_side=True)
        self._guard = guard

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._guarded = transport
        if self._guard.on_opened(transport):
            super().connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._guard.on_closed(self._guarded)
        super().connection_lost(exc)


def _ignore_failure(handshake: asyncio.Future[None]) -> None:
    """Take the outcome of a handshake: who speaks no TLS, or trusts us not, is no news."""
    if not handshake.cancelled():
        handshake.exception()
