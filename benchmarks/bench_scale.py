"""Many backends under one operator: start, memory, quiet, restarts, patches, mass failure.

Operator, agent, simulated VPP, etcd, API server and nginx are processes on this machine and share
its cores; what is measured is on what they leave to each other. The backends are addresses of
loopback; a tenth of them is served by a second nginx, which is killed. One run, with `make bench`.
Ends with 1 when a figure is missed.
"""

import asyncio
import gc
import os
import platform
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from cluster.control_plane import ControlPlane, control_plane
from cluster.fleet import Fleet, create
from cluster.scale import Scale, scale
from cluster.usage import cpu, memory, writes
from data.manifests import manifest
from in_memory.transition_cost import cpu_of_transitions, loaded
from lab.nginx import Nginx
from lab.probe_peers import cpu_seconds
from vpplb.cli.collector import COLLECTOR
from vpplb.kube.client import KubeClient
from vpplb.model.health import HealthState
from vpplb.model.names import ObjectKey, ObjectKind

FRONTENDS = int(os.environ.get("VPPLB_BENCH_FLEET", "1000"))
"""With ten backends each."""
CHECK = os.environ.get("VPPLB_BENCH_CHECK", "TCP")
"""TCP or HTTP. The servers are on this machine too: HTTP takes a fifth of a core of theirs, and
of the prober nearly half of one instead of a quarter."""
PATCHES = int(os.environ.get("VPPLB_BENCH_PATCHES", "100"))
BARE = min(1000, 10 * FRONTENDS)
"""Statuses that a client writes which does nothing else, with nothing else at work."""
STILL = float(os.environ.get("VPPLB_BENCH_STILL", "20"))
"""Seconds of steady state that are watched."""
CALM = 5.0
"""Seconds in which the API server gets over having been looked at, before what is timed.

To count its requests costs it 40 MB of garbage, to list all backends 280 MB.
"""

missed: list[str] = []


def show(what: str, measured: str, wanted: str, good: bool) -> None:
    """Print a figure, and note a miss."""
    print(f"  {what}: {measured}   (wanted: {wanted}{'' if good else '; MISSED'})", flush=True)
    if not good:
        missed.append(what)


def note(text: str) -> None:
    """Print what there is no figure for."""
    print(f"  {text}", flush=True)


async def yardstick(plane: ControlPlane, client: KubeClient) -> None:
    """Measure bare writes with nothing else at work: the host's speed differs from hour to hour."""
    plane.kubectl("create", "namespace", "yard")
    names = [f"b{number}" for number in range(BARE)]
    specs = {"address": "192.0.2.1", "paused": False}
    versions: dict[str, str] = {}
    for name in names:
        raw = manifest("Backend", name, specs, namespace="yard")
        versions[name] = (await client.create_object(ObjectKind.BACKEND, raw))["metadata"][
            "resourceVersion"
        ]
    left, began = iter(names), time.monotonic()

    async def work() -> None:
        for name in left:
            key, shown = ObjectKey("yard", name), {"state": "up", "code": "L7OK", "frontends": 1}
            await client.replace_status(ObjectKind.BACKEND, key, int(versions[name]), shown)

    await asyncio.gather(*(work() for _ in range(8)))
    rate = BARE / (time.monotonic() - began)
    note(f"bare: {rate:.0f} statuses of backends a second, {FRONTENDS * 10 / rate:.0f} s for all")
    await asyncio.gather(
        *(client.delete_object(ObjectKind.BACKEND, ObjectKey("yard", name)) for name in names)
    )


def counted(made: Counter[str]) -> str:
    """Say how many of each kind."""
    return ", ".join(f"{count} {kind}" for kind, count in sorted(made.items()))


async def start(run: Scale, created: Counter[str]) -> None:
    """Measure from the start of the operator until everything is known.

    `created` are the writes that were made before.
    """
    program = run.stage.operator.program
    known, programmed = await asyncio.gather(run.known(), run.programmed())
    took = known - program.started
    show("start to all states known and shown", f"{took:.1f} s", "60 s", took <= 60)
    decided = max((await run.decided("up", program.started)).values())
    note(f"all decided after {decided - program.started:.1f} s")
    note(f"all VIPs reported programmed after {programmed - program.started:.1f} s")
    note(f"CPU of the operator without its probing processes: {cpu_seconds(program.pid):.1f} s")
    note(f"writes: {counted(await asyncio.to_thread(writes, run.plane.kubectl) - created)}")


async def cost() -> None:
    """Measure the CPU of one transition, with few and with all objects, on a server in memory."""
    gc.set_threshold(*COLLECTOR)
    taken = []
    for frontends in (10, FRONTENDS):
        async with loaded(frontends) as operator:
            taken.append(1e6 * await cpu_of_transitions(operator, 400))
    few, many = taken
    text = f"{few:.0f} µs among 100 backends, {many:.0f} µs among {10 * FRONTENDS}"
    show("one transition, CPU until written", text, "no more than twice", many <= 2 * few)


