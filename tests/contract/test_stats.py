"""What every VPP's counters do: the simulator's and a real one's, read in one way.

Packets are sent by VPP's own packet generator to a real VPP, and by five-tuples to the simulator.
"""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable, Sequence
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest
from vpp_papi import VPPApiClient
from vpp_papi.vpp_stats import VPPStats

from vpplb.model.vip import Encap, VipId, VipProtocol, VipSettings
from vpplb.plan.ops import AddServer, AddVip, DelVip, Op
from vpplb.simulator.flows import TCP, UDP, FiveTuple
from vpplb.simulator.server import VppSimulator
from vpplb.sync.ports import LoadBalancerGone, PacketTally
from vpplb.vpp.lb import PapiLoadBalancer
from vpplb.vpp.stats import PapiVipCounters

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:open_text is deprecated:DeprecationWarning"),
]

Send = Callable[[Sequence[FiveTuple]], object]

GRE4 = VipSettings(encap=Encap.GRE4)


class CountingVpp:
    """A VPP as the agent sees it, and a way to send packets through it."""

    def __init__(self, directory: Path, send: Send) -> None:
        self.lb = PapiLoadBalancer(directory / "api.sock")
        self.stats_socket = directory / "stats.sock"
        self.counters = PapiVipCounters(self.stats_socket)
        self.send = send

    async def read(self) -> dict[VipId, PacketTally]:
        return dict(await self.counters.read(await self.lb.vip_indexes()))

    async def apply(self, *ops: Op) -> None:
        assert [outcome.retval for outcome in await self.lb.apply_ops(ops)] == [0] * len(ops)


