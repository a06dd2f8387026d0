"""Packets for a real VPP, from its own packet generator, and what it did with each.

No interface, no namespace and no privilege is needed: packets enter at the IP input nodes as if
they had come in on an interface, and VPP's packet tracer says which server the plugin chose.
"""

import re
import struct
import time
from collections.abc import Iterable, Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from vpplb.model.vip import IPAddress
from vpplb.simulator.flows import TCP, FiveTuple

PATIENCE = 10.0
"""Seconds that VPP may take to forward what was given to it."""

_PACKET = re.compile(r"^Packet \d+$", re.MULTILINE)
_CHOSEN = re.compile(r"^lb as\[(\d+)\]: (\S+)", re.MULTILINE)
_RAW_IP = 101  # LINKTYPE_RAW


class PacketGenerator:
    """The packet generator of the VPP that `client`, a vpp_papi client, is connected to."""

    def __init__(self, client: Any, directory: Path) -> None:
        self._client = client
        self._file = directory / "packets.pcap"
        for command in (
            "create packet-generator interface pg0",
            "set interface state pg0 up",
            "set interface ip address pg0 198.51.100.1/24",
            "enable ip6 interface pg0",
        ):
            self._say(command)

    def send(self, flows: Sequence[FiveTuple]) -> list[IPAddress | None]:
        """Send a packet of each flow; return the server chosen for each, if any.

        All flows are of one IP version. They are handled in order if they are to one address.
        """
        (version,) = {flow.source.version for flow in flows}
        self._file.write_bytes(_pcap(map(packet, flows)))
        self._say("clear trace")
        self._say(f"trace add pg-input {len(flows)}")
        node = "ip4-input" if version == 4 else "ip6-input"
        self._say(f"packet-generator new name s node {node} interface pg0 pcap {self._file}")
        self._say("packet-generator enable-stream s")
        deadline = time.monotonic() + PATIENCE
        while len(traces := self._traces(len(flows))) < len(flows):
            assert time.monotonic() < deadline, f"{len(traces)} of {len(flows)} packets came"
            time.sleep(0.02)
        self._say("packet-generator delete s")
        return [_server(trace) for trace in traces]

    def _traces(self, count: int) -> list[str]:
        return _PACKET.split(self._say(f"show trace max {count}"))[1:]

    def _say(self, command: str) -> str:
        reply = self._client.api.cli_inband(cmd=command)
        assert reply.retval == 0, f"{command}: {reply.reply}"
        text: str = reply.reply
        return text


def _server(trace: str) -> IPAddress | None:
    found = _CHOSEN.search(trace)
    return None if found is None or found[1] == "0" else ip_address(found[2])


def packet(flow: FiveTuple) -> bytes:
    """Make the first packet of a flow: the start of a TCP connection, or an empty datagram."""
    body = struct.pack(">HH", flow.source_port, flow.destination_port)
    body += struct.pack(">IIBBHHH", 0, 0, 0x50, 2, 8192, 0, 0) if flow.protocol == TCP else bytes(4)
    ends = flow.source.packed + flow.destination.packed
    if flow.source.version == 6:
        return struct.pack(">IHBB", 6 << 28, len(body), flow.protocol, 64) + ends + body
    head = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(body), 0, 0, 64, flow.protocol, 0)
    total = sum(struct.unpack(">10H", head + ends))
    total = (total & 0xFFFF) + (total >> 16)
    total = (total & 0xFFFF) + (total >> 16)
    return head[:10] + struct.pack(">H", total ^ 0xFFFF) + ends + body


def _pcap(packets: Iterable[bytes]) -> bytes:
    records = (struct.pack("<IIII", 0, 0, len(data), len(data)) + data for data in packets)
    header = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, _RAW_IP)
    return header + b"".join(records)