async def still(run: Scale) -> None:
    """Measure while nothing happens: writes, memory, CPU."""
    await run.quiet()
    pid = run.stage.operator.program.pid
    all_used, used, began = cpu(pid), cpu_seconds(pid), time.monotonic()
    unrest = await run.unrest(lambda: None, STILL)
    all_used, used, took = cpu(pid) - all_used, cpu_seconds(pid) - used, time.monotonic() - began
    show(f"{STILL:.0f} s of steady state", str(unrest), "none", not unrest)
    probing = f"its probing processes {100 * (all_used - used) / took:.0f} %"
    note(f"load of the operator: {100 * used / took:.0f} % of a core, {probing}")
    resident, share = (size / 1e6 for size in memory(pid))
    text = f"{resident:.0f} MB resident (PSS {share:.0f} MB)"
    show("memory of the operator with its probing processes", text, "400 MB", resident <= 400)
    resident, share = (size / 1e6 for size in memory(run.stage.agent.program.pid))
    note(f"memory of the agent: {resident:.0f} MB resident (PSS {share:.0f} MB)")


async def patches(run: Scale) -> None:
    """Measure from a patch of a weight, as kubectl sends it, to the call that changes VPP."""
    programs = run.stage.operator.program, run.stage.agent.program
    await asyncio.sleep(CALM)
    took, used = [], [cpu_seconds(program.pid) for program in programs]
    for number in range(PATCHES):
        frontend = run.fleet.frontends - 1 - number * 7 % (run.fleet.frontends // 2)
        took.append(1000 * await run.patch(frontend, 50 + number % 49))
        await asyncio.sleep(0.1)
    quantiles = statistics.quantiles(took, n=100, method="inclusive")
    text = f"p50 {quantiles[49]:.0f} ms   p99 {quantiles[98]:.0f} ms   max {max(took):.0f} ms"
    show(f"{PATCHES} patches of a weight, to VPP", text, "p99 100 ms", quantiles[98] <= 100)
    spent = [cpu_seconds(p.pid) - before for p, before in zip(programs, used, strict=True)]
    operator, agent = (1000 * seconds / PATCHES for seconds in spent)
    note(f"CPU a patch: operator {operator:.1f} ms, agent {agent:.1f} ms")


async def failure(run: Scale, server: Nginx) -> None:
    """Kill a tenth of all backends at one moment, then bring them back."""
    await at_once(run, server.stop, "die", HealthState.DOWN, weight=0)
    await at_once(run, server.start, "return", HealthState.UP, weight=100)


async def at_once(
    run: Scale, act: Callable[[], None], what: str, state: HealthState, weight: int
) -> None:
    """Measure what `act` does to the doomed backends, from detection by the deciding probe."""
    before = await asyncio.to_thread(writes, run.plane.kubectl)
    await asyncio.sleep(CALM)
    calls, began = len(run.stage.tap.calls), time.time()
    await asyncio.to_thread(act)
    programmed = await run.reweighted(run.doomed, weight, calls)
    down = len(run.doomed) if state is HealthState.DOWN else 0
    states = {HealthState.UP.value: run.fleet.size - down, HealthState.DOWN.value: down}
    shown = await run.shown({one: count for one, count in states.items() if count})
    detected = await run.decided(state, began)
    last, span = max(detected.values()), max(detected.values()) - min(detected.values())
    took = max(programmed.values()) - last
    named = f"{len(run.doomed)} backends {what} at once, from the last detection until VPP has all"
    if state is HealthState.DOWN:
        show(named, f"{took:.2f} s", "1 s", took <= 1)
    else:
        note(f"{named}: {took:.2f} s")
    late = sorted(programmed[address] - detected[address] for address in run.doomed)
    each = f"median {1000 * statistics.median(late):.0f} ms, longest {1000 * late[-1]:.0f} ms"
    show("each from its own detection", each, "longest 150 ms", late[-1] <= 0.15)
    note(f"all were detected within {span:.2f} s")
    note(f"users saw all in their statuses {shown - last:.2f} s after the last detection")
    made = await asyncio.to_thread(writes, run.plane.kubectl) - before
    note(f"writes: {counted(made)}")


async def restarts(run: Scale) -> None:
    """Crash the operator, then the agent: nothing may come of either."""
    operator, agent = run.stage.operator, run.stage.agent
    crashes: dict[str, Callable[[], None]] = {
        "operator": lambda: run.restart_operator(operator.program.kill),
        "agent": agent.crash,
    }
    for name, crash in crashes.items():
        await run.quiet()
        unrest = await run.unrest(crash, STILL)
        show(f"crash and restart of the {name}", str(unrest), "none", not unrest)


async def main() -> int:
    """Run and print."""
    print(f"on {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    print("operator, agent, simulated VPP, etcd, kube-apiserver and nginx share these cores")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="vpplb-bench-")))
        plane = stack.enter_context(control_plane(folder, print))
        steady, doomed = (
            stack.enter_context(Nginx(folder / name, deferred=True)) for name in ("a", "b")
        )
        fleet = Fleet(
            frontends=FRONTENDS,
            doomed=max(1, FRONTENDS // 10),
            port=steady.port,
            doomed_port=doomed.port,
            check=CHECK,
        )
        print(f"{fleet.size} Backends in {fleet.frontends} Frontends, {CHECK} each second, fall 1")
        plane.kubectl("create", "namespace", fleet.namespace)
        async with await KubeClient.from_config(plane.kubeconfig) as client:
            await yardstick(plane, client)
            await create(client, fleet, note)
            created = writes(plane.kubectl)
            await asyncio.sleep(CALM)
            async with scale(plane, fleet, folder) as run:
                await start(run, created)
                await still(run)
                await restarts(run)
                await patches(run)
                await failure(run, doomed)
    await cost()
    if missed:
        print(f"missed: {'; '.join(missed)}")
    return bool(missed)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
