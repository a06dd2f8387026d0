"""Whose VIPs are whose, what is adopted, what is repaired, and what outlives which restart."""

from collections.abc import AsyncIterator
from ipaddress import IPv4Address, ip_address
from pathlib import Path

import pytest

from data.kept_memory import keep_state, kept_state
from lab.live_syncer import SyncerEar, meddle, row, running, syncing, vip, without_buckets
from lab.simulated_vpp import changing_calls, simulated_vpp
from lab.waiting import eventually
from vpplb.model.names import ObjectKey
from vpplb.model.vip import Encap, IPAddress, LbConf, Vip, VipId, VipSettings
from vpplb.plan.ops import AddServer, AddVip, DelServer, DelVip, Op, SetConf, SetWeight
from vpplb.plan.settings import DesiredSettings
from vpplb.simulator.faults import PlainFault
from vpplb.simulator.flows import TCP, FiveTuple
from vpplb.simulator.messages import ApiVersion
from vpplb.simulator.server import VppSimulator
from vpplb.sync.syncer import VppSyncer
from vpplb.sync.vip_state import VipState
from vpplb.vpp.lb import PapiLoadBalancer

pytestmark = pytest.mark.slow

WEB, API = ObjectKey("shop", "web"), ObjectKey("shop", "api")
WEB_VIP, API_VIP, FOREIGN = vip("192.0.2.1/32"), vip("192.0.2.2/32"), vip("203.0.113.1/32", 443)
WEB_ROW = row({"10.0.0.1": 100, "10.0.0.2": 50, "10.0.0.3": 0})
API_ROW = row({"10.0.0.1": 10})
WANTED = {WEB: (WEB_VIP, WEB_ROW), API: (API_VIP, API_ROW)}
SETTINGS = WEB_ROW.settings
SOURCE = IPv4Address("10.255.0.1")
A, B, C, D = (ip_address(f"10.0.0.{n}") for n in (1, 2, 3, 4))
FOREIGN_OPS: tuple[Op, ...] = (
    AddVip(vip=FOREIGN, settings=VipSettings(encap=Encap.GRE6, table_length=64)),
    AddServer(vip=FOREIGN, address=ip_address("fd00::9"), weight=3),
)


@pytest.fixture
async def vpp(tmp_path: Path) -> AsyncIterator[VppSimulator]:
    async with simulated_vpp(tmp_path) as simulator:
        yield simulator


def ours(simulator: VppSimulator) -> dict[VipId, Vip]:
    """What VPP has but for the foreign VIP."""
    return {v: r for v, r in without_buckets(simulator.lb.table()).items() if v != FOREIGN}


def foreign(simulator: VppSimulator) -> dict[IPAddress, int]:
    servers = simulator.lb.table()[FOREIGN].servers
    return {address: server.weight for address, server in servers.items()}


def flows(simulator: VppSimulator) -> list[IPAddress | None]:
    """The servers of a hundred flows to WEB, which VPP remembers from the first packet on."""
    client, target = ip_address("198.51.100.1"), WEB_VIP.prefix.network_address
    return [
        simulator.lb.forward_packet(FiveTuple(client, target, TCP, port, 80))
        for port in range(2000, 2100)
    ]


async def program(simulator: VppSimulator, *ops: Op) -> None:
    await meddle(simulator.api_socket, *ops)
    simulator.calls.clear()


async def test_vips_of_others_survive_all_that_the_agent_does_and_are_seen(
    vpp: VppSimulator,
) -> None:
    await program(vpp, *FOREIGN_OPS)
    async with syncing(vpp.api_socket, WANTED, sync_interval=0.2) as (syncer, ear):
        assert set(syncer.vips.observed) == {WEB_VIP, API_VIP, FOREIGN}
        syncer.set_desired(WEB, WEB_VIP, row({"10.0.0.1": 1}, length=4096), "r2")
        syncer.remove_frontend(API)
        await ear.until(lambda: syncer.vips.owned_state.owned == {WEB_VIP: WEB})
        await ear.read_again()
        syncer.remove_frontend(WEB)
        await ear.until(lambda: not syncer.vips.owned_state.owned)
        await ear.read_again()
        assert list(syncer.vips.observed) == [FOREIGN]
    assert ours(vpp) == {}
    assert foreign(vpp) == {ip_address("fd00::9"): 3}
    assert "203.0.113.1/32" not in {call.args["pfx"] for call in changing_calls(vpp)}


