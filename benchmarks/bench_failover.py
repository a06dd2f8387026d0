"""From a server's death to weight 0 in VPP, beyond detection: by either road, and in bad times.

Operator and agent run as processes on a real API server, as in a cluster; the VPP is the
simulator, in this process, which stamps each call on arrival. A kill closes a server's listening
socket. Detection is the moment at which the deciding probe failed (`at` of the operator's log of
transitions, to the microsecond); what is measured is the rest: verdict, decision, its way to the
agent, plan, call. All rows are of one run. Run with `make bench`.

In a cluster the API server, etcd and their clients have other machines than the operator, and the
operator another one than an agent. Here all share the cores; so the API server, etcd and the
clients that load them run at the lowest priority.
"""

import asyncio
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path

from aiohttp import ClientTimeout

from cluster.control_plane import SYSTEM_NAMESPACE, ControlPlane, control_plane
from cluster.fleet import Fleet, create
from cluster.stage import direct_token, electing, make_node
from data.manifests import manifest
from lab.nginx import Nginx
from lab.outside import monitor_outside
from lab.processes import Program, free_port
from lab.servers import CountingHttpServer
from lab.vip_relay import VipRelay
from vpplb.kube.api_types import RESOURCES, JsonObject, KubeError
from vpplb.kube.client import KubeClient, open_session
from vpplb.kube.cluster_access import load_access
from vpplb.model.names import ObjectKey, ObjectKind
from vpplb.simulator.server import RecordedCall, VppSimulator

KILLS = int(os.environ.get("VPPLB_BENCH_KILLS", "200"))
PATCHES = int(os.environ.get("VPPLB_BENCH_PATCHES", "100"))
OUTSIDE = int(os.environ.get("VPPLB_BENCH_OUTSIDE", "30"))
"""Kills that are looked at from outside: far apart, so that each is a spell of its own."""
FRONTENDS = int(os.environ.get("VPPLB_BENCH_DOOMED", "100"))
"""That lose all their ten backends at one moment; as many lose none."""
CLIENTS = int(os.environ.get("VPPLB_BENCH_CLIENTS", "50"))
"""Clients that load the API server, each with lists and writes one after the other."""
OUTAGE = float(os.environ.get("VPPLB_BENCH_OUTAGE", "60"))
"""Seconds without the API server, with a failure or a failover of the pool all the time."""
REST = 3.0
"""Seconds in which a Frontend is left alone: one that goes on changing is written once a second."""
LOAD = "--load"
"""With a kubeconfig behind it: be these clients, until killed."""
NAMESPACE = "bench-failover"
NODE = "bench"
SERVERS = 3
"""Of the first pool; there is one more, of the second."""
VPPLB = Path(sys.executable).parent / "vpplb"

missed: list[str] = []


class RecordedVpp:
    """The simulator, and when which server was last given which weight."""

    def __init__(self, socket: Path) -> None:
        self.socket = socket
        self.weights: dict[str, tuple[float, int]] = {}
        self.changed = asyncio.Event()
        self.simulator = VppSimulator(socket, on_call=self._on_call)

    def _on_call(self, call: RecordedCall) -> None:
        arguments = call.args
        if "as_address" in arguments:
            self.weights[str(arguments["as_address"])] = (time.time(), int(arguments["weight"]))
            self.changed.set()

    async def wait(self, address: str, weight: int, since: float = 0.0) -> float:
        """Return the time, not before `since`, at which the server got this weight."""
        async with asyncio.timeout(60):
            while True:
                at, now = self.weights.get(address, (0.0, -1))
                if now == weight and at >= since:
                    return at
                self.changed.clear()
                await self.changed.wait()


@dataclass(frozen=True, slots=True, kw_only=True)
class Programs:
    """Operator and agent."""

    operator: Program
    agent: Program

    def detected(self) -> Mapping[str, float]:
        """Return when each backend was last found down, by its name."""
        found: dict[str, float] = {}
        for line in self.operator.log.read_text().splitlines():
            if '"vpplb.transitions"' in line:
                told = json.loads(line)
                if told.get("to") == "down":
                    name = str(told["backend"]).partition("/")[2]
                    found[name] = datetime.fromisoformat(told["at"]).timestamp()
        return found

    async def wait_detected(self, names: Sequence[str], since: float) -> list[float]:
        """Return when backends were found down after `since`, once the log has it of all.

        A line is written after the decision is on its way.
        """
        async with asyncio.timeout(60):
            while True:
                found = [self.detected().get(name, 0.0) for name in names]
                if min(found) >= since:
                    return found
                await asyncio.sleep(0.02)


