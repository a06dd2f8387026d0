"""Drives conversations over TCP sockets: one attempt after the other of one check.

A socket is registered once, edge-triggered for all that can happen, and closing it is what
unregisters it: for a probe that connects, sends and receives once, that makes two system calls
less than asking for one kind of event after the other.
"""

import errno
import select
import socket
import struct
from collections.abc import Callable
from contextlib import suppress

from vpplb.model.check import CheckSpec, HttpProbe, TcpProbe
from vpplb.model.health import ProbeResult
from vpplb.probers.conversation import Conversation, Step
from vpplb.probers.errors import NO_PORT, NO_SOURCE, SHORTAGE, ProberShort, words
from vpplb.probers.poller import Poller
from vpplb.probers.recipe import conversations

# The C class: the Python one around it costs 2 µs a socket, for a bookkeeping not needed here.
Socket = socket.SocketType

_IP_BIND_ADDRESS_NO_PORT = 24  # linux/in.h; socket has it from Python 3.12 on
_STREAM = socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
_IN_PROGRESS = (0, errno.EINPROGRESS)
_EVENTS = select.EPOLLIN | select.EPOLLOUT | select.EPOLLRDHUP | select.EPOLLET
_FAILED = select.EPOLLERR | select.EPOLLHUP
_ENDED = select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR
_CHUNK = 16384


class StreamAttempt:
    """TCP, TLS or HTTP probes of one check.

    `done` is told each result that `begin` or `expire` did not return.
    """

    __slots__ = (
        "_abrupt",
        "_bind",
        "_connected",
        "_conversation",
        "_done",
        "_family",
        "_make",
        "_outbox",
        "_poller",
        "_socket",
        "_speaks",
        "_target",
    )

    def __init__(
        self,
        spec: CheckSpec,
        probe: TcpProbe | HttpProbe,
        poller: Poller,
        done: Callable[[ProbeResult], None],
    ) -> None:
        self._family = socket.AF_INET if spec.address.version == 4 else socket.AF_INET6
        self._target = (str(spec.address), probe.port)
        self._bind = None if spec.source is None else (str(spec.source), 0)
        # A reset spares both sides TIME_WAIT. After a bare TLS handshake it could overtake the
        # end of it, and the server would count a failure.
        self._abrupt = isinstance(probe, HttpProbe) or probe.tls is None
        self._speaks = isinstance(probe, HttpProbe) or probe.tls is not None
        self._make = conversations(probe, spec.address)
        self._poller = poller
        self._done = done
        self._socket: Socket | None = None
        self._conversation: Conversation = self._make()
        self._connected = False
        self._outbox = b""

    def begin(self) -> ProbeResult | None:
        """Start to connect; the result if that ended at once. ProberShort as it says."""
        self._conversation = self._make()
        self._connected = False
        self._outbox = b""
        try:
            sock = Socket(self._family, _STREAM, 0)
        except OSError as error:
            return self._refused(error.errno or 0)
        self._socket = sock
        if self._abrupt:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        if self._speaks:
            # The request then carries the acknowledgement of the handshake: a packet less.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 0)
        if self._bind is not None:
            try:
                sock.setsockopt(socket.IPPROTO_IP, _IP_BIND_ADDRESS_NO_PORT, 1)
                sock.bind(self._bind)
            except OSError as error:
                code = error.errno or 0
                return self._break(NO_SOURCE if code == errno.EADDRNOTAVAIL else words(code))
        code = sock.connect_ex(self._target)
        if code not in _IN_PROGRESS:
            return self._refused(code)
        self._poller.watch(sock.fileno(), _EVENTS, self._happened)
        return None

    def expire(self) -> ProbeResult:
        """Give up for lack of time; the result says how far it came."""
        return self._end(self._conversation.layer.timeout)

    def abort(self) -> None:
        """Give up; nobody is told."""
        self._close()

    def _refused(self, code: int) -> ProbeResult:
        if code in SHORTAGE:
            self._close()
            raise ProberShort(words(code))
        return self._break(NO_PORT if code == errno.EADDRNOTAVAIL else words(code))

    def _happened(self, events: int) -> None:
        sock = self._socket
        assert sock is not None
        if not self._connected:
            if events & _FAILED:
                code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                if code:
                    self._done(self._break(words(code)))
                    return
            self._connected = True
            if self._go(self._conversation.connected()):
                return
        elif self._outbox and events & select.EPOLLOUT and self._flush(sock):
            return
        if events & (select.EPOLLIN | _ENDED):
            self._receive(sock, ended=bool(events & _ENDED))

    def _receive(self, sock: Socket, *, ended: bool) -> None:
        """Read until nothing is left: the edge is told but once.

        Less than was asked for means nothing is left (epoll(7)), unless the peer has closed.
        """
        while True:
            try:
                data = sock.recv(_CHUNK)
            except BlockingIOError:
                return
            except OSError as error:
                self._done(self._break(words(error.errno or 0)))
                return
            if self._go(self._conversation.received(data)):
                return
            if not data or (len(data) < _CHUNK and not ended):
                return

    def _go(self, step: Step) -> bool:
        """Do what the conversation says; return whether the attempt has ended."""
        if isinstance(step, ProbeResult):
            self._done(self._end(step))
            return True
        if not step:
            return False
        self._outbox += step
        sock = self._socket
        return sock is None or self._flush(sock)

    def _flush(self, sock: Socket) -> bool:
        """Send what can be sent; return whether the attempt has ended."""
        try:
            self._outbox = self._outbox[sock.send(self._outbox) :]
        except BlockingIOError:
            return False
        except OSError as error:
            # The answer may be there already: a server may answer and close without reading on.
            if error.errno not in (errno.EPIPE, errno.ECONNRESET):
                self._done(self._break(words(error.errno or 0)))
                return True
            self._outbox = b""
            self._receive(sock, ended=True)
            return self._socket is None
        return False

    def _break(self, detail: str) -> ProbeResult:
        return self._end(ProbeResult(code=self._conversation.layer.broken, detail=detail))

    def _end(self, result: ProbeResult) -> ProbeResult:
        if self._conversation.parting and self._socket is not None:
            with suppress(OSError):  # the probe has its result; this is courtesy
                self._socket.send(self._conversation.parting)
        self._close()
        return result

    def _close(self) -> None:
        sock, self._socket = self._socket, None
        if sock is not None:
            self._poller.forget(sock.fileno())
            sock.close()