@pytest.fixture(params=["simulator", pytest.param("real", marks=pytest.mark.real_vpp)])
async def vpp(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[CountingVpp]:
    if request.param == "simulator":
        simulator = VppSimulator(tmp_path / "api.sock", stats_socket=tmp_path / "stats.sock")
        await simulator.start()
        vpp = CountingVpp(
            tmp_path, lambda flows: [simulator.lb.forward_packet(flow) for flow in flows]
        )
        await vpp.lb.connect()
        yield vpp
        await vpp.lb.close()
        await simulator.stop()
    else:
        from lab.packet_generator import PacketGenerator
        from lab.real_vpp import start_vpp

        with start_vpp(Path(os.environ["VPPLB_TEST_VPP"]), tmp_path) as api_socket:
            client: Any = VPPApiClient(
                use_socket=True, server_address=str(api_socket), bootstrapapi=True
            )
            client.connect("test")
            vpp = CountingVpp(tmp_path, PacketGenerator(client, tmp_path).send)
            await vpp.lb.connect()
            yield vpp
            await vpp.lb.close()
            client.disconnect()


def vip(address: str) -> VipId:
    return VipId(ip_network(address), VipProtocol.TCP, 80)


def flows(address: str, count: int) -> list[FiveTuple]:
    client, target = ip_address("198.51.100.7"), ip_address(address)
    return [FiveTuple(client, target, TCP, 4000 + n, 80) for n in range(count)]


ONE, TWO = vip("192.0.2.1/32"), vip("192.0.2.2/32")
SERVER = ip_address("10.0.0.1")


async def test_a_vpp_without_vips_counts_nothing(vpp: CountingVpp) -> None:
    assert await vpp.read() == {}
    assert await vpp.counters.read({ONE: 1}) == {}


async def test_packets_are_counted_by_vip_and_by_what_became_of_them(vpp: CountingVpp) -> None:
    await vpp.apply(AddVip(vip=ONE, settings=GRE4), AddVip(vip=TWO, settings=GRE4))
    await vpp.apply(AddServer(vip=ONE, address=SERVER, weight=100))
    assert await vpp.read() == {ONE: PacketTally(), TWO: PacketTally()}
    vpp.send(flows("192.0.2.1", 5))
    vpp.send(flows("192.0.2.1", 8))
    vpp.send(flows("192.0.2.2", 2))
    assert await vpp.read() == {
        ONE: PacketTally(first=8, existing=5),
        TWO: PacketTally(no_server=2),
    }


KINDS: dict[VipId, VipSettings] = {
    VipId(ip_network(prefix), protocol, port): VipSettings(encap=encap, **more)
    for prefix, protocol, port, encap, more in (
        ("192.0.2.1/32", VipProtocol.TCP, 80, Encap.GRE4, {}),
        ("192.0.2.1/32", VipProtocol.UDP, 80, Encap.GRE4, {"src_ip_sticky": True}),
        ("192.0.2.2/32", VipProtocol.ANY, 0, Encap.GRE6, {}),
        ("192.0.2.3/32", VipProtocol.ANY, 0, Encap.L3DSR, {"dscp": 7}),
        ("192.0.2.4/32", VipProtocol.UDP, 80, Encap.NAT4, {"target_port": 8080}),
        ("192.0.2.4/32", VipProtocol.TCP, 80, Encap.NAT4, {"target_port": 8081}),
        ("2001:db8::1/128", VipProtocol.TCP, 80, Encap.GRE6, {}),
        ("2001:db8::2/128", VipProtocol.ANY, 0, Encap.GRE4, {}),
        ("2001:db8::3/128", VipProtocol.UDP, 80, Encap.NAT6, {"target_port": 80}),
    )
}
"""A VIP of each kind: what carries its packets, of both families, with a port and without."""


async def test_a_vip_of_every_kind_has_its_own_packets(vpp: CountingVpp) -> None:
    await vpp.apply(*(AddVip(vip=each, settings=KINDS[each]) for each in KINDS))
    for each, settings in KINDS.items():
        six = settings.encap in (Encap.GRE6, Encap.NAT6)
        server = ip_address("fd00::1" if six else "10.0.0.1")
        await vpp.apply(AddServer(vip=each, address=server, weight=10))
    expected = {}
    for number, each in enumerate(KINDS, 1):  # as many packets as its number, so none is mistaken
        target = each.prefix.network_address
        client = ip_address("198.51.100.7" if target.version == 4 else "2001:db8:9::7")
        protocol = UDP if each.protocol is VipProtocol.UDP else TCP
        flow = FiveTuple(client, target, protocol, 4000, 80)
        vpp.send([flow] * number)
        expected[each] = PacketTally(first=1, existing=number - 1)
    assert await vpp.read() == expected


async def test_a_vip_that_is_made_anew_counts_from_zero(vpp: CountingVpp) -> None:
    await vpp.apply(AddVip(vip=ONE, settings=GRE4))
    await vpp.apply(AddServer(vip=ONE, address=SERVER, weight=100))
    vpp.send(flows("192.0.2.1", 3))
    before = await vpp.lb.vip_indexes()
    await vpp.apply(DelVip(vip=ONE, settings=GRE4), AddVip(vip=ONE, settings=GRE4))
    assert await vpp.read() == {ONE: PacketTally()}
    assert await vpp.lb.vip_indexes() != before


async def test_an_unmodified_client_finds_the_names_and_a_row_a_thread(vpp: CountingVpp) -> None:
    await vpp.apply(AddVip(vip=ONE, settings=GRE4))
    await vpp.apply(AddServer(vip=ONE, address=SERVER, weight=100))
    vpp.send(flows("192.0.2.1", 3))
    (index,) = (await vpp.lb.vip_indexes()).values()
    client = VPPStats(str(vpp.stats_socket))
    await asyncio.to_thread(client.connect)  # the simulator answers in this thread's loop
    rows = client["first session packet"]
    assert [row[index] for row in rows] == [3]
    assert set(client.ls(["no server", "untracked", "packet from"])) == {
        "no server configured",
        "untracked packet",
        "packet from existing sessions",
    }
    client.disconnect()


async def test_a_reading_is_soon_done(vpp: CountingVpp) -> None:
    vips = [vip(f"10.{n // 250}.{n % 250}.1/32") for n in range(1000)]
    await vpp.apply(*(AddVip(vip=each, settings=VipSettings(encap=Encap.GRE4, table_length=1))
                      for each in vips))  # fmt: skip
    indexes = await vpp.lb.vip_indexes()
    used = time.process_time()
    packets = await vpp.counters.read(indexes)
    assert time.process_time() - used < 0.25
    assert set(packets) == set(vips)


async def test_a_vpp_that_is_gone_is_not_read(vpp: CountingVpp) -> None:
    await vpp.lb.close()
    with pytest.raises(LoadBalancerGone):
        await vpp.lb.vip_indexes()
