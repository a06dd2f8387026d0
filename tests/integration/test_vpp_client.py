"""The whole way to VPP: plan, calls, socket, and back; on the simulator and on a real VPP."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, suppress
from ipaddress import ip_address, ip_network
from itertools import permutations
from pathlib import Path

import pytest

from vpplb.engine.ports import VipReport, VppInfo
from vpplb.engine.syncer import Syncer
from vpplb.model.names import ObjectKey
from vpplb.model.vip import AppServer, Encap, Protocol, Vip, VipId, VipSettings, VipTable
from vpplb.plan.diff import diff
from vpplb.plan.ops import ChangeKind
from vpplb.simulator.server import VppSimulator
from vpplb.vpp.lb import PapiLoadBalancer

pytestmark = pytest.mark.slow


class Vpp:
    """A VPP that can be started and stopped under one path."""

    def __init__(self, directory: Path, binary: str | None) -> None:
        self._directory, self._binary = directory, binary
        self._stack = AsyncExitStack()
        self.socket = directory / "api.sock"

    async def start(self) -> None:
        if self._binary is None:
            simulator = VppSimulator(self.socket)
            await simulator.start()
            self._stack.push_async_callback(simulator.stop)
        else:
            from support.real_vpp import start_vpp

            path = self._stack.enter_context(start_vpp(Path(self._binary), self._directory))
            assert path == self.socket

    async def stop(self) -> None:
        await self._stack.aclose()


@pytest.fixture(params=["simulator", pytest.param("real", marks=pytest.mark.real_vpp)])
async def vpp(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Vpp]:
    binary = os.environ["VPPLB_TEST_VPP"] if request.param == "real" else None
    vpp = Vpp(tmp_path, binary)
    await vpp.start()
    yield vpp
    await vpp.stop()


def vip(prefix: str, port: int = 80, protocol: Protocol = Protocol.TCP) -> VipId:
    return VipId(ip_network(prefix), protocol if port else Protocol.ANY, port)


def row(
    weights: Mapping[str, int], encap: Encap = Encap.GRE4, *, length: int = 1024, dscp: int = 0
) -> Vip:
    return Vip(
        settings=VipSettings(encap=encap, table_length=length, dscp=dscp),
        servers={ip_address(a): AppServer(weight=w) for a, w in weights.items()},
    )


WEB = "192.0.2.1/32"
TABLES: Mapping[str, VipTable] = {
    "nothing": {},
    "one VIP": {vip(WEB): row({"10.0.0.1": 100, "10.0.0.2": 50})},
    "other weights and servers": {vip(WEB): row({"10.0.0.2": 0, "10.0.0.3": 7, "10.0.0.4": 0})},
    "two ports": {vip(WEB): row({"10.0.0.1": 1}), vip(WEB, 443): row({"10.0.0.1": 1})},
    "all ports": {vip(WEB, 0): row({"10.0.0.1": 1})},
    "other servers' family": {vip(WEB): row({"fd00::1": 1}, Encap.GRE6)},
    "all ports by DSCP": {vip(WEB, 0): row({"10.0.0.1": 1}, Encap.L3DSR, dscp=7)},
    "a longer table": {vip(WEB): row({"10.0.0.1": 100}, length=4096)},
    "the longest table": {vip(WEB): row({"10.0.0.1": 100}, length=65536)},
    "IPv6": {vip("2001:db8::1/128"): row({"10.0.0.1": 3}), vip(WEB): row({"10.0.0.1": 3})},
}


def without_buckets(table: VipTable) -> VipTable:
    return {
        vip: Vip(
            settings=row.settings,
            servers={a: AppServer(weight=s.weight) for a, s in row.servers.items()},
        )
        for vip, row in table.items()
    }


async def test_vpp_goes_from_any_table_to_any_other(vpp: Vpp) -> None:
    lb = PapiLoadBalancer(vpp.socket)
    await lb.connect()
    for start, end in permutations(TABLES, 2):
        for name in (start, end):
            observed = (await lb.read()).table
            plan = diff(TABLES[name], observed, owned=observed, flushed={})
            refused = [outcome for outcome in await lb.apply(plan.ops) if not outcome.ok]
            assert refused == [], f"from {start} to {end}"
            found = (await lb.read()).table
            assert without_buckets(found) == TABLES[name], f"from {start} to {end}"
            assert not diff(TABLES[name], found, owned=found, flushed={})
    await lb.close()


async def test_a_large_table_is_programmed_and_read_in_one_go(vpp: Vpp) -> None:
    calls: list[int] = []
    lb = PapiLoadBalancer(vpp.socket, on_call=lambda _name, retval: calls.append(retval))
    await lb.connect()
    servers = {f"10.0.0.{n}": 10 for n in range(1, 11)}
    wanted = {vip(f"10.{n // 250}.{n % 250}.1/32"): row(servers) for n in range(300)}
    plan = diff(wanted, {}, owned=(), flushed={})
    assert all(outcome.ok for outcome in await lb.apply(plan.ops))
    assert calls.count(0) >= 3300
    assert without_buckets((await lb.read()).table) == wanted
    await lb.close()


class Listener:
    """Lets a test wait for what the syncer tells."""

    def __init__(self) -> None:
        self.news = asyncio.Condition()
        self.reports: list[VipReport] = []
        self.connections = self.losses = self.drift = 0
        self.repaired = False
        self._tasks: set[asyncio.Task[None]] = set()

    async def until(self, true: Callable[[], bool]) -> None:
        async with asyncio.timeout(60), self.news:
            await self.news.wait_for(true)

    def _tell(self) -> None:
        async def tell() -> None:
            async with self.news:
                self.news.notify_all()

        task = asyncio.create_task(tell())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def connected(self, info: VppInfo) -> None:
        assert info.pid
        self.connections += 1
        self._tell()

    def disconnected(self, reason: str) -> None:
        assert reason
        self.losses += 1
        self._tell()

    def reported(self, report: VipReport) -> None:
        self.reports.append(report)
        self._tell()

    def remembered(self) -> None: ...

    def changed(self, kind: ChangeKind, count: int) -> None: ...

    def recreated(self, key: ObjectKey, vip: VipId, settings: VipSettings) -> None: ...

    def drifted(self, count: int) -> None:
        self.drift += count
        self._tell()

    def synced(self, seconds: float) -> None:
        self.repaired = self.drift > 0
        self._tell()

    def conf_failed(self, error: str) -> None:
        assert error == ""


async def test_a_vpp_that_dies_and_comes_back_empty_is_programmed_in_full(vpp: Vpp) -> None:
    listener = Listener()
    syncer = Syncer(PapiLoadBalancer(vpp.socket), listener=listener)
    wanted = TABLES["two ports"]
    for number, (id_, want) in enumerate(wanted.items()):
        syncer.set_desired(ObjectKey("shop", f"web{number}"), id_, want, "r1")
    syncer.set_synced()
    task = asyncio.create_task(syncer.run())
    await listener.until(lambda: len(listener.reports) == 2)
    await vpp.stop()
    await listener.until(lambda: listener.losses > 0)
    await vpp.start()
    await listener.until(lambda: len(listener.reports) == 4)
    assert not any(report.error for report in listener.reports)
    other = PapiLoadBalancer(vpp.socket)
    await other.connect()
    assert without_buckets((await other.read()).table) == wanted
    await other.close()
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def test_what_another_client_changes_is_repaired(vpp: Vpp) -> None:
    listener = Listener()
    syncer = Syncer(PapiLoadBalancer(vpp.socket), listener=listener, sync_interval=0.3)
    wanted = TABLES["one VIP"]
    syncer.set_desired(ObjectKey("shop", "web"), vip(WEB), wanted[vip(WEB)], "r1")
    syncer.set_synced()
    task = asyncio.create_task(syncer.run())
    await listener.until(lambda: len(listener.reports) == 1)
    other = PapiLoadBalancer(vpp.socket)
    await other.connect()
    plan = diff(TABLES["a longer table"], wanted, owned=(), flushed={})
    assert all(outcome.ok for outcome in await other.apply(plan.ops))
    await listener.until(lambda: listener.repaired)
    assert listener.drift == 1
    assert without_buckets((await other.read()).table) == wanted
    await other.close()
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
