"""A syncer on a fake VPP, and what it wants there: for the tests of the syncer's parts."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network

from fakes.load_balancer import FakeLoadBalancer
from vpplb.model.names import ObjectKey
from vpplb.model.vip import AppServer, Encap, StrangeVip, Vip, VipId, VipProtocol, VipSettings
from vpplb.plan.ops import AddServer, AddVip, ChangeKind, Op, VppChange
from vpplb.sync.ports import VipReport, VppInfo
from vpplb.sync.syncer import VppSyncer
from vpplb.sync.vip_state import OwnedState, VipState

WEB, DNS = ObjectKey("shop", "web"), ObjectKey("shop", "dns")
VIP = VipId(ip_network("192.0.2.1/32"), VipProtocol.TCP, 80)
VIP2 = VipId(ip_network("192.0.2.2/32"), VipProtocol.UDP, 53)
A, B, C = (ip_address(f"10.0.0.{n}") for n in (1, 2, 3))
V6 = ip_address("fd00::1")


def row(*weights: int, epochs: tuple[int, ...] = (), encap: Encap = Encap.GRE4) -> Vip:
    """A VIP with servers A, B, … of these weights and flush epochs."""
    servers = {
        address: AppServer(weight=weight, flush_epoch=epoch)
        for address, weight, epoch in zip((A, B, C), weights, epochs or (0, 0, 0), strict=False)
    }
    return Vip(settings=VipSettings(encap=encap), servers=servers)


@dataclass
class Listener:
    """Notes what it is told."""

    infos: list[VppInfo] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)
    reports: list[VipReport] = field(default_factory=list)
    counts: Counter[ChangeKind] = field(default_factory=Counter)
    remade: list[tuple[ObjectKey, VipId, VipSettings]] = field(default_factory=list)
    drift: int = 0
    syncs: int = 0
    adoptions: int = 0
    memories: int = 0
    conf_errors: list[str] = field(default_factory=list)
    contests: list[int] = field(default_factory=list)
    forgotten: list[int] = field(default_factory=list)
    strange: list[list[str]] = field(default_factory=list)

    def on_connected(self, info: VppInfo) -> None:
        self.infos.append(info)

    def on_disconnected(self, reason: str) -> None:
        self.reasons.append(reason)

    def on_report(self, report: VipReport) -> None:
        self.reports.append(report)

    def on_adopted(self) -> None:
        self.adoptions += 1

    def on_state_changed(self) -> None:
        self.memories += 1

    def on_vpp_changed(self, changes: Sequence[VppChange]) -> None:
        self.counts.update(one.kind for one in changes)

    def on_recreated(self, key: ObjectKey, vip: VipId, settings: VipSettings) -> None:
        self.remade.append((key, vip, settings))

    def on_drift(self, count: int) -> None:
        self.drift += count

    def on_strange_vips(self, strange: Sequence[StrangeVip]) -> None:
        self.strange.append([one.text for one in strange])

    def on_contention(self, count: int) -> None:
        self.contests.append(count)

    def on_flows_forgotten(self, buckets: int) -> None:
        self.forgotten.append(buckets)

    def on_synced(self, seconds: float) -> None:
        assert seconds >= 0
        self.syncs += 1

    def on_settings_error(self, error: str) -> None:
        self.conf_errors.append(error)


class LocalSyncer:
    """A syncer on a fake VPP; `settle` starts it and lets it do what it has to do now."""

    def __init__(self, state: OwnedState | None = None, *, own_all: bool = False) -> None:
        self.lb = FakeLoadBalancer()
        self.start(state, own_all=own_all)

    def start(self, state: OwnedState | None = None, *, own_all: bool = False) -> None:
        self.listener = Listener()
        vips = VipState(state, own_all=own_all)
        self.syncer = VppSyncer(self.lb, vips, listener=self.listener)
        self.task: asyncio.Task[None] | None = None

    async def stop(self) -> None:
        if self.task is not None:
            self.task.cancel()
            with suppress(asyncio.CancelledError):
                await self.task

    async def restart(self, state: OwnedState | None) -> None:
        """Put a new syncer in the place of the old one, as a new process would."""
        await self.stop()
        self.lb.ops.clear()
        self.lb.flushes.clear()
        self.start(state)

    async def settle(self, seconds: float = 0.05) -> None:
        # Not before the test's own loop time has begun: a fixture has another.
        self.task = self.task or asyncio.create_task(self.syncer.run())
        await asyncio.sleep(seconds)
        assert not self.task.done()

    async def ops(self) -> list[Op]:
        """What is sent now, since the last time this was asked."""
        await self.settle()
        ops, self.lb.ops = self.lb.ops, []
        return ops

    def put(self, vip: VipId, have: Vip) -> None:
        """Have the VIP in VPP, as if someone else had made it."""
        self.lb.do(AddVip(vip=vip, settings=have.settings))
        for address, server in have.servers.items():
            self.lb.do(AddServer(vip=vip, address=address, weight=server.weight))

    def weights(self, vip: VipId = VIP) -> dict[str, int]:
        return {str(a): s.weight for a, s in self.lb.table()[vip].servers.items()}


async def programmed(local: LocalSyncer) -> LocalSyncer:
    """Have WEB programmed, A at 100, B at 50, C at 0, and forget the ops and reports of it."""
    local.syncer.set_desired(WEB, VIP, row(100, 50, 0), "r1")
    local.syncer.set_synced()
    await local.ops()
    local.listener.reports.clear()
    local.listener.counts.clear()
    return local