async def test_a_vip_that_is_there_is_adopted_without_interruption(vpp: VppSimulator) -> None:
    await program(
        vpp,
        AddVip(vip=WEB_VIP, settings=SETTINGS),
        AddServer(vip=WEB_VIP, address=A, weight=100),
        AddServer(vip=WEB_VIP, address=B, weight=50),
        AddServer(vip=WEB_VIP, address=C, weight=0),
    )
    before = flows(vpp)
    async with syncing(vpp.api_socket, {WEB: WANTED[WEB]}) as (syncer, _):
        assert changing_calls(vpp) == []
        assert syncer.vips.owned_state.owned == {WEB_VIP: WEB}
        assert flows(vpp) == before


async def test_a_vip_that_is_there_with_other_servers_is_adopted_and_its_flows_stay(
    vpp: VppSimulator,
) -> None:
    await program(
        vpp,
        AddVip(vip=WEB_VIP, settings=SETTINGS),
        AddServer(vip=WEB_VIP, address=A, weight=1),
        AddServer(vip=WEB_VIP, address=B, weight=99),
    )
    before = flows(vpp)
    async with syncing(vpp.api_socket, {WEB: WANTED[WEB]}):
        assert {call.message for call in changing_calls(vpp)} == {
            "lb_add_del_as_v2",
            "lb_as_set_weight",
        }
        assert flows(vpp) == before


DRIFTS: dict[str, tuple[Op, ...]] = {
    "the VIP is gone": (DelVip(vip=WEB_VIP, settings=SETTINGS),),
    "a server is gone": (DelServer(vip=WEB_VIP, address=B),),
    "a server is too many": (AddServer(vip=WEB_VIP, address=D, weight=100),),
    "a weight is another": (SetWeight(vip=WEB_VIP, address=A, weight=1),),
    "the encapsulation is another": (
        DelVip(vip=WEB_VIP, settings=SETTINGS),
        AddVip(vip=WEB_VIP, settings=VipSettings(encap=Encap.GRE6)),
    ),
    "the table is of another length": (
        DelVip(vip=WEB_VIP, settings=SETTINGS),
        AddVip(vip=WEB_VIP, settings=VipSettings(encap=Encap.GRE4, table_length=64)),
    ),
    "it is sticky": (
        DelVip(vip=WEB_VIP, settings=SETTINGS),
        AddVip(vip=WEB_VIP, settings=VipSettings(encap=Encap.GRE4, src_ip_sticky=True)),
    ),
    "an all-port VIP stands in its place": (
        DelVip(vip=WEB_VIP, settings=SETTINGS),
        AddVip(vip=vip("192.0.2.1/32", 0), settings=SETTINGS),
    ),
    "the source address is another": (SetConf(conf=LbConf(ipv4_source=IPv4Address("10.6.6.6"))),),
}


@pytest.mark.parametrize("name", DRIFTS)
async def test_drift_is_repaired_within_a_sync_interval_and_counted(
    vpp: VppSimulator, name: str
) -> None:
    conf = DesiredSettings(ipv4_source=SOURCE)
    async with syncing(vpp.api_socket, WANTED, sync_interval=0.3, conf=conf) as (_, ear):
        await meddle(vpp.api_socket, *DRIFTS[name])
        await ear.until(lambda: ear.drift > 0)
        if name == "an all-port VIP stands in its place":
            await ear.until(lambda: bool(ear.reports[-1].error))
            assert "192.0.2.1/32 any, not ours" in ear.reports[-1].error
            await meddle(vpp.api_socket, DelVip(vip=vip("192.0.2.1/32", 0), settings=SETTINGS))
            await ear.until(lambda: not ear.reports[-1].error)
        await ear.read_again()
        assert ear.drift == 1
        assert ours(vpp) == dict(WANTED.values())
        assert vpp.lb.conf.ipv4_source == SOURCE
        calls = len(changing_calls(vpp))
        await ear.read_again()
        assert len(changing_calls(vpp)) == calls


async def test_paused_the_same_drift_is_seen_and_left(vpp: VppSimulator) -> None:
    async with syncing(vpp.api_socket, WANTED, sync_interval=0.2) as (syncer, ear):
        syncer.set_paused(True)
        await meddle(vpp.api_socket, *DRIFTS["a weight is another"])
        calls = len(changing_calls(vpp))
        await ear.until(lambda: syncer.vips.observed[WEB_VIP].servers[A].weight == 1)
        await ear.read_again()
        assert len(changing_calls(vpp)) == calls


# --- restarts -------------------------------------------------------------------------------------


async def test_ownership_survives_a_restart_of_the_agent(vpp: VppSimulator, tmp_path: Path) -> None:
    memory = tmp_path / "memory.json"
    await program(vpp, *FOREIGN_OPS)
    async with syncing(vpp.api_socket, WANTED) as (syncer, _):
        keep_state(memory, syncer.vips.owned_state)
    vpp.calls.clear()
    held = flows(vpp)
    async with syncing(vpp.api_socket, WANTED, state=kept_state(memory)):
        assert changing_calls(vpp) == []
        assert flows(vpp) == held
    # Both frontends were deleted while no agent ran: their VIPs go, the foreign one stays.
    async with syncing(vpp.api_socket, {}, state=kept_state(memory)) as (syncer, ear):
        await ear.until(lambda: not syncer.vips.owned_state.owned)
    assert ours(vpp) == {}
    assert foreign(vpp) == {ip_address("fd00::9"): 3}


