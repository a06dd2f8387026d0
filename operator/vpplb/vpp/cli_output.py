"""What only VPP's debug CLI tells: VIPs' stickiness, indexes and true prefixes; free memory."""

import re
from collections.abc import Iterator, Mapping
from ipaddress import IPv4Address, IPv6Network, ip_network
from itertools import islice
from typing import NamedTuple

from vpplb.model.vip import VipId, VipProtocol
from vpplb.plan.settings import HeapSpace
from vpplb.vpp.message_fields import Fields

SHOW_HEAP: Fields = {"cmd": b"show memory main-heap"}
SHOW_THREADS: Fields = {"cmd": b"show threads"}
SHOW_VIPS: Fields = {"cmd": b"show lb vips verbose"}
PROTOCOL_OF = {6: VipProtocol.TCP, 17: VipProtocol.UDP, 255: VipProtocol.ANY}

_HEADING = re.compile(r"^ ?ip[46]-\S+ \[(?P<index>\d+)\] (?P<prefix>\S+)(?P<words>( \S+)*) *$")
_PORT = re.compile(r"^ *protocol:(?P<protocol>\d+) port:(?P<port>\d+) *$")


_LONGEST = 256
"""Characters of a line that says something."""
MOST_VIPS = 50_000
"""VIPs that are looked at: each takes some 20 µs, with nothing else done meanwhile."""


class VipListing(NamedTuple):
    """What `show lb vips verbose` tells of live VIPs.

    `misread` are those that the binary API gives instead of VIPs whose true prefix is the value.
    """

    indexes: Mapping[VipId, int]
    sticky: frozenset[VipId] = frozenset()
    misread: Mapping[VipId, str] = {}


def parse_vips(text: str) -> VipListing:
    """Read `show lb vips verbose`; lines that make no sense are passed over.

    VPP quirk: src_ip_sticky. No binary message reads it back, nor the index in the counters.
    """
    indexes: dict[VipId, int] = {}
    sticky: list[VipId] = []
    misread: dict[VipId, str] = {}
    for heading, protocol, port in islice(_iter_live_vips(text.splitlines()), MOST_VIPS):
        try:
            prefix = ip_network(heading["prefix"], strict=False)
        except ValueError:
            continue
        # VPP quirk: low IPv6 prefixes. The binary API has those up to ::/32 as 0.0.0.0 of that
        # length, and the longer ones up to ::/95 as what no prefix is.
        if isinstance(prefix, IPv6Network) and prefix.prefixlen < 96 and not int(prefix[0]):
            if prefix.prefixlen <= 32:
                like = ip_network((IPv4Address(0), prefix.prefixlen))
                misread[VipId(like, protocol, port)] = str(prefix)
            continue
        vip = VipId(prefix, protocol, port)
        indexes[vip] = int(heading["index"])
        if "src_ip_sticky" in heading["words"].split():
            sticky.append(vip)
    return VipListing(indexes, frozenset(sticky), misread)


def _iter_live_vips(lines: list[str]) -> Iterator[tuple[re.Match[str], VipProtocol, int]]:
    """Yield heading, protocol and port of each VIP that is not removed."""
    for number, line in enumerate(lines):
        heading = _HEADING.match(line) if len(line) < _LONGEST else None
        if heading is None or "removed" in heading["words"].split():
            continue
        port = next((m for m in map(_PORT.match, lines[number + 1 : number + 3]) if m), None)
        protocol = PROTOCOL_OF.get(int(port["protocol"])) if port else VipProtocol.ANY
        if protocol is not None:
            yield heading, protocol, int(port["port"]) if port else 0


_FREE = re.compile(r"\bfree: (?P<number>[0-9.]+)(?P<unit>[KMGT]?)", re.IGNORECASE)
_UNITS = {"": 0, "K": 10, "M": 20, "G": 30, "T": 40}
_THREAD = re.compile(r"^ *\d+ +\S", re.MULTILINE)
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
"""VPP quirk: colours in tables. They stand around each cell, whoever asks."""


def parse_heap(memory: str, threads: str) -> HeapSpace | None:
    """Read `show memory main-heap` and `show threads`; None where they do not tell."""
    found = _FREE.search(memory)
    if found is None:
        return None
    free = int(float(found["number"]) * (1 << _UNITS[found["unit"].upper()]))
    return HeapSpace(free, max(len(_THREAD.findall(_COLOUR.sub("", threads))), 1))
