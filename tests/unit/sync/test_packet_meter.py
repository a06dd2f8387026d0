import asyncio
from collections.abc import Mapping
from ipaddress import ip_network

import pytest

from vpplb.model.vip import VipId, VipProtocol
from vpplb.sync.packet_meter import METER_INTERVAL, PacketMeter
from vpplb.sync.ports import LoadBalancerGone, PacketTally

WEB = VipId(ip_network("192.0.2.1/32"), VipProtocol.TCP, 80)

pytestmark = pytest.mark.looptime


class OneVipCounters:
    """One VIP, with one packet more each time; or none, for a reason."""

    def __init__(self) -> None:
        self.packets = 0
        self.trouble = ""
        self.lost = False

    async def read(self, indexes: Mapping[VipId, int]) -> Mapping[VipId, PacketTally]:
        if self.trouble:
            raise LoadBalancerGone(self.trouble)
        self.packets += 1
        return {vip: PacketTally(first=self.packets * index) for vip, index in indexes.items()}

    async def indexes(self) -> Mapping[VipId, int]:
        if self.lost:
            raise LoadBalancerGone("not connected")
        return {WEB: 5}


async def running(counters: OneVipCounters, seconds: float) -> PacketMeter:
    """Let a meter run for some time."""
    meter = PacketMeter(counters, counters.indexes)
    task = asyncio.create_task(meter.run())
    await asyncio.sleep(seconds)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return meter


async def test_packets_are_read_at_once_and_then_each_interval() -> None:
    counters = OneVipCounters()
    assert (await running(counters, 0.1)).packets == {WEB: PacketTally(first=5)}
    assert (await running(counters, 2.5 * METER_INTERVAL)).packets == {WEB: PacketTally(first=20)}


async def test_packets_of_a_vpp_that_is_lost_are_not_shown() -> None:
    counters = OneVipCounters()
    meter = PacketMeter(counters, counters.indexes)
    task = asyncio.create_task(meter.run())
    await asyncio.sleep(0.1)
    counters.lost = True
    await asyncio.sleep(METER_INTERVAL)
    assert meter.packets == {}
    counters.lost = False
    await asyncio.sleep(1)
    assert meter.packets == {WEB: PacketTally(first=10)}
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_segment_that_cannot_be_read_is_said_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    counters = OneVipCounters()
    counters.trouble = "stats.sock: No such file"
    meter = await running(counters, 5.5 * METER_INTERVAL)
    assert meter.packets == {}
    assert caplog.messages == ["packets of VIPs are not known: stats.sock: No such file"]


async def test_it_is_said_again_after_it_was_well(caplog: pytest.LogCaptureFixture) -> None:
    counters = OneVipCounters()
    meter = PacketMeter(counters, counters.indexes)
    task = asyncio.create_task(meter.run())
    await asyncio.sleep(0.1)
    for trouble in ("gone", "", "gone"):
        counters.trouble = trouble
        await asyncio.sleep(METER_INTERVAL)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert caplog.messages == ["packets of VIPs are not known: gone"] * 2
