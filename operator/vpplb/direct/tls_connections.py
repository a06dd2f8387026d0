"""TLS connections of a server that has thousands: each with little memory, and none that waits.

asyncio gives each TLS connection a buffer of 256 KiB, whatever comes; here it is 2 KiB, which is
more than an agent says at a time, but for its first report. A connection that does not prove
within `patience` who is at its other end is ended, and so is one that is one too many of those:
the newest, since whoever came before is nearer to its end.
"""

import asyncio
import ssl
from asyncio.sslproto import SSLProtocol
from collections.abc import Callable
from dataclasses import dataclass, field

MOST_WAITING = 1024
"""Connections at a time of which it is not known yet whose they are."""
PATIENCE = 10.0
"""Seconds for TLS, the request and its answer."""


@dataclass(slots=True, kw_only=True)
class TlsConnections:
    """Makes the protocols of a server that listens without TLS, each around one of `make_handler`.

    `on_refused` is told why a connection is ended before its handler has said `keep_connection`:
    `handshake`, `slow` or `crowded`.
    """

    context: ssl.SSLContext
    make_handler: Callable[[], asyncio.Protocol]
    on_refused: Callable[[str], None]
    most_waiting: int = MOST_WAITING
    patience: float = PATIENCE
    _waiting: dict[asyncio.BaseProtocol, asyncio.TimerHandle] = field(default_factory=dict)
    _kept: dict[asyncio.BaseProtocol, Callable[[], None]] = field(default_factory=dict)

    def make_protocol(self) -> asyncio.BaseProtocol:
        return _SmallTlsProtocol(self, self.make_handler())

    def keep_connection(self, handler: asyncio.BaseProtocol, on_bytes: Callable[[], None]) -> None:
        """Let a connection last, since it is known whose it is.

        From now on `on_bytes` is called whenever something has come, if only a piece of a message.
        """
        self._stop_waiting(handler)
        self._kept[handler] = on_bytes

    def on_opened(self, handler: asyncio.BaseProtocol, transport: asyncio.BaseTransport) -> bool:
        """Take a connection in; False when there is no place for it."""
        if len(self._waiting) >= self.most_waiting:
            self.on_refused("crowded")
            return False
        later = asyncio.get_running_loop().call_later
        self._waiting[handler] = later(self.patience, self._end_waiting, handler, transport)
        return True

    def on_bytes(self, handler: asyncio.BaseProtocol) -> None:
        if told := self._kept.get(handler):
            told()

    def on_closed(self, handler: asyncio.BaseProtocol) -> None:
        self._stop_waiting(handler)
        self._kept.pop(handler, None)

    def on_handshake(self, handshake: asyncio.Future[None]) -> None:
        if not handshake.cancelled() and handshake.exception() is not None:
            self.on_refused("handshake")

    def _stop_waiting(self, handler: asyncio.BaseProtocol) -> None:
        if timer := self._waiting.pop(handler, None):
            timer.cancel()

    def _end_waiting(self, handler: asyncio.BaseProtocol, transport: asyncio.BaseTransport) -> None:
        if self._waiting.pop(handler, None) is not None:
            self.on_refused("slow")
            _abort_transport(transport)


def _abort_transport(transport: asyncio.BaseTransport) -> None:
    if isinstance(transport, asyncio.Transport):
        transport.abort()


class _SmallTlsProtocol(SSLProtocol):
    """What asyncio itself puts between a connection and its protocol, but smaller.

    `max_size` is how much it reads at a time. (Were it to be named otherwise in a Python to come,
    that would cost memory only.)
    """

    max_size = 2 * 1024

    def __init__(self, owner: TlsConnections, handler: asyncio.Protocol) -> None:
        loop = asyncio.get_running_loop()
        handshake = loop.create_future()
        handshake.add_done_callback(owner.on_handshake)
        super().__init__(
            loop,
            handler,
            owner.context,
            handshake,
            server_side=True,
        )
        self._owner, self._handler = owner, handler

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if self._owner.on_opened(self._handler, transport):
            super().connection_made(transport)
        else:
            _abort_transport(transport)

    def buffer_updated(self, nbytes: int) -> None:
        self._owner.on_bytes(self._handler)
        super().buffer_updated(nbytes)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._owner.on_closed(self._handler)
        super().connection_lost(exc)
