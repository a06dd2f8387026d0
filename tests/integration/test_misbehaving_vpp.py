"""A VPP that misbehaves at any call: the agent comes through, and VPP is as wanted thereafter."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from ipaddress import ip_address
from pathlib import Path

import pytest

from lab.live_syncer import SyncerEar, row, running, vip, without_buckets
from lab.simulated_vpp import hang_up, simulated_vpp
from vpplb.model.names import ObjectKey
from vpplb.model.vip import AppServer, IPAddress, Vip, VipId
from vpplb.simulator.faults import (
    DelayAnswer,
    Fault,
    PlainFault,
)
from vpplb.simulator.flows import TCP, FiveTuple
from vpplb.simulator.messages import ApiVersion
from vpplb.simulator.server import VppSimulator
from vpplb.sync.ports import VipReport
from vpplb.sync.syncer import VppSyncer
from vpplb.sync.vip_state import VipState
from vpplb.vpp.lb import PapiLoadBalancer

pytestmark = pytest.mark.slow

TIMEOUT = 0.2
WEB, API = ObjectKey("shop", "web"), ObjectKey("shop", "api")
WEB_VIP, API_VIP = vip("192.0.2.1/32"), vip("2001:db8::1/128", 0)
A, B, C = (ip_address(f"10.0.0.{n}") for n in (1, 2, 3))
WEB_ROW = row({"10.0.0.1": 50, "10.0.0.2": 50})
FAILED = Vip(
    settings=WEB_ROW.settings,
    servers={
        A: AppServer(weight=0, flush_epoch=7),
        B: AppServer(weight=50),
        C: AppServer(weight=9),
    },
)
Wishes = Mapping[ObjectKey, tuple[VipId, Vip]]
BEFORE: Wishes = {WEB: (WEB_VIP, WEB_ROW), API: (API_VIP, row({"10.0.0.1": 1}))}
AFTER: Wishes = {WEB: (WEB_VIP, FAILED), API: (API_VIP, row({"10.0.0.1": 1}, length=4096))}
"""A server fails and another comes; the other VIP has to be made anew."""
FAULTS = (
    PlainFault.DROP,
    DelayAnswer(seconds=2 * TIMEOUT),
    PlainFault.LATE,
    PlainFault.WRONG_CONTEXT,
    PlainFault.WRONG_ID,
    PlainFault.OVERSIZE,
    PlainFault.CUT,
    PlainFault.DIE,
)


@pytest.fixture
async def vpp(tmp_path: Path) -> AsyncIterator[VppSimulator]:
    async with simulated_vpp(tmp_path) as simulator:
        yield simulator


@pytest.fixture
async def syncing(vpp: VppSimulator) -> AsyncIterator[tuple[VppSyncer, SyncerEar]]:
    """A syncer whose VPP has what it wanted `BEFORE`."""
    ear = SyncerEar()
    syncer = VppSyncer(PapiLoadBalancer(vpp.api_socket, timeout=TIMEOUT), VipState(), listener=ear)
    syncer.set_synced()
    async with running(syncer):
        await want(syncer, ear, BEFORE, "r1")
        yield syncer, ear


async def want(syncer: VppSyncer, ear: SyncerEar, wishes: Wishes, revision: str) -> None:
    """Want this until it is reported as programmed."""
    for key, (on, wanted) in wishes.items():
        syncer.set_desired(key, on, wanted, revision)
    await ear.settled(
        *(VipReport(key=key, vip=on, revision=revision) for key, (on, _) in wishes.items())
    )


def flows(simulator: VppSimulator) -> Iterator[IPAddress | None]:
    client, target = ip_address("198.51.100.1"), WEB_VIP.prefix.network_address
    return (
        simulator.lb.forward_packet(FiveTuple(client, target, TCP, port, 80)) for port in range(50)
    )


def has(simulator: VppSimulator, wishes: Wishes) -> bool:
    """VPP has this, as far as VPP knows of it: not of epochs."""
    plain = {
        on: Vip(
            settings=wanted.settings,
            servers={a: AppServer(weight=s.weight) for a, s in wanted.servers.items()},
        )
        for on, wanted in wishes.values()
    }
    return without_buckets(simulator.lb.table()) == plain


@pytest.mark.parametrize("message", ["lb_add_del_vip_v2", "lb_add_del_as_v2", "lb_as_set_weight"])
@pytest.mark.parametrize("fault", FAULTS, ids=str)
async def test_whatever_goes_wrong_at_a_change_it_is_made_and_the_flush_is_not_lost(
    vpp: VppSimulator, syncing: tuple[VppSyncer, SyncerEar], fault: Fault, message: str
) -> None:
    before = list(flows(vpp))
    assert set(before) == {A, B}
    vpp.faults.arm(fault, message)
    task = asyncio.create_task(want(*syncing, AFTER, "r2"))
    if fault is PlainFault.DIE:
        await syncing[1].until(lambda: bool(syncing[1].reasons))
        await vpp.restart(keep=True)
    await task
    assert has(vpp, AFTER)
    after = list(flows(vpp))
    assert A not in after
    if fault is not PlainFault.DIE:  # which forgets all flows
        assert all(now == B for now, then in zip(after, before, strict=True) if then == B)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (PlainFault.DROP, "sockclnt_create"),
        (PlainFault.DROP, "show_version"),
        (PlainFault.DROP, "cli_inband"),
        (PlainFault.DROP, "lb_conf_get"),
        (PlainFault.CUT, "lb_vip_dump"),
        (PlainFault.WRONG_CONTEXT, "lb_as_v2_dump"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
async def test_a_new_vpp_that_fails_while_it_is_read_is_read_again(
    vpp: VppSimulator, syncing: tuple[VppSyncer, SyncerEar], fault: Fault, message: str
) -> None:
    _, ear = syncing
    await vpp.restart(keep=True, api_version=ApiVersion(shift=3))
    vpp.faults.arm(fault, message)
    await want(*syncing, AFTER, "r2")
    assert len(ear.reasons) > 1
    assert has(vpp, AFTER)


async def test_a_dump_that_comes_out_empty_removes_and_remakes_nothing(
    vpp: VppSimulator, syncing: tuple[VppSyncer, SyncerEar]
) -> None:
    syncer, ear = syncing
    before = list(flows(vpp))
    hang_up(vpp)
    vpp.faults.arm(PlainFault.DROP, "lb_vip_dump")
    await ear.until(lambda: any(report.error for report in ear.reports))
    await ear.until(lambda: not any(report.error for report in ear.reports[-2:]))
    assert has(vpp, BEFORE)
    assert list(flows(vpp)) == before
    assert syncer.vips.owned_state.owned == {WEB_VIP: WEB, API_VIP: API}


async def test_the_connections_of_a_vpp_that_hangs_now_and_then_are_all_closed(
    vpp: VppSimulator, syncing: tuple[VppSyncer, SyncerEar]
) -> None:
    for number in range(3):
        vpp.faults.arm(PlainFault.DROP, "lb_as_set_weight")
        weights = row({"10.0.0.1": number, "10.0.0.2": 50})
        await want(*syncing, {WEB: (WEB_VIP, weights)}, f"r{number + 2}")
    assert len(syncing[1].infos) == 4
    assert len(vpp.clients) == 1
