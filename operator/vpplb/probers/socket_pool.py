"""TCP sockets that serve one probe after the other, of whichever checks.

connect(2) with AF_UNSPEC ends a connection by a reset and leaves the socket as new, registered
with epoll as before. That is five system calls less a probe than a socket for each, and a third
of what a TCP probe costs. The reset spares both sides TIME_WAIT.
"""

import ctypes
import errno
import select
import socket
import struct
from collections.abc import Callable
from pathlib import Path

from vpplb.model.vip import IPAddress
from vpplb.probers.poller import EventPoller

# The C class: the Python one around it costs 2 µs a socket, for a bookkeeping not needed here.
Socket = socket.SocketType

_IP_BIND_ADDRESS_NO_PORT = 24  # linux/in.h; socket has it from Python 3.12 on
_STREAM = socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
_EVENTS = select.EPOLLIN | select.EPOLLOUT | select.EPOLLRDHUP | select.EPOLLET
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
_NO_LINGER = struct.pack("ii", 0, 0)
_SPARE = 256  # kept for each source address: more than are ever in use at once on a LAN

_UNSPECIFIED = bytes(16)  # struct sockaddr, AF_UNSPEC
_ADDRESS_SIZE = len(_UNSPECIFIED)
# Python's own connect takes addresses of the socket's family only.
_connect = ctypes.PyDLL(None).connect
_connect.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_uint)


class SocketPool:
    """The TCP sockets of one IP version and source address: the spare ones are here.

    A socket is registered with the poller once, edge-triggered for all that can happen.
    """

    __slots__ = ("_family", "_poller", "_source", "_spare")

    def __init__(self, poller: EventPoller, version: int, source: IPAddress | None) -> None:
        self._poller = poller
        self._family = socket.AF_INET if version == 4 else socket.AF_INET6
        self._source = source
        self._spare: list[Socket] = []

    def take_socket(self, handler: Callable[[int], None]) -> Socket:
        """Return an unconnected socket, bound to the source if there is one.

        `handler` is told of its events. OSError when there can be none; EADDRNOTAVAIL says that
        there is no such source.
        """
        if self._spare:
            sock = self._spare.pop()
            self._poller.set_handler(sock.fileno(), handler)
            return sock
        sock = Socket(self._family, _STREAM, 0)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            # On a socket that connects this holds back the acknowledgement that ends the
            # handshake. So the request carries it; and where nothing is said, the server never
            # accepts what is reset at once (as with HAProxy's checks, which set TCP_QUICKACK
            # for each connection; this outlives a reset). See tcp_rcv_synsent_state_process.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, 1)
            if self._source is not None:
                sock.setsockopt(socket.IPPROTO_IP, _IP_BIND_ADDRESS_NO_PORT, 1)
                sock.bind((str(self._source), 0))
            self._poller.add_descriptor(sock.fileno(), _EVENTS, handler)
        except OSError:
            sock.close()
            raise
        return sock

    def repeat_events(self, sock: Socket) -> None:
        """Have its user told again, in the next turn, of what there is to read."""
        self._poller.set_events(sock.fileno(), _EVENTS)

    def return_socket(self, sock: Socket) -> None:
        """Take back a connected socket; the connection is reset."""
        descriptor = sock.fileno()
        if len(self._spare) < _SPARE and _connect(descriptor, _UNSPECIFIED, _ADDRESS_SIZE) == 0:
            self._poller.clear_handler(descriptor)
            self._spare.append(sock)
        else:
            self.drop_socket(sock)

    def drop_socket(self, sock: Socket, *, gently: bool = False) -> None:
        """Close a socket for good: by a reset or, gently, so that what was sent arrives."""
        if gently:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        self._poller.clear_handler(sock.fileno())
        sock.close()

    def close(self) -> None:
        while self._spare:
            self.drop_socket(self._spare.pop())


class SocketPools:
    """The pools of a process, one for each IP version and source address."""

    def __init__(self, poller: EventPoller) -> None:
        self._poller = poller
        self._local_ports = _read_local_ports()
        self._pools: dict[tuple[int, IPAddress | None], SocketPool] = {}

    def get_pool(self, version: int, source: IPAddress | None) -> SocketPool:
        """Return the pool of this IP version and source address, None: whichever fits."""
        pool = self._pools.get((version, source))
        if pool is None:
            pool = self._pools[version, source] = SocketPool(self._poller, version, source)
        return pool

    def may_choose_port(self, port: int) -> bool:
        """Say whether the kernel may choose this port for a socket of ours.

        A connection from the very address and port it goes to is one to itself (RFC 9293, 3.5).
        """
        return port in self._local_ports

    def close(self) -> None:
        for pool in self._pools.values():
            pool.close()


def _read_local_ports() -> range:
    try:
        first, last = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    except (OSError, ValueError):
        return range(1024, 65536)
    return range(first, last + 1)


def has_address_for(version: int, target: tuple[str, int]) -> bool:
    """Say whether this host has an address to reach the target from.

    connect(2) has one errno for that and for a lack of local ports. UDP has ports of its own,
    and sends nothing.
    """
    family = socket.AF_INET if version == 4 else socket.AF_INET6
    with socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
        return sock.connect_ex(target) != errno.EADDRNOTAVAIL