@contextmanager
def programs(plane: ControlPlane, vpp: RecordedVpp, folder: Path, *args: str) -> Iterator[Programs]:
    """Run operator and agent; `args` are further options of both."""
    folder.mkdir()
    election = electing("operator")
    lease = next(option for option in election if option.startswith("--lease-name="))
    token = direct_token(plane.kubectl, NODE, folder)
    shared = ("--http-address=", "--log-format=json", *args)
    operator = Program(
        [VPPLB, "operator", *election, *shared],
        log=folder / "operator.log",
        env={"KUBECONFIG": str(plane.operator_kubeconfig)},
    )
    agent_options = [
        f"--node={NODE}",
        f"--vpp-api-socket={vpp.socket}",
        f"--lease-namespace={SYSTEM_NAMESPACE}",
        lease,
        f"--direct-token-file={token}",
    ]
    agent = Program(
        [VPPLB, "agent", *agent_options, *shared],
        log=folder / "agent.log",
        env={"KUBECONFIG": str(plane.agent_kubeconfig)},
    )
    with operator, agent:
        yield Programs(operator=operator, agent=agent)


def show(what: str, took: Sequence[float], wanted: Mapping[int, float]) -> None:
    """Print quantiles in milliseconds beside those that are wanted; note a miss."""
    quantiles = [*statistics.quantiles(took, n=100, method="inclusive"), max(took)]
    good = all(1000 * quantiles[rank - 1] <= limit for rank, limit in wanted.items())
    asked = ", ".join(f"p{rank} {limit:g}" for rank, limit in wanted.items()) or "no figure"
    text = "   ".join(f"p{rank} {1000 * quantiles[rank - 1]:.1f}" for rank in (50, 90, 99))
    print(
        f"  {what}: {text}   max {1000 * max(took):.1f} ms"
        f"   (wanted: {asked}{'' if good else '; MISSED'})",
        flush=True,
    )
    if not good:
        missed.append(what)


async def kills(
    running: Programs,
    vpp: RecordedVpp,
    servers: list[CountingHttpServer],
    number: int,
    *,
    pause: float = 0.3,
) -> list[float]:
    """Kill servers in turn; return the seconds from detection to weight 0 of each kill."""
    died: list[tuple[str, float]] = []
    detected: list[float] = []
    for turn in range(number):
        name, server = f"server{turn % SERVERS}", servers[turn % SERVERS]
        await vpp.wait(server.address, 100)
        await asyncio.sleep(pause)
        before = time.time()
        server.stop()
        died.append((name, await vpp.wait(server.address, 0, since=before)))
        detected += await running.wait_detected([name], before)
        server.start()
    return [at - found for (_, at), found in zip(died, detected, strict=True)]


async def seen_outside(
    running: Programs, vpp: RecordedVpp, servers: list[CountingHttpServer], folder: Path
) -> tuple[list[float], str]:
    """Kill servers while new connections are made to the VIP, one each 10 ms.

    Return for each kill the seconds from the first that failed to the first that passed after the
    last, 0 where none failed; and the summary in words.
    """
    relay = VipRelay(
        vpp.simulator.lb, ("192.0.2.1", 80), address="127.78.0.99", port=servers[0].port
    )
    url = f"http://{relay.address}:{relay.port}/"
    log = folder / f"outside-{vpp.socket.stem}.log"
    async with relay:
        with monitor_outside(url, log, "--interval=10ms", "--in-flight=100") as outside:
            await asyncio.to_thread(outside.wait_passing)
            await kills(running, vpp, servers, OUTSIDE, pause=1.5)
            await asyncio.sleep(1.5)
            saw = await asyncio.to_thread(outside.end)
            spells = [one["spellMs"] / 1000 for one in outside.lines() if "spellMs" in one]
    said = f"{saw['failed']} of {saw['probes']} connections failed, p99 {saw['p99Ms']:.1f} ms"
    return [*spells, *[0.0] * (OUTSIDE - len(spells))], said


