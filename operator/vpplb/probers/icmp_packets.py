"""Echo packets of ICMP (RFC 792) and ICMPv6 (RFC 4443): built and read, no socket.

All requests of a socket carry the same random payload; only their *tag* differs: the identifier
(which a ping socket cannot choose) and the sequence number, as one number of 32 bits. So the
checksum is the constant part's sum plus both halves of the tag.
"""

import struct
from enum import IntEnum

PAYLOAD_SIZE = 56
"""As ping sends: some networks filter what looks unusual."""

_ECHO_HEADER = struct.Struct("!BBHI")


class EchoType(IntEnum):
    """Types of echo messages."""

    V4_REQUEST = 8
    V4_REPLY = 0
    V6_REQUEST = 128
    V6_REPLY = 129


def add_words(data: bytes) -> int:
    """Return the sum whose complement is the Internet checksum (RFC 1071)."""
    if len(data) % 2:  # the last byte counts as the upper half of a word
        data += b"\0"
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return total


class EchoCodec:
    """Builds the requests of one socket, and knows their replies.

    The kernel fills in the checksum of ICMPv6 and of ping sockets, and the identifier of the
    latter; the checksum of IPv4 on a raw socket is ours to compute.
    """

    __slots__ = ("_payload", "_reply", "_request", "_size", "_sum")

    def __init__(self, *, version: int, payload: bytes) -> None:
        self._request = EchoType.V4_REQUEST if version == 4 else EchoType.V6_REQUEST
        self._reply = EchoType.V4_REPLY if version == 4 else EchoType.V6_REPLY
        self._payload = payload
        self._size = _ECHO_HEADER.size + len(payload)
        self._sum = add_words(_ECHO_HEADER.pack(self._request, 0, 0, 0) + payload)

    def build_request(self, tag: int) -> bytes:
        """Build the request with this tag: identifier << 16 | sequence number."""
        total = self._sum + (tag >> 16) + (tag & 0xFFFF)
        total = (total & 0xFFFF) + (total >> 16)
        total = (total & 0xFFFF) + (total >> 16)
        return _ECHO_HEADER.pack(self._request, 0, ~total & 0xFFFF, tag) + self._payload

    def match_reply(self, packet: bytes, start: int = 0) -> int | None:
        """Return the tag that a packet replies to, None if to none of ours.

        `start` is where its ICMP header begins. A reply gives back what it was sent (RFC 792),
        no more and no less.
        """
        if len(packet) - start != self._size or not packet.endswith(self._payload):
            return None
        kind, _, _, tag = _ECHO_HEADER.unpack_from(packet, start)
        return int(tag) if kind == self._reply else None

    def match_quoted(self, packet: bytes) -> int | None:
        """Return the tag of the request that an ICMP error quotes the beginning of, or None."""
        if len(packet) < _ECHO_HEADER.size:
            return None
        kind, _, _, tag = _ECHO_HEADER.unpack_from(packet)
        payload = packet[_ECHO_HEADER.size : self._size]
        if kind != self._request:
            return None
        return int(tag) if self._payload.startswith(payload) else None


def ipv4_header_size(packet: bytes) -> int:
    """Return where the ICMP header begins in what a raw IPv4 socket delivers."""
    return (packet[0] & 0x0F) * 4 if packet else 0


_EXCEEDED = {0: "time to live exceeded on the way", 1: "reassembly time exceeded"}
_V4_ERRORS = {
    3: {
        0: "network unreachable",
        1: "host unreachable",
        2: "protocol unreachable",
        3: "port unreachable",
        4: "fragmentation needed",
        5: "source route failed",
        6: "network unknown",
        7: "host unknown",
        9: "network administratively prohibited",
        10: "host administratively prohibited",
        13: "communication administratively prohibited",
    },
    11: _EXCEEDED,
    12: {},
}
_V6_ERRORS = {
    1: {
        0: "no route to destination",
        1: "communication administratively prohibited",
        2: "beyond the scope of the source address",
        3: "address unreachable",
        4: "port unreachable",
        5: "source address refused by policy",
        6: "route to destination rejected",
    },
    2: {0: "packet too big"},
    3: _EXCEEDED,
    4: {},
}
_V4_KINDS = {3: "destination unreachable", 12: "parameter problem"}
_V6_KINDS = {1: "destination unreachable", 4: "parameter problem"}


def describe_icmp_error(version: int, kind: int, code: int) -> str:
    """Say an ICMP error by its type and code (RFC 792, 1122, 1812; RFC 4443)."""
    errors, kinds = (_V4_ERRORS, _V4_KINDS) if version == 4 else (_V6_ERRORS, _V6_KINDS)
    known = errors.get(kind, {}).get(code)
    return known or f"{kinds.get(kind, 'ICMP error')} (type {kind}, code {code})"
