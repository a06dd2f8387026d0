"""What a thousand agents cost an operator by the direct road: a change to all, quiet, memory.

The operator's own parts, from the decision to the statuses, run here, on an API server in memory;
the agents are connections of aiohttp in two other processes, over TLS, each with a Dataplane. They
answer each decision as an agent does, at once, and ask for a sign of life as often. Tokens are not
verified. CPU and memory are this process's, so what the agents take does not count. Ends with 1
when a figure is missed. `make bench`.
"""

import asyncio
import gc
import json
import os
import platform
import random
import statistics
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from http import HTTPStatus
from pathlib import Path

import aiohttp

from data.manifests import backend, frontend, health_check, manifest
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


async def run_agents(port: int, names: list[str]) -> None:
    """Be the agents of these nodes until killed."""
    places = asyncio.Semaphore(AT_A_TIME)
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as session, asyncio.TaskGroup() as group:
        for name in names:
            group.create_task(be_agent(session, port, name, places))


async def be_agent(
    session: aiohttp.ClientSession, port: int, name: str, places: asyncio.Semaphore
) -> None:
    """Be the agent of a node, and connect anew where a busy machine has cost the connection."""
    while True:
        with suppress(aiohttp.ClientError, OSError):
            await converse(session, port, name, places)
        await asyncio.sleep(1 + random.random())


async def converse(
    session: aiohttp.ClientSession, port: int, name: str, places: asyncio.Semaphore
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
            await websocket.send_str(dump_report(ProgrammedReport(programmed=programmed)))


# --- the operator -------------------------------------------------------------------------------


async def let_in(token: str, node: str) -> object:
    if not token:
        raise TokenRefused(HTTPStatus.UNAUTHORIZED, "no token")
    return node


async def prepare_operator() -> LocalOperator:
    """Return an operator that leads, whose frontends are all up, and which knows all nodes."""
    operator = LocalOperator()
    operator.reconciler.set_synced(1)
    operator.core.publisher.set_election(ElectionState(role=LeaderRole.LEADING))
    operator.apply(health_check())
    connected = [{"type": "Connected", "status": "True", "reason": "Connected"}]
    for node in range(AGENTS):
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
async def connected(server: DirectServer) -> AsyncIterator[None]:
    """Have all agents connected, by two processes."""
    names = [f"n{node}" for node in range(AGENTS)]
    processes = []
    for part in (names[::2], names[1::2]):
        process = await asyncio.create_subprocess_exec(
            sys.executable, __file__, str(server.listen_port), stdin=asyncio.subprocess.PIPE
        )
        assert process.stdin is not None
        process.stdin.write(json.dumps(part).encode())
        process.stdin.close()
        processes.append(process)
    try:
        yield
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


async def measure(operator: LocalOperator, server: DirectServer) -> None:
    publisher = operator.core.publisher
    before, began, cpu = resident_bytes(), time.monotonic(), time.process_time()
    async with connected(server):
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
        await measure_change(operator, server)
        cpu = time.process_time()
        await asyncio.sleep(STILL)
        idle = (time.process_time() - cpu) / STILL * 100
        show("quiet", f"{idle:.2f} % of a core", "under 2 %", idle < 2)
        assert server.agent_count == AGENTS
        assert publisher.term == 1


async def measure_change(operator: LocalOperator, server: DirectServer) -> None:
    sent, heard, walls = [], [], []
    for number in range(ROUNDS):
        messages, reports = server.sent, server.heard
        began, cpu = time.monotonic(), time.process_time()
        operator.verdict("0-0", up=bool(number % 2))
        while server.sent < messages + AGENTS:  # noqa: ASYNC110 (all are sent in one tick)
            await asyncio.sleep(0)
        sent.append((time.process_time() - cpu) * 1e3)
        await wait_heard(server, reports + AGENTS)
        heard.append((time.process_time() - cpu) * 1e3)
        walls.append((time.monotonic() - began) * 1e3)
        await asyncio.sleep(1)
    worst = max(sent)
    show(
        f"one VIP changes {ROUNDS} times, the operator's CPU until all are sent it",
        f"p50 {statistics.median(sent):.0f} ms, longest {worst:.0f} ms",
        "100 ms",
        worst < 100,
    )
    show("and until all have said that VPP has it", f"p50 {statistics.median(heard):.0f} ms")
    show("the same by the clock, agents included", f"p50 {statistics.median(walls):.0f} ms")


async def main() -> None:
    print(f"on {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    print(f"{AGENTS} agents, {FRONTENDS} frontends × 10 backends that all of them carry")
    operator = await prepare_operator()
    server = DirectServer(
        host="127.0.0.1",
        port=0,
        certificate=make_certificate(),
        verify=let_in,
        handler=operator.core.publisher,
        silent=60.0,  # the agents have their processes' turns only
    )
    async with server:
        await measure(operator, server)
    await operator.stop()


if __name__ == "__main__":
    if len(sys.argv) > 1:
        asyncio.run(run_agents(int(sys.argv[1]), json.load(sys.stdin)))
    else:
        asyncio.run(main())
        sys.exit(1 if missed else 0)
