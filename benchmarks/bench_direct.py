"""What a thousand agents cost an operator by the direct road: a change to all, quiet, memory.

The operator's own parts, from the decision to the statuses, run here, on an API server in memory;
the agents are connections of aiohttp in two other processes, over TLS, each with a Dataplane. They
answer each decision as an agent does, at once, and ask for a sign of life as often. Tokens are not
verified. CPU and memory are this process's, so what the agents take does not count. How long after
the last node's answer the Frontend's status says that all have it is by the clock, from the
agent's sending until the write is handed to the API server; also with a tenth of the agents. Ends
with 1 when a figure is missed. `make bench`.
"""

import asyncio
import gc
import json
import mmap
import os
import platform
import random
import statistics
import struct
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from http import HTTPStatus
from pathlib import Path

import aiohttp

from data.manifests import backend, frontend, health_check, manifest
from fakes.api_server import FakeApiServer
from in_memory.operator import LocalOperator
from lab.raw_agent import trust_anybody, url_of
from vpplb.controller.direct_publisher import ElectionState
from vpplb.direct.certificate import make_certificate
from vpplb.direct.client import HEARTBEAT
from vpplb.direct.messages import (
    PROTOCOL,
    DecisionBatch,
    ProgrammedReport,
    dump_report,
    load_message,
)
from vpplb.direct.server import DirectServer
from vpplb.direct.tokens import TokenRefused
from vpplb.kube.leases.leader_rules import LeaderRole
from vpplb.model.names import ObjectKey

AGENTS = int(os.environ.get("VPPLB_BENCH_AGENTS", "1000"))
FRONTENDS = 10
"""That each agent carries, with ten backends each."""
ROUNDS = int(os.environ.get("VPPLB_BENCH_ROUNDS", "10"))
STILL = float(os.environ.get("VPPLB_BENCH_STILL", "30"))
"""Seconds in which nothing happens that are watched."""
AT_A_TIME = 50
"""Connections that each process of agents makes at a time."""

missed: list[str] = []


def show(what: str, measured: str, wanted: str = "", good: bool = True) -> None:
    """Print a figure, and note a miss."""
    aim = f"   (wanted: {wanted}{'' if good else '; MISSED'})" if wanted else ""
    print(f"  {what}: {measured}{aim}", flush=True)
    if not good:
        missed.append(what)


# --- the agents, in processes of their own ------------------------------------------------------


class LastReport:
    """When the last report was sent of a process's agents, by the machine's monotonic clock.

    It stands in a file that the processes share, so telling costs the one that is measured nothing.
    """

    def __init__(self, path: Path) -> None:
        if not path.exists():
            path.write_bytes(bytes(8))
        with path.open("r+b") as file:
            self._shared = mmap.mmap(file.fileno(), 8)

    def note(self) -> None:
        struct.pack_into("d", self._shared, 0, time.monotonic())

    def read(self) -> float:
        at: float = struct.unpack_from("d", self._shared)[0]
        return at


async def run_agents(port: int, last: LastReport, names: list[str]) -> None:
    """Be the agents of these nodes until killed."""
    places = asyncio.Semaphore(AT_A_TIME)
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as session, asyncio.TaskGroup() as group:
        for name in names:
            group.create_task(be_agent(session, port, last, name, places))


async def be_agent(
    session: aiohttp.ClientSession,
    port: int,
    last: LastReport,
    name: str,
    places: asyncio.Semaphore,
) -> None:
    """Be the agent of a node, and connect anew where a busy machine has cost the connection."""
    while True:
        with suppress(aiohttp.ClientError, OSError):
            await converse(session, port, last, name, places)
        await asyncio.sleep(1 + random.random())


