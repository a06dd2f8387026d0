"""The whole way to VPP: plan, calls, socket, and back; on the simulator and on a real VPP."""

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from itertools import permutations
from pathlib import Path

import pytest

from in_memory.planned import diff
from lab.live_syncer import meddle, read, row, syncing, vip, without_buckets
from vpplb.model.names import ObjectKey
from vpplb.model.vip import Encap, VipTable
from vpplb.simulator.server import VppSimulator
from vpplb.vpp.lb import PapiLoadBalancer

pytestmark = pytest.mark.slow


class RestartableVpp:
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
            from lab.real_vpp import start_vpp

            path = self._stack.enter_context(start_vpp(Path(self._binary), self._directory))
            assert path == self.socket

    async def stop(self) -> None:
        await self._stack.aclose()


@pytest.fixture(params=["simulator", pytest.param("real", marks=pytest.mark.real_vpp)])
async def vpp(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[RestartableVpp]:
    binary = os.environ["VPPLB_TEST_VPP"] if request.param == "real" else None
    vpp = RestartableVpp(tmp_path, binary)
    await vpp.start()
    yield vpp
    await vpp.stop()


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


async def test_vpp_goes_from_any_table_to_any_other(vpp: RestartableVpp) -> None:
    lb = PapiLoadBalancer(vpp.socket)
    await lb.connect()
    for start, end in permutations(TABLES, 2):
        for name in (start, end):
            observed = (await lb.read()).table
            plan = diff(TABLES[name], observed, owned=observed, flushed={})
            refused = [outcome for outcome in await lb.apply_ops(plan.ops) if not outcome.ok]
            assert refused == [], f"from {start} to {end}"
            found = (await lb.read()).table
            assert without_buckets(found) == TABLES[name], f"from {start} to {end}"
            assert not diff(TABLES[name], found, owned=found, flushed={})
    await lb.close()


async def test_a_large_table_is_programmed_and_read_in_one_go(vpp: RestartableVpp) -> None:
    calls: list[int] = []
    lb = PapiLoadBalancer(vpp.socket, on_call=lambda _name, retval: calls.append(retval))
    await lb.connect()
    servers = {f"10.0.0.{n}": 10 for n in range(1, 11)}
    wanted = {vip(f"10.{n // 250}.{n % 250}.1/32"): row(servers) for n in range(300)}
    plan = diff(wanted, {}, owned=(), flushed={})
    assert all(outcome.ok for outcome in await lb.apply_ops(plan.ops))
    assert calls.count(0) >= 3300
    assert without_buckets((await lb.read()).table) == wanted
    await lb.close()


async def test_a_vpp_that_dies_and_comes_back_empty_is_programmed_in_full(
    vpp: RestartableVpp,
) -> None:
    wanted = TABLES["two ports"]
    named = {ObjectKey("shop", f"web{n}"): item for n, item in enumerate(wanted.items())}
    async with syncing(vpp.socket, named) as (_, ear):
        await vpp.stop()
        await ear.until(lambda: bool(ear.reasons))
        await vpp.start()
        await ear.until(lambda: len(ear.reports) == 4)
        assert not any(report.error for report in ear.reports)
        assert without_buckets((await read(vpp.socket)).table) == wanted


async def test_what_another_client_changes_is_repaired(vpp: RestartableVpp) -> None:
    wanted = TABLES["one VIP"]
    named = {ObjectKey("shop", "web"): (vip(WEB), wanted[vip(WEB)])}
    async with syncing(vpp.socket, named, sync_interval=0.3) as (_, ear):
        plan = diff(TABLES["a longer table"], wanted, owned=(), flushed={})
        await meddle(vpp.socket, *plan.ops)
        await ear.until(lambda: ear.drift > 0)
        await ear.read_again()
        assert ear.drift == 1
        assert without_buckets((await read(vpp.socket)).table) == wanted
