"""One ICMP socket, with the echo requests on their way through it.

A raw socket where that is permitted, else a ping socket (`net.ipv4.ping_group_range`). With
IP_RECVERR both kinds hand over ICMP errors the same way, from the socket's error queue and
with the echo request that they quote (ip(7)), so unreachable hosts are known at once.
"""

import errno
import secrets
import select
import socket
import struct
from collections.abc import Callable
from ipaddress import ip_address

from vpplb.model.health import ProbeCode, ProbeResult
from vpplb.model.vip import IPAddress
from vpplb.probers.errors import (
    NO_SOURCE,
    SHORTAGE,
    ProberShortage,
    ShortageKind,
    describe_errno,
    shortage_error,
)
from vpplb.probers.icmp_packets import (
    PAYLOAD_SIZE,
    EchoCodec,
    EchoType,
    describe_icmp_error,
    ipv4_header_size,
)
from vpplb.probers.poller import EventPoller

REPLY = ProbeResult(code=ProbeCode.L3OK, detail="echo reply")

_IP_RECVERR = 11  # linux/in.h
_IPV6_RECVERR = 25  # linux/in6.h
_SOL_RAW = 255  # linux/socket.h
_ICMP_FILTER = 1  # linux/icmp.h
_ICMPV6_FILTER = 1  # linux/icmpv6.h
_ONLY_V4_REPLIES = struct.pack("=I", ~(1 << EchoType.V4_REPLY) & 0xFFFFFFFF)
# Eight words, a bit a type, what is set is dropped; the replies' bit is in the fifth.
_ONLY_V6_REPLIES = struct.pack(
    "=8I", *(0xFFFFFFFF ^ (1 << EchoType.V6_REPLY % 32 if n == 4 else 0) for n in range(8))
)
_EXTENDED_ERROR = struct.Struct("=IBBBBII")  # struct sock_extended_err; a sockaddr follows
_ORIGIN_LOCAL = 1  # linux/errqueue.h, SO_EE_ORIGIN_LOCAL
_BUFFER = 1 << 20
_PACKET = 512
_PACKETS_A_TURN = 1024  # of replies, true or forged, and of errors: other checks wait meanwhile
_CONTROL = 512
_SENDS = 5  # of a request, while errors of others come in between