async def converse(
    session: aiohttp.ClientSession,
    port: int,
    last: LastReport,
    name: str,
    places: asyncio.Semaphore,
) -> None:
    async with places:
        websocket = await session.ws_connect(
            url_of(port, name),
            ssl=trust_anybody(),
            headers={"Authorization": "Bearer token"},
            protocols=(PROTOCOL,),
            heartbeat=HEARTBEAT,
        )
    async for received in websocket:
        if received.type is not aiohttp.WSMsgType.TEXT:
            raise ConnectionError(f"{name}: {received.data!r}")
        batch = load_message(received.data)
        if isinstance(batch, DecisionBatch) and batch.entries:
            programmed = {
                entry.frontend: str((entry.dataplane or {}).get("revision", ""))
                for entry in batch.entries
            }
            last.note()
            await websocket.send_str(dump_report(ProgrammedReport(programmed=programmed)))


# --- the operator -------------------------------------------------------------------------------


async def let_in(token: str, node: str) -> object:
    if not token:
        raise TokenRefused(HTTPStatus.UNAUTHORIZED, "no token")
    return node


class WatchedApiServer(FakeApiServer):
    """An API server that notes when a Frontend was first written that says all nodes have it."""

    def __init__(self) -> None:
        super().__init__()
        self.programmed_at: dict[str, float] = {}
        """By the revision that they have."""

    async def ask(self, verb: str, key: ObjectKey, body: Mapping[str, object]) -> None:
        match verb, body.get("status"):
            case "replace_status", {"dataplane": {"revision": str(revision)}, "nodes": nodes}:
                if nodes["programmed"] == nodes["desired"]:
                    self.programmed_at.setdefault(revision, time.monotonic())
        await super().ask(verb, key, body)


async def prepare_operator(agents: int) -> LocalOperator:
    """Return an operator that leads, whose frontends are all up, and which knows all nodes."""
    operator = LocalOperator(WatchedApiServer())
    operator.reconciler.set_synced(1)
    operator.core.publisher.set_election(ElectionState(role=LeaderRole.LEADING))
    operator.apply(health_check())
    connected = [{"type": "Connected", "status": "True", "reason": "Connected"}]
    for node in range(agents):
        operator.apply(
            manifest("Dataplane", f"n{node}", {}) | {"status": {"conditions": connected}}
        )
    for number in range(FRONTENDS):
        names = [f"{number}-{which}" for which in range(10)]
        check = {"healthCheckRef": {"name": "check"}}
        operator.apply(
            *(backend(name, f"10.0.{number}.{place}", **check) for place, name in enumerate(names)),
            frontend(
                f"web{number}",
                address=f"198.51.100.{number}",
                pools=[{"name": "main", "backends": [{"name": name} for name in names]}],
            ),
        )
    await operator.settle()
    for number in range(FRONTENDS):
        for which in range(10):
            operator.verdict(f"{number}-{which}", up=True)
    await operator.settle()
    return operator


@asynccontextmanager
async def connected(
    server: DirectServer, agents: int, folder: Path
) -> AsyncIterator[list[LastReport]]:
    """Have all agents connected, by two processes; give when each has reported last."""
    names = [f"n{node}" for node in range(agents)]
    processes, reports = [], list[LastReport]()
    for number, part in enumerate((names[::2], names[1::2])):
        path = folder / f"{agents}-{number}"
        reports.append(LastReport(path))
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, __file__, str(server.listen_port), path),
            stdin=asyncio.subprocess.PIPE,
        )
        assert process.stdin is not None
        process.stdin.write(json.dumps(part).encode())
        process.stdin.close()
        processes.append(process)
    try:
        yield reports
    finally:
        for process in processes:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def wait_heard(server: DirectServer, count: int, every: float = 0.002) -> None:
    async with asyncio.timeout(300):
        while server.heard < count:  # noqa: ASYNC110 (agents signal nothing here)
            await asyncio.sleep(every)


async def measure_thousand(folder: Path) -> None:
    async with leading(AGENTS) as (operator, server):
        before, began, cpu = resident_bytes(), time.monotonic(), time.process_time()
        async with connected(server, AGENTS, folder) as reports:
            await wait_heard(server, AGENTS, every=0.1)
            took, cpu = time.monotonic() - began, time.process_time() - cpu
            await asyncio.sleep(5)
            operator.server.requests.clear()  # which keeps all that was written
            gc.collect()
            each = (resident_bytes() - before) / AGENTS / 1024
            show(
                "all connect and have the whole state",
                f"{took:.1f} s, {cpu / AGENTS * 1e3:.1f} ms of the operator's CPU each",
            )
            show("memory an agent", f"{each:.0f} KiB", "under 60 KB", each < 60)
            await measure_change(operator, server, AGENTS, reports)
            cpu = time.process_time()
            await asyncio.sleep(STILL)
            idle = (time.process_time() - cpu) / STILL * 100
            show("quiet", f"{idle:.2f} % of a core", "under 2 %", idle < 2)
            assert server.agent_count == AGENTS
            assert operator.core.publisher.term == 1


