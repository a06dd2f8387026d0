"""ICMP probes: one socket a family and source address, shared by all checks.

A raw socket where that is permitted, else a ping socket (`net.ipv4.ping_group_range`). With
IP_RECVERR both kinds hand over ICMP errors the same way, from the socket's error queue and
with the echo request that they quote (ip(7)), so unreachable hosts are known at once.
"""

import errno
import logging
import os
import select
import socket
import struct
from collections.abc import Callable

from vpplb.model.check import CheckSpec, IPAddress
from vpplb.model.health import ProbeCode, ProbeResult
from vpplb.probers.errors import NO_SOURCE, SHORTAGE, ProberShort, words
from vpplb.probers.icmp import PAYLOAD_SIZE, Echo, EchoCodec, ipv4_header_size
from vpplb.probers.poller import Poller

_log = logging.getLogger(__name__)

_REPLY = ProbeResult(code=ProbeCode.L3OK, detail="echo reply")
_SILENCE = ProbeResult(code=ProbeCode.L3TOUT, detail="no echo reply in time")

_IP_RECVERR = 11  # linux/in.h
_IPV6_RECVERR = 25  # linux/in6.h
_SOL_RAW = 255  # linux/socket.h
_ICMP_FILTER = 1  # linux/icmp.h
_ICMPV6_FILTER = 1  # linux/icmpv6.h
_ONLY_V4_REPLIES = struct.pack("=I", ~(1 << Echo.V4_REPLY) & 0xFFFFFFFF)
# Eight words, a bit a type, what is set is dropped; the replies' bit is in the fifth.
_ONLY_V6_REPLIES = struct.pack(
    "=8I", *(0xFFFFFFFF ^ (1 << Echo.V6_REPLY % 32 if n == 4 else 0) for n in range(8))
)
_EXTENDED_ERROR = struct.Struct("=IBBBBII")  # struct sock_extended_err
_BUFFER = 1 << 20
_PACKET = 512
_CONTROL = 512


class EchoSocket:
    """One socket with the requests on their way through it, by sequence number."""

    def __init__(self, version: int, source: IPAddress | None, poller: Poller) -> None:
        """OSError when there can be no such socket: not permitted, or no such source address."""
        self._version = version
        self._poller = poller
        self._source = source
        # By sequence number: to whom the request went, and who wants to know.
        self._pending: dict[int, tuple[str, Callable[[ProbeResult], None]]] = {}
        self._sequence = 0
        self._payload = (b"vpplb" + os.urandom(16)).ljust(PAYLOAD_SIZE, b".")
        self._socket, self.raw = _open(version)
        self._headed = self.raw and version == 4  # packets come with their IP header
        try:
            self._configure()
        except OSError:
            self._socket.close()
            raise
        poller.watch(self._socket.fileno(), select.EPOLLIN, self._happened)

    def send(self, target: str, done: Callable[[ProbeResult], None]) -> int | ProbeResult:
        """Send a request; return its number, or how it failed at once. ProberShort as it says."""
        sequence = self._next_sequence()
        packet = self._codec.request(sequence)
        try:
            self._socket.sendto(packet, (target, 0))
        except OSError:
            # It may be the error that came for an earlier request: the kernel reports it on
            # whatever is done next. Once it is fetched, a second failure is about this one.
            self._drain_errors()
            try:
                self._socket.sendto(packet, (target, 0))
            except OSError as error:
                return self._refused(error.errno or 0)
        self._pending[sequence] = (target, done)
        return sequence

    def forget(self, sequence: int) -> None:
        """Await this answer no longer."""
        self._pending.pop(sequence, None)

    def close(self) -> None:
        """Close; what was pending is never told."""
        self._poller.forget(self._socket.fileno())
        self._socket.close()

    def _configure(self) -> None:
        sock, version = self._socket, self._version
        if version == 4:
            sock.setsockopt(socket.IPPROTO_IP, _IP_RECVERR, 1)
        else:
            sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVERR, 1)
        if self.raw and version == 4:
            sock.setsockopt(_SOL_RAW, _ICMP_FILTER, _ONLY_V4_REPLIES)
        elif self.raw:
            sock.setsockopt(socket.IPPROTO_ICMPV6, _ICMPV6_FILTER, _ONLY_V6_REPLIES)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)
        if self._source is not None or not self.raw:
            # A ping socket gets its identifier, as its port, by being bound.
            any_address = "0.0.0.0" if version == 4 else "::"
            sock.bind((str(self._source or any_address), 0))
        identifier = os.getpid() & 0xFFFF if self.raw else int(sock.getsockname()[1])
        self._codec = EchoCodec(version=version, identifier=identifier, payload=self._payload)

    def _next_sequence(self) -> int:
        for _ in range(0x10000):
            self._sequence = (self._sequence + 1) & 0xFFFF
            if self._sequence not in self._pending:
                return self._sequence
        raise ProberShort("65536 echo requests are on their way")

    def _refused(self, code: int) -> ProbeResult:
        if code in SHORTAGE or code == errno.EAGAIN:
            raise ProberShort(words(code))
        if code == errno.EINVAL and self._source is not None:
            return ProbeResult(
                code=ProbeCode.L3UNR, detail=NO_SOURCE
            )  # it was there when the socket was bound
        return ProbeResult(code=ProbeCode.L3UNR, detail=words(code))

    def _happened(self, events: int) -> None:
        if events & select.EPOLLERR:
            self._drain_errors()
        if events & select.EPOLLIN:
            self._receive()

    def _receive(self) -> None:
        """Read while answers are awaited; what is left is told of again (level-triggered)."""
        for _ in range(len(self._pending) + 1):
            try:
                packet, sender = self._socket.recvfrom(_PACKET)
            except OSError:
                return
            self._answered(packet, sender[0])
            if not self._pending:
                return

    def _answered(self, packet: bytes, sender: str) -> None:
        start = ipv4_header_size(packet) if self._headed else 0
        sequence = self._codec.replied(packet, start)
        if sequence is None:
            return
        pending = self._pending.get(sequence)
        if pending is not None and pending[0] == sender:
            del self._pending[sequence]
            pending[1](_REPLY)

    def _drain_errors(self) -> None:
        while True:
            try:
                quoted, control, _, _ = self._socket.recvmsg(
                    _PACKET, _CONTROL, socket.MSG_ERRQUEUE | socket.MSG_DONTWAIT
                )
            except OSError:
                return
            for level, kind, data in control:
                if (level, kind) in (
                    (socket.IPPROTO_IP, _IP_RECVERR),
                    (socket.IPPROTO_IPV6, _IPV6_RECVERR),
                ):
                    self._unreachable(quoted, int(_EXTENDED_ERROR.unpack_from(data)[0]))

    def _unreachable(self, quoted: bytes, code: int) -> None:
        """Fail the request that an ICMP error quotes; a raw socket hears of those of others too."""
        sequence = self._codec.quoted(quoted)
        pending = None if sequence is None else self._pending.pop(sequence, None)
        if pending is not None:
            pending[1](ProbeResult(code=ProbeCode.L3UNR, detail=words(code)))


