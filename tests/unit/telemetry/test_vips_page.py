"""What an agent tells of its VPP on demand."""

import asyncio
from collections.abc import Mapping
from datetime import datetime
from ipaddress import ip_address
from typing import Any

import pytest

from data.objects import key, vip
from fakes.clock import FakeClock
from fakes.load_balancer import FakeLoadBalancer
from vpplb.model.vip import Encap, VipId, VipSettings
from vpplb.plan.ops import AddServer, AddVip
from vpplb.sync.ports import LoadBalancerGone, ObservedVpp, PacketTally
from vpplb.sync.vip_state import OwnedState, VipState
from vpplb.telemetry.http import PageUnavailable
from vpplb.telemetry.metrics import AgentMetrics, MetricsRegistry
from vpplb.telemetry.sync_log import SyncLog
from vpplb.telemetry.vips_page import FRESH, VipsPage

pytestmark = pytest.mark.looptime

WEB, FOREIGN = vip("192.0.2.1/32"), vip("192.0.2.2/32")
PACKETS = PacketTally(existing=5, first=2, untracked=1, no_server=0)


class AbsentCounters:
    """Counters that can be away."""

    def __init__(self) -> None:
        self.gone = ""

    async def read(self, indexes: Mapping[VipId, int]) -> Mapping[VipId, PacketTally]:
        if self.gone:
            raise LoadBalancerGone(self.gone)
        return {one: PACKETS for one in indexes if one == WEB}


class SharedVpp:
    """A VPP with a VIP of ours and one of others."""

    def __init__(self) -> None:
        self.lb, self.counters, self.clock = FakeLoadBalancer(), AbsentCounters(), FakeClock()
        self.sync_log = SyncLog(AgentMetrics(MetricsRegistry("agent")))

    async def start(self, counters: bool = True) -> VipsPage:
        await self.lb.connect()
        settings = VipSettings(encap=Encap.GRE4, table_length=1024)
        await self.lb.apply_ops([AddVip(vip=one, settings=settings) for one in (FOREIGN, WEB)])
        for n, weight in ((1, 100), (2, 50)):
            address = ip_address(f"10.0.0.{n}")
            await self.lb.apply_ops([AddServer(vip=WEB, address=address, weight=weight)])
        given = self.counters if counters else None
        vips = VipState(OwnedState(owned={WEB: key("web")}))
        return VipsPage("n1", self.look, given, vips, self.sync_log, self.clock)

    async def look(self) -> tuple[ObservedVpp, Mapping[VipId, int]]:
        observed = await self.lb.read()
        return observed, dict(zip(observed.table, range(len(observed.table)), strict=True))


async def test_it_tells_all_vips_with_packets_and_true_shares() -> None:
    vpp = SharedVpp()
    answer: Mapping[str, Any] = await (await vpp.start()).read_page()
    assert (answer["node"], answer["at"]) == ("n1", vpp.clock.now().isoformat())
    web, foreign = answer["vips"]
    assert web == {
        "vip": "192.0.2.1/32 tcp/80",
        "frontend": "default/web",
        "encap": "GRE4",
        "flowTableLength": 1024,
        "packets": {"existing": 5, "first": 2, "untracked": 1, "no_server": 0},
        "servers": [
            {"address": "10.0.0.1", "weight": 100, "buckets": 674},
            {"address": "10.0.0.2", "weight": 50, "buckets": 350},
        ],
    }
    assert (foreign["frontend"], foreign["servers"]) == (None, [])
    assert "packets" not in foreign
    assert "packetsUnknown" not in answer


async def test_packets_that_cannot_be_read_are_said_to_be_unknown() -> None:
    vpp = SharedVpp()
    page = await vpp.start()
    vpp.counters.gone = "/run/vpp/stats.sock: No such file or directory"
    answer: Mapping[str, Any] = await page.read_page()
    assert answer["packetsUnknown"] == "/run/vpp/stats.sock: No such file or directory"
    assert [one for one in answer["vips"] if "packets" in one] == []
    blind: Mapping[str, Any] = await (await SharedVpp().start(counters=False)).read_page()
    assert blind["packetsUnknown"] == "there is no stats socket"


async def test_a_vpp_without_vips_is_no_trouble() -> None:
    vpp = SharedVpp()
    page = await vpp.start()
    vpp.lb.rows.clear()
    assert await page.read_page() == {
        "node": "n1",
        "at": vpp.clock.now().isoformat(),
        "drift": {"repaired": 0, "last": None},
        "vips": [],
    }


async def test_without_vpp_there_is_no_answer_but_a_reason() -> None:
    vpp = SharedVpp()
    page = await vpp.start()
    vpp.lb.down = True
    with pytest.raises(PageUnavailable, match="VPP cannot be read: VPP closed the connection"):
        await page.read_page()


async def test_however_many_ask_vpp_is_read_once_a_second() -> None:
    vpp = SharedVpp()
    page = await vpp.start()
    vpp.lb.delay = 0.1
    answers = await asyncio.gather(*(page.read_page() for _ in range(20)))
    assert all(one == answers[0] for one in answers)
    assert vpp.lb.reads == 1
    await asyncio.sleep(FRESH)
    await page.read_page()
    assert vpp.lb.reads == 2


async def test_a_frontend_is_asked_for_alone() -> None:
    page = await SharedVpp().start()
    found: Mapping[str, Any] = await page.read_page(key("web"))
    assert [one["frontend"] for one in found["vips"]] == ["default/web"]
    assert (await page.read_page(key("none")))["vips"] == []


async def test_what_others_have_changed_is_counted_and_dated() -> None:
    vpp = SharedVpp()
    page = await vpp.start()
    assert (await page.read_page())["drift"] == {"repaired": 0, "last": None}
    vpp.sync_log.on_drift(2)
    vpp.sync_log.on_drift(1)
    await asyncio.sleep(FRESH)
    told: Mapping[str, Any] = await page.read_page()
    assert told["drift"]["repaired"] == 3
    assert datetime.fromisoformat(told["drift"]["last"]).tzinfo is not None
