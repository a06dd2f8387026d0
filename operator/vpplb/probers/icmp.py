"""Echo packets of ICMP (RFC 792) and ICMPv6 (RFC 4443): built and read, no socket.

All requests of a socket carry the same identifier and the same random payload; only the
sequence number differs. So the checksum is the constant part's sum plus the sequence number.
"""

import struct
from enum import IntEnum

PAYLOAD_SIZE = 56
"""As ping sends: some networks filter what looks unusual."""

_ECHO = struct.Struct("!BBHHH")


class Echo(IntEnum):
    """Types of echo messages."""

    V4_REQUEST = 8
    V4_REPLY = 0
    V6_REQUEST = 128
    V6_REPLY = 129


def checksum(data: bytes) -> int:
    """Return the Internet checksum (RFC 1071) of data whose own checksum field is 0."""
    return ~_ones_sum(data) & 0xFFFF


def _ones_sum(data: bytes) -> int:
    padded = data + b"\0" * (len(data) % 2)
    total: int = sum(struct.unpack(f"!{len(padded) // 2}H", padded))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return total


class EchoCodec:
    """Builds the requests of one socket, and knows their replies.

    `identifier` is overwritten by a ping socket's own. The kernel fills in the checksum of
    ICMPv6 and of ping sockets; that of IPv4 on a raw socket is ours to compute.
    """

    __slots__ = ("_identifier", "_payload", "_reply", "_request", "_sum")

    def __init__(self, *, version: int, identifier: int, payload: bytes) -> None:
        self._request = Echo.V4_REQUEST if version == 4 else Echo.V6_REQUEST
        self._reply = Echo.V4_REPLY if version == 4 else Echo.V6_REPLY
        self._identifier = identifier
        self._payload = payload
        self._sum = _ones_sum(_ECHO.pack(self._request, 0, 0, identifier, 0) + payload)

    def request(self, sequence: int) -> bytes:
        """Build the request numbered `sequence` (0 to 65535)."""
        total = self._sum + sequence
        total = (total & 0xFFFF) + (total >> 16)
        header = _ECHO.pack(self._request, 0, ~total & 0xFFFF, self._identifier, sequence)
        return header + self._payload

    def replied(self, packet: bytes, start: int = 0) -> int | None:
        """Return which request a packet replies to, None if to none; `start`: its ICMP header."""
        if len(packet) < start + _ECHO.size or not packet.endswith(self._payload):
            return None
        kind, _, _, identifier, sequence = _ECHO.unpack_from(packet, start)
        if kind != self._reply or identifier != self._identifier:
            return None
        return int(sequence)

    def quoted(self, packet: bytes) -> int | None:
        """Return which request an ICMP error quotes the beginning of, None if none."""
        if len(packet) < _ECHO.size:
            return None
        kind, _, _, identifier, sequence = _ECHO.unpack_from(packet)
        payload = packet[_ECHO.size : _ECHO.size + len(self._payload)]
        if kind != self._request or identifier != self._identifier:
            return None
        return int(sequence) if self._payload.startswith(payload) else None


def ipv4_header_size(packet: bytes) -> int:
    """Return where the ICMP header begins in what a raw IPv4 socket delivers."""
    return (packet[0] & 0x0F) * 4 if packet else 0