async def patches(client: KubeClient, vpp: RecordedVpp, address: str) -> list[float]:
    """Patch a weight as kubectl does; return the seconds until VPP has it."""
    took = []
    for number in range(PATCHES):
        weight, began = 40 + number % 50, time.time()
        await client.patch_object(
            ObjectKind.FRONTEND, ObjectKey(NAMESPACE, "web"), {"spec": {"pools": pools(weight)}}
        )
        took.append(await vpp.wait(address, weight, since=began) - began)
        await asyncio.sleep(0.1)
    await client.patch_object(
        ObjectKind.FRONTEND, ObjectKey(NAMESPACE, "web"), {"spec": {"pools": pools(100)}}
    )
    return took


class FrontendWatch:
    """What a bare watch tells of the Frontends, with the time at which it came."""

    def __init__(self) -> None:
        self.seen: list[tuple[float, JsonObject]] = []
        self._news = asyncio.Event()

    def note(self, line: bytes) -> None:
        self.seen.append((time.time(), json.loads(line)["object"]))
        self._news.set()

    async def wait(self, holds: Callable[[JsonObject], bool], since: float = 0.0) -> float:
        """Return the time, not before `since`, at which one came of which that holds."""
        async with asyncio.timeout(60):
            while True:
                for at, frontend in self.seen:
                    if at >= since and holds(frontend):
                        return at
                self._news.clear()
                await self._news.wait()


@asynccontextmanager
async def frontend_watch(plane: ControlPlane) -> AsyncIterator[FrontendWatch]:
    access, watch = await load_access(plane.kubeconfig), FrontendWatch()
    path = RESOURCES[ObjectKind.FRONTEND].collection_path(NAMESPACE)
    unlimited = ClientTimeout(total=None)
    async with KubeClient(access) as client, open_session(access) as session:
        listing = await client.list_objects(ObjectKind.FRONTEND, NAMESPACE)
        query = {"watch": "1", "resourceVersion": listing.resource_version}

        async def read() -> None:
            async with session.get(access.server + path, params=query, timeout=unlimited) as told:
                async for line in told.content:
                    watch.note(line)

        reading = asyncio.create_task(read())
        yield watch
        reading.cancel()


async def bare_patches(plane: ControlPlane) -> list[float]:
    """Patch as `patches` does; return the seconds until a bare watch has it: no road is shorter."""
    took: list[float] = []
    key = ObjectKey(NAMESPACE, "web")
    async with (
        await KubeClient.from_config(plane.kubeconfig) as client,
        frontend_watch(plane) as it,
    ):
        for number in range(PATCHES):
            began = time.time()
            spec = {"spec": {"pools": pools(40 + number % 50)}}
            made = await client.patch_object(ObjectKind.FRONTEND, key, spec)
            took.append(await it.wait(partial(is_version, made)) - began)
            it.seen.clear()
            await asyncio.sleep(0.1)
        await client.patch_object(ObjectKind.FRONTEND, key, {"spec": {"pools": pools(100)}})
    return took


def is_version(one: JsonObject, other: JsonObject) -> bool:
    return bool(one["metadata"]["resourceVersion"] == other["metadata"]["resourceVersion"])