def _open(version: int) -> tuple[socket.SocketType, bool]:
    """Open a raw socket if permitted, else a ping socket; say whether it is raw."""
    family = socket.AF_INET if version == 4 else socket.AF_INET6
    protocol = socket.IPPROTO_ICMP if version == 4 else socket.IPPROTO_ICMPV6
    flags = socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
    try:
        return socket.SocketType(family, socket.SOCK_RAW | flags, protocol), True
    except PermissionError:
        return socket.SocketType(family, socket.SOCK_DGRAM | flags, protocol), False


class EchoSockets:
    """The ICMP sockets of a process. The log says once which kind they are."""

    def __init__(self, poller: Poller) -> None:
        self._poller = poller
        self._sockets: dict[tuple[int, IPAddress | None], EchoSocket] = {}
        self._told: set[str] = set()

    def get(self, version: int, source: IPAddress | None) -> EchoSocket | ProbeResult:
        """Return the socket, opened if need be, or why there is none. ProberShort as it says."""
        found = self._sockets.get((version, source))
        if found is not None:
            return found
        try:
            opened = EchoSocket(version, source, self._poller)
        except PermissionError:
            self._tell("ICMP: neither raw sockets nor ping sockets are permitted")
            return ProbeResult(
                code=ProbeCode.L3UNR, detail="ICMP sockets are not permitted to the prober"
            )
        except OSError as error:
            code = error.errno or 0
            if code in SHORTAGE:
                raise ProberShort(words(code)) from error
            detail = NO_SOURCE if code == errno.EADDRNOTAVAIL else words(code)
            return ProbeResult(code=ProbeCode.L3UNR, detail=detail)
        kind = "raw" if opened.raw else "unprivileged ping"
        self._tell(f"ICMP over IPv{version}: {kind} sockets")
        self._sockets[version, source] = opened
        return opened

    def close(self) -> None:
        """Close them all."""
        for each in self._sockets.values():
            each.close()
        self._sockets.clear()

    def _tell(self, text: str) -> None:
        if text not in self._told:
            self._told.add(text)
            _log.info(text)


class EchoAttempt:
    """ICMP probes of one check. `done` is told each result that `begin` did not return."""

    __slots__ = ("_done", "_sequence", "_socket", "_sockets", "_source", "_target", "_version")

    def __init__(
        self, spec: CheckSpec, sockets: EchoSockets, done: Callable[[ProbeResult], None]
    ) -> None:
        self._version = spec.address.version
        self._source = spec.source
        family = socket.AF_INET if self._version == 4 else socket.AF_INET6
        # As the kernel's library writes it, which recvfrom's sender is compared with.
        self._target = socket.inet_ntop(family, spec.address.packed)
        self._sockets = sockets
        self._done = done
        self._socket: EchoSocket | None = None
        self._sequence = 0

    def begin(self) -> ProbeResult | None:
        """Send a request; the result if that failed at once. ProberShort as it says."""
        found = self._socket or self._sockets.get(self._version, self._source)
        if isinstance(found, ProbeResult):
            return found
        self._socket = found
        sent = found.send(self._target, self._done)
        if isinstance(sent, ProbeResult):
            return sent
        self._sequence = sent
        return None

    def expire(self) -> ProbeResult:
        """Give up for lack of time."""
        self.abort()
        return _SILENCE

    def abort(self) -> None:
        """Give up; nobody is told."""
        if self._socket is not None:
            self._socket.forget(self._sequence)
