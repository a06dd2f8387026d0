"""The simulator sends every packet to the server that a real VPP sends it to, and counts alike.

Both are told the same changes and given the same packets; compared are the server of each packet,
and all that VPP tells of its VIPs afterwards: counters, flows of each server, use of the table.
"""

import os
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from vpp_papi import VPPApiClient

from data.transcripts import comparable, plain
from lab.packet_generator import PacketGenerator
from lab.real_vpp import start_vpp
from lab.simulated_vpp import LoopThread, run_in_thread
from vpplb.model.vip import IPAddress
from vpplb.simulator.flows import TCP, UDP, FiveTuple
from vpplb.simulator.server import VppSimulator

pytestmark = [
    pytest.mark.slow,
    pytest.mark.real_vpp,
    pytest.mark.filterwarnings("ignore:open_text is deprecated:DeprecationWarning"),
]

GRE4, GRE6, L3DSR, NAT4, NAT6 = range(5)
SCTP = 132

VIPS: tuple[dict[str, Any], ...] = (
    {"pfx": "192.0.2.1/32", "protocol": TCP, "port": 80, "encap": GRE4},
    {"pfx": "192.0.2.1/32", "protocol": UDP, "port": 80, "encap": GRE4, "src_ip_sticky": True},
    {"pfx": "192.0.2.1/32", "protocol": TCP, "port": 443, "encap": GRE4},
    {"pfx": "192.0.2.0/28", "protocol": 255, "port": 0, "encap": GRE6},
    {"pfx": "192.0.2.0/24", "protocol": TCP, "port": 80, "encap": GRE4},
    {"pfx": "192.0.2.2/32", "protocol": 255, "port": 0, "encap": L3DSR, "src_ip_sticky": True},
    {"pfx": "192.0.2.3/32", "protocol": TCP, "port": 80, "encap": NAT4, "target_port": 8080},
    {"pfx": "192.0.2.3/32", "protocol": UDP, "port": 53, "encap": NAT4, "target_port": 8053},
    {"pfx": "2001:db8::1/128", "protocol": TCP, "port": 80, "encap": GRE6},
    {"pfx": "2001:db8::/64", "protocol": 255, "port": 0, "encap": GRE4},
    {"pfx": "2001:db8::2/128", "protocol": UDP, "port": 53, "encap": NAT6, "target_port": 53},
    {"pfx": "2001:db8::3/128", "protocol": UDP, "port": 53, "encap": GRE4, "src_ip_sticky": True},
)
SERVERS = {4: [f"10.0.0.{n}" for n in range(1, 5)], 6: [f"fd00::{n}" for n in range(1, 5)]}
TARGETS = {
    4: ["192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.9", "192.0.2.200", "203.0.113.1"],
    6: ["2001:db8::1", "2001:db8::2", "2001:db8::3", "2001:db8::9", "2001:db8:1::1"],
}
SHOWN = ("show lb", "show lb vips verbose")


class VppPair:
    """A real VPP and a simulated one, whose clock moves as the test says."""

    def __init__(self, directory: Path, api_socket: Path) -> None:
        self.now = 0.0
        self.simulator = VppSimulator(directory / "api.sock", clock=lambda: self.now)
        self._directory, self._api_socket = directory, api_socket

    @contextmanager
    def connected(self) -> Iterator["VppPair"]:
        with run_in_thread(self.simulator) as loop:
            self._loop: LoopThread = loop
            self._real = connect(self._api_socket)
            self._simulated = connect(self.simulator.api_socket)
            self._packets = PacketGenerator(self._real, self._directory)
            yield self
            self._real.disconnect()
            self._simulated.disconnect()

    def wait(self, seconds: float) -> None:
        """Let time go by for both."""
        time.sleep(seconds)
        self.now += seconds

    def say(self, name: str, **args: Any) -> None:
        """Tell both the same; both have to answer the same."""
        real, ours = (getattr(c.api, name)(**args) for c in (self._real, self._simulated))
        theirs, ours = (comparable(name, plain(answer)) for answer in (real, ours))
        assert lines(ours) == lines(theirs), (name, args)

    def send(self, flows: list[FiveTuple]) -> list[IPAddress | None]:
        """Give both the same packets; both have to choose the same servers, and say the same."""
        real = self._packets.send(flows)
        ours = self._loop.call(lambda: [self.simulator.lb.forward_packet(flow) for flow in flows])
        assert ours == real
        for command in SHOWN:
            self.say("cli_inband", cmd=command)
        return real


def lines(answer: Any) -> Any:
    """Split the text of an answer of the command line: a difference is easier to find then."""
    return answer["reply"].splitlines() if "reply" in answer else answer


