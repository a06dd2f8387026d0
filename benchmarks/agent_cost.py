"""What the agent's process costs: memory and idle CPU, on a real API server and the simulator."""

import asyncio
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cluster.control_plane import control_plane
from lab.processes import Program
from vpp_calls import simulated_vpp
from vpplb.kube.api_types import JsonObject
from vpplb.kube.client import KubeClient
from vpplb.model.names import ObjectKey, ObjectKind
from vpplb.resources.dataplane_codec import dump_dataplane
from vpplb.sync.vip_records import WantedVip

NODE = "bench"
IDLE = float(os.environ.get("VPPLB_BENCH_IDLE", "62"))
"""Seconds that the idle agent is watched: two sync intervals."""
WRITERS = 16
SETTLE = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """`memory_mib` is resident, `idle_cpu` a part of one core over `seconds`."""

    memory_mib: float
    idle_cpu: float
    seconds: float


def measure_agent(vpplb: Path, directory: Path, frontends: Mapping[ObjectKey, WantedVip]) -> Cost:
    """Run an agent that programs these frontends, and watch it when it has nothing to do."""
    directory.mkdir()
    with (
        control_plane(directory, print) as plane,
        simulated_vpp(vpplb, directory / "vpp") as socket,
    ):
        for namespace in {key.namespace for key in frontends}:
            plane.kubectl("create", "namespace", namespace)
        asyncio.run(_store(plane.kubeconfig, frontends))
        argv = [str(vpplb), "agent", f"--node={NODE}", f"--vpp-api-socket={socket}"]
        with Program(
            [*argv, "--http-address=", f"--state-file={directory / 'memory.json'}"],
            log=directory / "agent.log",
            env={"KUBECONFIG": str(plane.agent_kubeconfig)},
        ) as agent:
            asyncio.run(_programmed(plane.kubeconfig, agent, len(frontends)))
            return _watch(agent.pid)


async def _store(kubeconfig: Path, frontends: Mapping[ObjectKey, WantedVip]) -> None:
    """Store the frontends with their computed status, as an operator leaves them."""
    left = iter(frontends.items())

    async def write(client: KubeClient) -> None:
        for key, wanted in left:
            await client.create_object(ObjectKind.FRONTEND, _manifest(key, wanted))
            status = {"dataplane": dump_dataplane(wanted.vip, wanted.desired)}
            await client.patch_status(ObjectKind.FRONTEND, key, {"status": status})

    async with await KubeClient.from_config(kubeconfig) as client:
        await asyncio.gather(*(write(client) for _ in range(WRITERS)))


def _manifest(key: ObjectKey, wanted: WantedVip) -> JsonObject:
    backends = [{"name": f"b{n}"} for n in range(len(wanted.desired.servers))]
    return {
        "metadata": {"namespace": key.namespace, "name": key.name},
        "spec": {
            "address": str(wanted.vip.prefix.network_address),
            "protocol": wanted.vip.protocol.value,
            "port": wanted.vip.port,
            "pools": [{"name": "main", "backends": backends}],
        },
    }


async def _programmed(kubeconfig: Path, agent: Program, count: int) -> None:
    """Wait until the Dataplane says that all are programmed."""
    deadline = time.monotonic() + 120
    async with await KubeClient.from_config(kubeconfig) as client:
        while agent.alive and time.monotonic() < deadline:
            listing = await client.list_objects(ObjectKind.DATAPLANE)
            shown = [(item.get("status") or {}).get("frontends") or {} for item in listing.items]
            if [one.get("programmed") for one in shown] == [count]:
                return
            await asyncio.sleep(0.5)
    raise RuntimeError(f"the agent has not programmed everything:\n{agent.tail()}")


def _watch(pid: int) -> Cost:
    time.sleep(SETTLE)
    begin, used = time.monotonic(), _cpu(pid)
    time.sleep(IDLE)
    seconds = time.monotonic() - begin
    return Cost(memory_mib=_resident(pid), idle_cpu=(_cpu(pid) - used) / seconds, seconds=seconds)


def _cpu(pid: int) -> float:
    """Return the CPU seconds that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _resident(pid: int) -> float:
    """Return the memory that a process has, in MiB."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / (1 << 20)
