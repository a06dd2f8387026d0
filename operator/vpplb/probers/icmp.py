"""Echo packets of ICMP (RFC 792) and ICMPv6 (RFC 4443): built and read, no socket.

All requests of a socket carry the same identifier and the same random payload; only the
sequence number differs. So the checksum is the constant part's sum plus the sequence number.
"""

import struct
from enum import IntEnum
from typing import NamedTuple

PAYLOAD_SIZE = 56
"""As ping sends: some networks filter what looks unusual."""

_ECHO = struct.Struct("!BBHHH")


class Echo(IntEnum):
    """Types of echo messages."""

    V4_REQUEST = 8
    V4_REPLY = 0
    V6_REQUEST = 128
    V6_REPLY = 129


class EchoMessage(NamedTuple):
    """What of an echo message says whose it is."""

    kind: int
    identifier: int
    sequence: int
    payload: bytes


def checksum(data: bytes) -> int:
    """Return the Internet checksum (RFC 1071) of data whose own checksum field is 0."""
    return ~_ones_sum(data) & 0xFFFF


def _ones_sum(data: bytes) -> int:
    padded = data + b"\0" * (len(data) % 2)
    total: int = sum(struct.unpack(f"!{len(padded) // 2}H", padded))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return total


class RequestBuilder:
    """Builds the requests of one socket. `identifier` is overwritten by a ping socket's own.

    The kernel fills in the checksum of ICMPv6 and of ping sockets; that of IPv4 on a raw
    socket is ours to compute.
    """

    __slots__ = ("_identifier", "_kind", "_payload", "_sum")

    def __init__(self, *, version: int, identifier: int, payload: bytes) -> None:
        self._kind = Echo.V4_REQUEST if version == 4 else Echo.V6_REQUEST
        self._identifier = identifier
        self._payload = payload
        self._sum = _ones_sum(_ECHO.pack(self._kind, 0, 0, identifier, 0) + payload)

    def build(self, sequence: int) -> bytes:
        """Return the request numbered `sequence` (0 to 65535)."""
        total = self._sum + sequence
        total = (total & 0xFFFF) + (total >> 16)
        return (
            _ECHO.pack(self._kind, 0, ~total & 0xFFFF, self._identifier, sequence) + self._payload
        )


def read_echo(packet: bytes) -> EchoMessage | None:
    """Read an echo request or reply that begins with its ICMP header; None if it is too short."""
    if len(packet) < _ECHO.size:
        return None
    kind, _, _, identifier, sequence = _ECHO.unpack_from(packet)
    return EchoMessage(kind, identifier, sequence, packet[_ECHO.size :])


def strip_ipv4(packet: bytes) -> bytes:
    """Remove the IPv4 header that a raw IPv4 socket delivers (an IPv6 one does not)."""
    return packet[(packet[0] & 0x0F) * 4 :] if packet else packet