class IcmpSocket:
    """One socket with the requests on their way through it, by tag (see `icmp_packets`)."""

    def __init__(self, version: int, source: IPAddress | None, poller: EventPoller) -> None:
        """OSError when there can be no such socket: not permitted, or no such source address."""
        self._version = version
        self._poller = poller
        self._source = source
        # By tag: to whom the request went, and who wants to know.
        self._pending: dict[int, tuple[str, Callable[[ProbeResult], None]]] = {}
        self._sequence = secrets.randbelow(0x10000)
        payload = (b"vpplb" + secrets.token_bytes(16)).ljust(PAYLOAD_SIZE, b".")
        self._codec = EchoCodec(version=version, payload=payload)
        self._socket, self.raw = _open_socket(version)
        self.users = 0  # checks that keep a ping socket open
        self._headed = self.raw and version == 4  # packets come with their IP header
        try:
            self._configure_socket()
        except OSError:
            self._socket.close()
            raise
        poller.add_descriptor(self._socket.fileno(), select.EPOLLIN, self._on_events)

    def new_identifier(self) -> int:
        """Return an identifier for a check: a random one, or the only one of a ping socket."""
        return secrets.randbelow(0xFFFF) + 1 if self.raw else int(self._socket.getsockname()[1])

    def send_request(
        self, identifier: int, target: str, done: Callable[[ProbeResult], None]
    ) -> int | ProbeResult:
        """Send a request; return its tag, or how it failed at once. ProberShortage as it says."""
        tag = self._next_tag(identifier)
        packet = self._codec.build_request(tag)
        try:
            self._socket.sendto(packet, (target, 0))
        except OSError as error:
            code = self._send_again(packet, target, error.errno or errno.EIO)
            if code:
                return self._refuse_request(code)
        self._pending[tag] = (target, done)
        return tag

    def forget_request(self, tag: int) -> None:
        self._pending.pop(tag, None)

    def close(self) -> None:
        """Close; what was pending is never told."""
        self._poller.clear_handler(self._socket.fileno())
        self._socket.close()

    def _configure_socket(self) -> None:
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

    def _send_again(self, packet: bytes, target: str, code: int) -> int:
        """Send what failed with this errno; return that of the last failure, 0 for none.

        It may be the error that came for another request, on a raw socket even for one of
        another program: the kernel reports it on whatever is done next. Once there are none to
        fetch, a failure is about this request.
        """
        errors = 1
        for _ in range(_SENDS):
            if not errors:
                break
            errors = self._drain_errors()
            try:
                self._socket.sendto(packet, (target, 0))
            except OSError as error:
                code = error.errno or errno.EIO
            else:
                return 0
        return code

    def _next_tag(self, identifier: int) -> int:
        for _ in range(0x10000):
            self._sequence = (self._sequence + 1) & 0xFFFF
            tag = identifier << 16 | self._sequence
            if tag not in self._pending:
                return tag
        raise ProberShortage(ShortageKind.BUFFERS, "65536 echo requests are on their way")

    def _refuse_request(self, code: int) -> ProbeResult:
        if code in SHORTAGE or code == errno.EAGAIN:
            raise shortage_error(code)
        if code == errno.EINVAL and self._source is not None:
            return ProbeResult(
                code=ProbeCode.L3UNR, detail=NO_SOURCE
            )  # it was there when the socket was bound
        return ProbeResult(code=ProbeCode.L3UNR, detail=describe_errno(code))

    def _on_events(self, events: int) -> None:
        if events & select.EPOLLERR:
            self._drain_errors()
        if events & select.EPOLLIN:
            self._receive_replies()

    def _receive_replies(self) -> None:
        """Read while answers are awaited; what is left is told of again (level-triggered)."""
        for _ in range(min(len(self._pending) + 1, _PACKETS_A_TURN)):
            try:
                packet, sender = self._socket.recvfrom(_PACKET)
            except OSError:
                return
            self._on_reply(packet, sender[0])
            if not self._pending:
                return

    def _on_reply(self, packet: bytes, sender: str) -> None:
        start = ipv4_header_size(packet) if self._headed else 0
        tag = self._codec.match_reply(packet, start)
        if tag is None:
            return
        pending = self._pending.get(tag)
        if pending is not None and pending[0] == sender:
            del self._pending[tag]
            pending[1](REPLY)

    def _drain_errors(self) -> int:
        """Fetch the errors that wait; return how many there were."""
        for number in range(_PACKETS_A_TURN):
            try:
                quoted, control, _, _ = self._socket.recvmsg(
                    _PACKET, _CONTROL, socket.MSG_ERRQUEUE | socket.MSG_DONTWAIT
                )
            except OSError:
                return number
            for level, kind, data in control:
                if (level, kind) in (
                    (socket.IPPROTO_IP, _IP_RECVERR),
                    (socket.IPPROTO_IPV6, _IPV6_RECVERR),
                ):
                    self._fail_request(quoted, data)
        return _PACKETS_A_TURN

    def _fail_request(self, quoted: bytes, error: bytes) -> None:
        """Fail the request that an ICMP error quotes; a raw socket hears of those of others too."""
        tag = self._codec.match_quoted(quoted)
        pending = None if tag is None else self._pending.pop(tag, None)
        if pending is not None:
            pending[1](
                ProbeResult(code=ProbeCode.L3UNR, detail=_describe_error(self._version, error))
            )


def _describe_error(version: int, error: bytes) -> str:
    """Say a sock_extended_err with the address of who sent it: the router that is to be asked."""
    code, origin, kind, icmp_code, *_ = _EXTENDED_ERROR.unpack_from(error)
    if origin == _ORIGIN_LOCAL:
        return describe_errno(int(code))
    begin, size = (4, 4) if version == 4 else (8, 16)  # of the address within its sockaddr
    offender = error[_EXTENDED_ERROR.size + begin :][:size]
    said = describe_icmp_error(version, int(kind), int(icmp_code))
    return f"{said}, from {ip_address(offender)}" if any(offender) else said


def _open_socket(version: int) -> tuple[socket.SocketType, bool]:
    """Open a raw socket if permitted, else a ping socket; say whether it is raw."""
    family = socket.AF_INET if version == 4 else socket.AF_INET6
    protocol = socket.IPPROTO_ICMP if version == 4 else socket.IPPROTO_ICMPV6
    flags = socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
    try:
        return socket.SocketType(family, socket.SOCK_RAW | flags, protocol), True
    except PermissionError:
        return socket.SocketType(family, socket.SOCK_DGRAM | flags, protocol), False