async def programmed(
    plane: ControlPlane, vpp: RecordedVpp, servers: list[CountingHttpServer]
) -> list[float]:
    """Kill servers; return the seconds from VPP's call until a watch shows that all nodes have it.

    All nodes are one here; `bench_direct.py` has a thousand.
    """
    took: list[float] = []
    async with frontend_watch(plane) as watch:
        for turn in range(max(2, PATCHES // 5)):
            server = servers[turn % SERVERS]
            await vpp.wait(server.address, 100)
            await asyncio.sleep(REST)
            before = time.time()
            server.stop()
            called = await vpp.wait(server.address, 0, since=before)
            took.append(await watch.wait(partial(is_drained, server.address), called) - called)
            watch.seen.clear()
            server.start()
    return took


def is_drained(address: str, frontend: JsonObject) -> bool:
    """Whether a Frontend's status gives a server no weight, and says that all nodes have that."""
    status = frontend.get("status") or {}
    servers = {one["address"]: one["weight"] for one in status["dataplane"]["servers"]}
    nodes = status["nodes"]
    return servers[address] == 0 and bool(nodes["programmed"] == nodes["desired"] > 0)


@asynccontextmanager
async def loaded(plane: ControlPlane) -> AsyncIterator[None]:
    """Have clients load the API server, in a process of their own."""
    process = await asyncio.create_subprocess_exec(
        *("nice", "-n19", sys.executable, __file__, LOAD, plane.kubeconfig)
    )
    await asyncio.sleep(5)
    assert process.returncode is None, "the clients have ended"
    try:
        yield
    finally:
        process.kill()
        await process.wait()


async def load(kubeconfig: str) -> None:
    """Be the clients that load the API server, until killed."""

    async def work(client: KubeClient, number: int) -> None:
        key = ObjectKey(NAMESPACE, f"server{number % SERVERS}")
        while True:
            note = {"metadata": {"annotations": {"load.example/turn": str(time.time())}}}
            with suppress(KubeError):  # as it goes with a server that has too much to do
                await client.list_objects(ObjectKind.BACKEND, None)
                await client.patch_object(ObjectKind.BACKEND, key, note)

    async with await KubeClient.from_config(Path(kubeconfig)) as client:
        await asyncio.gather(*(work(client, number) for number in range(CLIENTS)))


async def outage(
    plane: ControlPlane, running: Programs, vpp: RecordedVpp, servers: list[CountingHttpServer]
) -> None:
    """Measure failures and failovers of the pool in an outage, and how statuses become true."""
    *first, spare = servers
    took: list[float] = []
    failovers: list[float] = []
    with plane.stopped():
        until = time.monotonic() + OUTAGE
        while time.monotonic() < until:
            took += await kills(running, vpp, first, SERVERS)
            for server in first:  # one that is still down would not be found down again
                await vpp.wait(server.address, 100)
            before = time.time()
            for server in first:
                server.stop()
            given = await vpp.wait(spare.address, 100, since=before)
            names = [f"server{number}" for number in range(SERVERS)]
            failovers.append(given - max(await running.wait_detected(names, before)))
            for server in first:
                server.start()
            await vpp.wait(spare.address, 0, since=given)
        first[0].stop()
        await vpp.wait(first[0].address, 0)
    back = time.monotonic()
    show(f"{OUTAGE:.0f} s without the API server", took, {50: 2.0, 99: 5.0})
    show("the same, the second pool takes over", failovers, {})
    within = plane.kubectl.within(NAMESPACE)
    truth = ["down"] + ["up"] * SERVERS
    while True:
        states = [within.get("vbe", f"server{n}")["status"]["state"] for n in range(SERVERS + 1)]
        if states == truth:
            break
        await asyncio.sleep(0.1)
    seconds = time.monotonic() - back
    print(f"  the API server is back: statuses are true after {seconds:.1f} s   (wanted: 10 s)")
    if seconds > 10:
        missed.append("statuses after an outage")
    first[0].start()
    await vpp.wait(first[0].address, 100)


def pools(weight: int) -> list[dict[str, object]]:
    """Return the pools of the frontend `web`, with this weight for its first backend."""
    weights = [weight] + [100] * (SERVERS - 1)
    backends = [{"name": f"server{n}", "weight": one} for n, one in enumerate(weights)]
    return [
        {"name": "main", "backends": backends},
        {"name": "spare", "backends": [{"name": f"server{SERVERS}", "weight": 100}]},
    ]


async def one_frontend(plane: ControlPlane, client: KubeClient, folder: Path) -> None:
    """Measure single failures and edits of one frontend, checked each 100 ms."""
    port = free_port()
    servers = [
        CountingHttpServer(address=f"127.78.0.{i + 1}", port=port) for i in range(SERVERS + 1)
    ]
    check = {"type": "HTTP", "port": port, "interval": "100ms", "timeout": "90ms"}
    made = [manifest("HealthCheck", "http", {**check, "rise": 1, "fall": 1}, namespace=NAMESPACE)]
    for number, server in enumerate(servers):
        spec = {"address": server.address, "healthCheckRef": {"name": "http"}}
        made.append(manifest("Backend", f"server{number}", spec, namespace=NAMESPACE))
        server.start()
    vip = {"address": "192.0.2.1", "port": 80, "pools": pools(100)}
    made.append(manifest("Frontend", "web", vip, namespace=NAMESPACE))
    plane.kubectl.within(NAMESPACE).apply(made)
    figure = {50: 2.0, 99: 5.0}
    print(f"a server's death to weight 0 in VPP, beyond detection; {KILLS} kills")
    show("no road: patch of a weight to a bare watch", await bare_patches(plane), {})
    for name, args in (("status road", ["--no-direct"]), ("direct road", [])):
        vpp = RecordedVpp(folder / f"{name.split()[0]}.sock")
        await vpp.simulator.start()
        with programs(plane, vpp, folder / name, *args) as running:
            await vpp.wait(servers[0].address, 100)
            wanted = {} if args else figure
            show(name, await kills(running, vpp, servers, KILLS // 4 if args else KILLS), wanted)
            took, said = await seen_outside(running, vpp, servers, folder)
            show(f"{name}, seen from outside with the detection ({said})", took, {})
            took = await patches(client, vpp, servers[0].address)
            show(f"{name}: patch of a weight to VPP", took, {} if args else {99: 15.0})
            took = await programmed(plane, vpp, servers)
            show(f"{name}: from VPP's call to Programmed, as a watch sees it", took, {99: 50.0})
            if not args:
                async with loaded(plane):
                    took = await kills(running, vpp, servers, KILLS)
                show(f"{name}, {CLIENTS} clients load the API server", took, figure)
                with plane.stopped():
                    took = await kills(running, vpp, servers, KILLS)
                show(f"{name}, API server stopped", took, figure)
                await outage(plane, running, vpp, servers)
        await vpp.simulator.stop()
    for server in servers:
        server.stop()
    plane.kubectl.within(NAMESPACE)("delete", "vfe,vbe,vhc", "--all")


async def many_at_once(plane: ControlPlane, client: KubeClient, folder: Path) -> None:
    """Measure the death of all backends of many frontends at one moment."""
    for name, args in (("status road", ["--no-direct"]), ("direct road", [])):
        road = name.partition(" ")[0]
        with (
            Nginx(folder / f"steady-{road}", deferred=True) as steady,
            Nginx(folder / f"doomed-{road}", deferred=True) as doomed,
        ):
            fleet = Fleet(
                frontends=2 * FRONTENDS,
                doomed=FRONTENDS,
                port=steady.port,
                doomed_port=doomed.port,
                namespace=f"fleet-{road}",
            )
            plane.kubectl("create", "namespace", fleet.namespace)
            await create(client, fleet, lambda _: None)
            vpp = RecordedVpp(folder / f"many-{road}.sock")
            await vpp.simulator.start()
            only = f"--namespace={fleet.namespace}"
            with programs(plane, vpp, folder / f"many-{road}", only, *args) as running:
                for address in fleet.addresses:
                    await vpp.wait(address, 100)
                await asyncio.sleep(min(20, FRONTENDS))  # statuses of the beginning
                doomed.stop()
                count = fleet.doomed * fleet.each
                dead = fleet.addresses[:count]
                gone = [await vpp.wait(address, 0) for address in dead]
                await asyncio.sleep(3)  # until the last line is written
                found = running.detected()
            names = [one for number in range(fleet.doomed) for one in fleet.members(number)]
            took = [at - found[one] for one, at in zip(names, gone, strict=True)]
            what = f"{name}: {count} backends of {fleet.doomed} frontends die, each from its own"
            show(what, took, {} if args else {100: 150.0})
            await vpp.simulator.stop()
            plane.kubectl("delete", "namespace", fleet.namespace, "--wait=false")


async def main() -> int:
    """Run and print."""
    print(f"on {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    print("operator, agent, VPP (simulated), servers, API server, etcd share these cores")
    with tempfile.TemporaryDirectory(prefix="vpplb-bench-") as name:
        folder = Path(name)
        with control_plane(folder, print) as plane:
            for program in (plane.server, plane.store):
                if program is not None:
                    os.setpriority(os.PRIO_PGRP, program.pid, 19)
            plane.kubectl.apply(make_node(NODE))
            plane.kubectl("create", "namespace", NAMESPACE)
            async with await KubeClient.from_config(plane.kubeconfig) as client:
                await one_frontend(plane, client, folder)
                await many_at_once(plane, client, folder)
    if missed:
        print(f"missed: {'; '.join(missed)}")
    return bool(missed)


if __name__ == "__main__":
    if sys.argv[1:2] == [LOAD]:
        asyncio.run(load(sys.argv[2]))
    sys.exit(asyncio.run(main()))
