"""A syncer on the socket of a VPP, real or simulated, and an ear for what it tells."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from pathlib import Path

from in_memory.syncer import Listener
from vpplb.model.names import ObjectKey
from vpplb.model.vip import AppServer, Encap, Vip, VipId, VipProtocol, VipSettings, VipTable
from vpplb.plan.ops import Op
from vpplb.plan.settings import DesiredSettings
from vpplb.sync.ports import ObservedVpp, VipReport, VppInfo
from vpplb.sync.syncer import VppSyncer
from vpplb.sync.vip_state import OwnedState, VipState
from vpplb.vpp.lb import PapiLoadBalancer

PATIENCE = 60.0
"""Seconds for which a test waits for what should happen at once."""


def vip(prefix: str, port: int = 80, protocol: VipProtocol = VipProtocol.TCP) -> VipId:
    """A VIP; port 0: all ports."""
    return VipId(ip_network(prefix), protocol if port else VipProtocol.ANY, port)


def row(
    weights: Mapping[str, int], encap: Encap = Encap.GRE4, *, length: int = 1024, **settings: int
) -> Vip:
    """A VIP's settings and servers."""
    return Vip(
        settings=VipSettings(encap=encap, table_length=length, **settings),  # type: ignore[arg-type]  # fields of VipSettings
        servers={ip_address(a): AppServer(weight=w) for a, w in weights.items()},
    )


def without_buckets(table: VipTable) -> VipTable:
    """Leave out what is only observed."""
    return {
        vip: Vip(
            settings=row.settings,
            servers={a: AppServer(weight=s.weight) for a, s in row.servers.items()},
        )
        for vip, row in table.items()
    }


@dataclass
class SyncerEar(Listener):
    """Hears a syncer, and lets a test wait for what it says."""

    news: asyncio.Event = field(default_factory=asyncio.Event)
    on_memory: Callable[[], None] = lambda: None

    async def until(self, true: Callable[[], bool]) -> None:
        """Wait until it is true, looking whenever something is told."""
        async with asyncio.timeout(PATIENCE):
            while not true():
                self.news.clear()
                await self.news.wait()

    async def settled(self, *reports: VipReport) -> None:
        """Wait until each frontend's last report is this one."""
        await self.until(lambda: set(reports) <= set(self._last().values()))

    async def read_again(self) -> None:
        """Wait until VPP has been read and compared, from now on."""
        syncs = self.syncs
        await self.until(lambda: self.syncs > syncs + 1)

    def _last(self) -> dict[ObjectKey, VipReport]:
        return {report.key: report for report in self.reports}

    def on_adopted(self) -> None:
        super().on_adopted()
        self.on_memory()

    def on_state_changed(self) -> None:
        super().on_state_changed()
        self.on_memory()

    def on_connected(self, info: VppInfo) -> None:
        super().on_connected(info)
        self.news.set()

    def on_disconnected(self, reason: str) -> None:
        super().on_disconnected(reason)
        self.news.set()

    def on_report(self, report: VipReport) -> None:
        super().on_report(report)
        self.news.set()

    def on_drift(self, count: int) -> None:
        super().on_drift(count)
        self.news.set()

    def on_synced(self, seconds: float) -> None:
        super().on_synced(seconds)
        self.news.set()


@asynccontextmanager
async def syncing(
    socket: Path,
    wanted: Mapping[ObjectKey, tuple[VipId, Vip]],
    *,
    state: OwnedState | None = None,
    sync_interval: float = 30.0,
    conf: DesiredSettings | None = None,
) -> AsyncIterator[tuple[VppSyncer, SyncerEar]]:
    """Run a syncer that wants this, each at revision `r1`, until it has been programmed."""
    ear = SyncerEar()
    syncer = VppSyncer(
        PapiLoadBalancer(socket), VipState(state), listener=ear, sync_interval=sync_interval
    )
    if conf:
        syncer.set_settings(conf)
    for key, (on, row) in wanted.items():
        syncer.set_desired(key, on, row, "r1")
    syncer.set_synced()
    async with running(syncer):
        await ear.settled(
            *(VipReport(key=key, vip=on, revision="r1") for key, (on, _) in wanted.items())
        )
        yield syncer, ear


@asynccontextmanager
async def running(syncer: VppSyncer) -> AsyncIterator[None]:
    """Run a syncer."""
    task = asyncio.create_task(syncer.run())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def read(socket: Path) -> ObservedVpp:
    """Read a VPP as another client."""
    lb = PapiLoadBalancer(socket)
    await lb.connect()
    try:
        return await lb.read()
    finally:
        await lb.close()


async def meddle(socket: Path, *ops: Op) -> None:
    """Change a VPP as another client; it must do all of it."""
    lb = PapiLoadBalancer(socket)
    await lb.connect()
    outcomes = await lb.apply_ops(ops)
    assert [outcome for outcome in outcomes if not outcome.ok] == []
    await lb.close()