def connect(api_socket: Path) -> Any:
    client = VPPApiClient(use_socket=True, server_address=str(api_socket), bootstrapapi=True)
    client.connect("test")
    return client


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[VppPair]:
    with (
        start_vpp(Path(os.environ["VPPLB_TEST_VPP"]), tmp_path / "v") as api_socket,
        VppPair(tmp_path, api_socket).connected() as pair,
    ):
        yield pair


def servers_of(vip: dict[str, Any]) -> list[str]:
    return SERVERS[6 if vip["encap"] in (GRE6, NAT6) else 4]


def name_of(vip: dict[str, Any]) -> dict[str, Any]:
    return {key: vip[key] for key in ("pfx", "protocol", "port")}


def add_vips(pair: VppPair, length: int = 256) -> None:
    for vip in VIPS:
        pair.say("lb_add_del_vip_v2", **vip, new_flows_table_length=length)
        for number, server in enumerate(servers_of(vip), start=1):
            weight = 25 * number
            pair.say("lb_add_del_as_v2", **name_of(vip), as_address=server, weight=weight)


def flows(choose: random.Random, count: int) -> list[FiveTuple]:
    """Make packets of rather few clients, so that flows come again, to one address.

    For those to several VPP would sort by the nodes that handle them, and change their order.
    """
    version = choose.choice((4, 6))
    target = ip_address(choose.choice(TARGETS[version]))
    source = "198.51.100.{}" if version == 4 else "2001:db8:f::{}"
    return [
        FiveTuple(
            ip_address(source.format(choose.randrange(1, 40))),
            target,
            choose.choices((TCP, UDP, SCTP), (6, 4, 1))[0],
            choose.randrange(1024, 1030),
            choose.choices((80, 53, 443, 8080), (8, 4, 1, 1))[0],
        )
        for _ in range(count)
    ]


def change(choose: random.Random, pair: VppPair) -> None:
    """Change something of a VIP or of the plugin, or try to."""
    vip = choose.choice(VIPS)
    name = name_of(vip)
    server = {**name, "as_address": choose.choice(servers_of(vip))}
    flush = choose.random() < 0.5
    match choose.randrange(6):
        case 0 | 1:
            weight = choose.choice((0, 1, 50, 100))
            pair.say("lb_as_set_weight", **server, weight=weight, is_flush=flush)
        case 2:
            pair.say("lb_add_del_as_v2", **server, is_del=True, is_flush=flush)
        case 3:
            weight = choose.choice((0, 100))
            pair.say("lb_add_del_as_v2", **server, weight=weight, is_flush=flush)
        case 4:
            pair.say("lb_add_del_vip_v2", **vip, is_del=flush, new_flows_table_length=64)
        case _:
            buckets = choose.choices((16, 64, 1024), (1, 2, 6))[0]
            pair.say("lb_conf", sticky_buckets_per_core=buckets, flow_timeout=40)


@pytest.mark.parametrize("seed", range(3))
def test_packets_go_where_a_real_vpp_sends_them_whatever_changes(pair: VppPair, seed: int) -> None:
    choose = random.Random(seed)
    add_vips(pair)
    chosen: list[IPAddress | None] = []
    for _ in range(150):
        chosen += pair.send(flows(choose, 40))
        change(choose, pair)
    assert len({server for server in chosen if server}) == 8, "every server has had packets"
    assert None in chosen


def test_flows_that_had_nothing_to_say_are_forgotten_after_the_timeout(pair: VppPair) -> None:
    web = VIPS[0]
    add_vips(pair)
    pair.say("lb_conf", sticky_buckets_per_core=1024, flow_timeout=2)
    clients = [FiveTuple(ip_address(f"198.51.100.{n}"), ip_address("192.0.2.1"), TCP, 4000, 80)
               for n in range(100)]  # fmt: skip
    before = pair.send(clients)
    for server in servers_of(web)[1:]:
        pair.say("lb_as_set_weight", **name_of(web), as_address=server, weight=0)
    assert pair.send(clients) == before
    pair.wait(4)
    assert {str(server) for server in pair.send(clients)} == {servers_of(web)[0]}


def test_where_there_is_no_room_packets_go_by_the_table_alone(pair: VppPair) -> None:
    add_vips(pair)
    pair.say("lb_conf", sticky_buckets_per_core=1, flow_timeout=40)
    clients = [FiveTuple(ip_address(f"198.51.100.{n}"), ip_address("192.0.2.1"), TCP, 4000, 80)
               for n in range(50)]  # fmt: skip
    before = pair.send(clients)
    for server in servers_of(VIPS[0])[1:]:
        pair.say("lb_as_set_weight", **name_of(VIPS[0]), as_address=server, weight=0)
    stayed = [old == new for old, new in zip(before, pair.send(clients), strict=True)]
    assert all(stayed[:4])
    assert not all(stayed)