async def test_without_its_memory_an_agent_removes_nothing_and_adopts_what_is_wanted(
    vpp: VppSimulator,
) -> None:
    async with syncing(vpp.api_socket, WANTED):
        pass
    vpp.calls.clear()
    async with syncing(vpp.api_socket, {WEB: WANTED[WEB]}) as (syncer, _):
        assert changing_calls(vpp) == []
        assert syncer.vips.owned_state.owned == {WEB_VIP: WEB}
        assert API_VIP in syncer.vips.observed


@pytest.mark.parametrize(
    "api_version", [ApiVersion(), ApiVersion(shift=7)], ids=["same ids", "other ids"]
)
async def test_a_vpp_that_restarts_empty_is_programmed_in_full(
    vpp: VppSimulator, api_version: ApiVersion
) -> None:
    conf = DesiredSettings(ipv4_source=SOURCE)
    async with syncing(vpp.api_socket, WANTED, conf=conf) as (_, ear):
        await vpp.restart(api_version=api_version)
        await ear.until(lambda: len(ear.infos) == 2)
        await ear.until(lambda: len(ear.reports) == 2 * len(WANTED))
        assert ours(vpp) == dict(WANTED.values())
        assert vpp.lb.conf.ipv4_source == SOURCE
        assert ear.drift == 0


async def test_a_vpp_that_restarts_with_its_state_is_left_as_it_is(vpp: VppSimulator) -> None:
    async with syncing(vpp.api_socket, WANTED) as (_, ear):
        vpp.calls.clear()
        await vpp.restart(keep=True)
        await ear.until(lambda: len(ear.reports) == 2 * len(WANTED))
        assert changing_calls(vpp) == []


async def test_a_vpp_with_other_definitions_is_not_touched_and_named_until_it_is_replaced(
    vpp: VppSimulator,
) -> None:
    async with syncing(vpp.api_socket, WANTED) as (_, ear):
        vpp.calls.clear()
        await vpp.restart(api_version=ApiVersion(other_crcs=frozenset({"lb_as_set_weight"})))
        await ear.until(lambda: any("VPP lacks lb_as_set_weight" in r for r in ear.reasons))
        assert changing_calls(vpp) == []
        await vpp.restart()
        await ear.until(lambda: len(ear.reports) == 2 * len(WANTED))
        assert ours(vpp) == dict(WANTED.values())


async def test_ownership_survives_restarts_of_agent_and_vpp_at_once(
    vpp: VppSimulator, tmp_path: Path
) -> None:
    memory = tmp_path / "memory.json"
    async with syncing(vpp.api_socket, WANTED) as (syncer, _):
        keep_state(memory, syncer.vips.owned_state)
    await vpp.restart(keep=True)
    await program(vpp, *FOREIGN_OPS)
    only_web = {WEB: WANTED[WEB]}
    async with syncing(vpp.api_socket, only_web, state=kept_state(memory)) as (syncer, ear):
        await ear.until(lambda: syncer.vips.owned_state.owned == {WEB_VIP: WEB})
        assert ours(vpp) == {WEB_VIP: WEB_ROW}
        assert {call.args["pfx"] for call in changing_calls(vpp)} == {"192.0.2.2/32"}
    await vpp.restart()
    async with syncing(vpp.api_socket, only_web, state=kept_state(memory)):
        assert ours(vpp) == {WEB_VIP: WEB_ROW}


async def test_an_agent_that_dies_while_it_makes_a_vip_leaves_none_that_nobody_owns(
    vpp: VppSimulator, tmp_path: Path
) -> None:
    memory = tmp_path / "memory.json"
    ear = SyncerEar()
    syncer = VppSyncer(PapiLoadBalancer(vpp.api_socket), VipState(), listener=ear)
    ear.on_memory = lambda: keep_state(memory, syncer.vips.owned_state)
    syncer.set_desired(WEB, WEB_VIP, WEB_ROW, "r1")
    syncer.set_synced()
    vpp.faults.arm(PlainFault.DROP, "lb_add_del_as_v2", times=None)
    async with running(syncer):
        await eventually(lambda: WEB_VIP in vpp.lb.table(), "VPP has the VIP")
    vpp.faults.disarm()
    assert ear.reports == []
    async with syncing(vpp.api_socket, {}, state=kept_state(memory)) as (after, heard):
        await heard.until(lambda: not after.vips.owned_state.owned)
    assert ours(vpp) == {}
