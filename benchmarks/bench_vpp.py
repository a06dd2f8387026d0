"""How fast the agent programs a VPP, and what it costs, at 1,000 VIPs with 10 servers each.

Speed is measured against a bare socket that sends the same calls, packed beforehand, through the
same window to the same VPP: what is between is the agent's own cost. The agent's parts run here
(syncer, plan, codec, client); memory and idle CPU are those of the real process on a real API
server. On the simulator always, on a real VPP too where VPPLB_TEST_VPP names one. `make bench`.
"""

import asyncio
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractContextManager, asynccontextmanager, suppress
from pathlib import Path

from support.real_vpp import start_vpp
from support.vpp_bench import BareSocket, Ear, reweighted, simulated_vpp, workload
from vpplb.engine.shelf import Wanted
from vpplb.engine.syncer import Syncer
from vpplb.model.names import ObjectKey
from vpplb.plan.diff import diff
from vpplb.plan.ops import Op, SetWeight
from vpplb.vpp.client import WINDOW
from vpplb.vpp.lb import PapiLoadBalancer

VIPS = int(os.environ.get("VPPLB_BENCH_VIPS", "1000"))
SERVERS = 10
ROUNDS = int(os.environ.get("VPPLB_BENCH_ROUNDS", "5"))
CHANGES = 500
VPPLB = Path(sys.executable).parent / "vpplb"

StartVpp = Callable[[Path], AbstractContextManager[Path]]
Frontends = Mapping[ObjectKey, Wanted]


@asynccontextmanager
async def syncing(socket: Path, sync_interval: float = 3600.0) -> AsyncIterator[tuple[Syncer, Ear]]:
    """Run a syncer that has connected and read, and wants nothing yet."""
    ear = Ear()
    syncer = Syncer(PapiLoadBalancer(socket), listener=ear, sync_interval=sync_interval)
    task = asyncio.create_task(syncer.run())
    while not ear.infos:
        await asyncio.sleep(0.01)
    yield syncer, ear
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


def want(syncer: Syncer, frontends: Frontends) -> None:
    for key, wanted in frontends.items():
        syncer.set_desired(key, wanted.vip, wanted.desired, wanted.revision)


def creation(frontends: Frontends) -> tuple[Op, ...]:
    table = {wanted.vip: wanted.desired for wanted in frontends.values()}
    return diff(table, {}, owned=(), flushed={}).ops


async def from_nothing(start: StartVpp, directory: Path, frontends: Frontends) -> None:
    """Program everything on an empty VPP, by turns bare and with the syncer."""
    ops = creation(frontends)
    bare, ours = [], []
    for number in range(ROUNDS):
        with start(directory / f"bare{number}") as socket:
            client = BareSocket(socket)
            bare.append(client.send(client.pack(ops), WINDOW))
            client.close()
        with start(directory / f"ours{number}") as socket:
            async with syncing(socket) as (syncer, ear):
                begin = time.perf_counter()
                want(syncer, frontends)
                syncer.set_synced()
                await ear.programmed(frontends)
                ours.append(time.perf_counter() - begin)
    compare(f"from nothing, {len(ops)} calls", len(ops), bare, ours)


async def failover(socket: Path, syncer: Syncer, ear: Ear, frontends: Frontends) -> None:
    """Take one server out of every VIP and put it back, by turns bare and with the syncer."""
    client = BareSocket(socket)
    first = next(iter(next(iter(frontends.values())).desired.servers))
    bare, ours = [], []
    for number in range(1, 2 * ROUNDS + 1):
        for weight in (0, 100):
            ops = [
                SetWeight(vip=w.vip, address=first, weight=weight, flush=weight == 0)
                for w in frontends.values()
            ]
            seconds = client.send(client.pack(ops), WINDOW)
            changed = {
                key: reweighted(wanted, weight, f"f{number}/{weight}", epoch=number)
                for key, wanted in frontends.items()
            }
            await asyncio.sleep(0)
            begin = time.perf_counter()
            want(syncer, changed)
            await ear.programmed(changed)
            (bare if weight == 0 else []).append(seconds)
            (ours if weight == 0 else []).append(time.perf_counter() - begin)
    client.close()
    compare(f"failover in {len(frontends)} VIPs", len(frontends), bare, ours)


async def one_change(syncer: Syncer, ear: Ear, frontends: Frontends) -> None:
    """Change one weight at a time; from the decision to the report."""
    took = []
    keys = list(frontends)
    for number in range(CHANGES):
        key = keys[number * 7 % len(keys)]
        changed = {key: reweighted(frontends[key], number % 99, f"c{number}", epoch=10**6)}
        await asyncio.sleep(0.002)
        begin = time.perf_counter()
        want(syncer, changed)
        await ear.programmed(changed)
        took.append(1000 * (time.perf_counter() - begin))
    quantiles = statistics.quantiles(took, n=100, method="inclusive")
    print(
        f"  one weight change: p50 {quantiles[49]:.2f} ms   p99 {quantiles[98]:.2f} ms   "
        f"max {max(took):.2f} ms   (wanted: p99 under 2 ms)"
    )


async def comparison(socket: Path, frontends: Frontends) -> None:
    """Read and compare everything while nothing differs."""
    async with syncing(socket, sync_interval=0.2) as (syncer, ear):
        want(syncer, frontends)
        syncer.set_synced()
        await ear.programmed(frontends)
        ear.counts.clear()
        took = [await ear.comparison() for _ in range(ROUNDS)]
        print(
            f"  full comparison: {statistics.median(took):.2f} s of CPU (wanted: under 1), "
            f"{sum(ear.counts.values())} changing calls (wanted: 0)"
        )


def compare(what: str, calls: int, bare: list[float], ours: list[float]) -> None:
    """Print two rates, of the medians, and their ratio."""
    slow, fast = calls / statistics.median(ours), calls / statistics.median(bare)
    print(
        f"  {what}: {slow:.0f} calls/s, a bare socket {fast:.0f} calls/s, "
        f"ratio {slow / fast:.2f} (wanted: 0.8)"
    )


async def speed(name: str, start: StartVpp, directory: Path) -> None:
    """Measure all that concerns one kind of VPP."""
    print(f"{name}: {VIPS} VIPs × {SERVERS} servers, window {WINDOW}")
    directory.mkdir()
    frontends = workload(VIPS, SERVERS)
    await from_nothing(start, directory, frontends)
    with start(directory / "table") as socket:
        async with syncing(socket) as (syncer, ear):
            want(syncer, frontends)
            syncer.set_synced()
            await ear.programmed(frontends)
            await failover(socket, syncer, ear, frontends)
            await one_change(syncer, ear, frontends)
        await comparison(socket, frontends)


async def main() -> None:
    """Run and print."""
    print(f"on {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    with tempfile.TemporaryDirectory(prefix="vpplb-b") as name:
        directory = Path(name)
        await speed("simulator", lambda at: simulated_vpp(VPPLB, at), directory / "s")
        if binary := os.environ.get("VPPLB_TEST_VPP"):
            await speed("VPP", lambda at: start_vpp(Path(binary), at), directory / "v")


if __name__ == "__main__":
    asyncio.run(main())