async def measure_fewer(folder: Path) -> None:
    fewer = max(1, AGENTS // 10)
    async with leading(fewer) as (operator, server), connected(server, fewer, folder) as reports:
        await wait_heard(server, fewer, every=0.1)
        await asyncio.sleep(5)
        await measure_change(operator, server, fewer, reports)


async def measure_change(
    operator: LocalOperator, server: DirectServer, agents: int, reports: list[LastReport]
) -> None:
    sent, heard, walls, shown, writes = [], [], [], [], []
    api = operator.server
    assert isinstance(api, WatchedApiServer)
    for number in range(ROUNDS):
        messages, answers = server.sent, server.heard
        api.programmed_at.clear()
        api.requests.clear()
        began, cpu = time.monotonic(), time.process_time()
        operator.verdict("0-0", up=bool(number % 2))
        while server.sent < messages + agents:  # noqa: ASYNC110 (all are sent in one tick)
            await asyncio.sleep(0)
        sent.append((time.process_time() - cpu) * 1e3)
        await wait_heard(server, answers + agents)
        heard.append((time.process_time() - cpu) * 1e3)
        last = max(one.read() for one in reports)
        walls.append((last - began) * 1e3)
        async with asyncio.timeout(60):
            while not api.programmed_at:  # noqa: ASYNC110 (writes signal nothing here)
                await asyncio.sleep(0.001)
        shown.append((next(iter(api.programmed_at.values())) - last) * 1e3)
        await asyncio.sleep(1)
        writes.append(sum(key.name == "web0" for _, key, _ in api.requests))
    worst = max(sent)
    show(
        f"one VIP changes {ROUNDS} times, the operator's CPU until all are sent it",
        f"p50 {statistics.median(sent):.0f} ms, longest {worst:.0f} ms",
        "100 ms",
        worst < 100,
    )
    show(
        "and until all have said that VPP has it",
        f"p50 {statistics.median(heard):.0f} ms, longest {max(heard):.0f} ms",
    )
    show("the same by the clock, agents included", f"p50 {statistics.median(walls):.0f} ms")
    show(
        "from the last node's answer until the status that says so is handed to the API server",
        f"p50 {statistics.median(shown):.0f} ms, longest {max(shown):.0f} ms",
        "50 ms",
        max(shown) <= 50,
    )
    show("writes of the Frontend's status for each change", f"{statistics.mean(writes):.1f}")


@asynccontextmanager
async def leading(agents: int) -> AsyncIterator[tuple[LocalOperator, DirectServer]]:
    """Give an operator that leads and serves so many agents, and its end of the direct road."""
    print(f"{agents} agents, {FRONTENDS} frontends × 10 backends that all of them carry")
    operator = await prepare_operator(agents)
    async with DirectServer(
        host="127.0.0.1",
        port=0,
        certificate=make_certificate(),
        verify=let_in,
        handler=operator.core.publisher,
        silent=60.0,  # the agents have their processes' turns only
    ) as server:
        yield operator, server
    await operator.stop()


async def main() -> None:
    print(f"on {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    with tempfile.TemporaryDirectory(prefix="vpplb-bench-") as folder:
        await measure_thousand(Path(folder))
        await measure_fewer(Path(folder))


if __name__ == "__main__":
    if len(sys.argv) > 1:
        last = LastReport(Path(sys.argv[2]))
        asyncio.run(run_agents(int(sys.argv[1]), last, json.load(sys.stdin)))
    else:
        asyncio.run(main())
        sys.exit(1 if missed else 0)
