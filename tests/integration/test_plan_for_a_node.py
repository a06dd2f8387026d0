"""`vpplb plan --node`: the cluster's own decisions against a VPP, on a real API server."""

import asyncio
import json
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from cluster.control_plane import ControlPlane
from cluster.kubectl import Kubectl
from data.kept_memory import keep_state
from data.manifests import frontend
from lab.live_syncer import row, vip
from lab.simulated_vpp import LoopThread, changing_calls, run_in_thread
from vpplb.cli.main import cli
from vpplb.files.owned_state_store import VppIdentity, format_owned
from vpplb.kube.api_types import cluster_key
from vpplb.kube.client import KubeClient
from vpplb.model.names import ObjectKey, ObjectKind
from vpplb.model.vip import AppServer, Vip
from vpplb.plan.ops import AddServer, AddVip
from vpplb.resources.dataplane_codec import dump_dataplane
from vpplb.simulator.server import VppSimulator
from vpplb.sync.vip_state import OwnedState
from vpplb.vpp.lb import PapiLoadBalancer

pytestmark = [pytest.mark.slow, pytest.mark.control_plane]

NODE = "plan-node"
WEB, GONE = vip("192.0.2.201/32"), vip("192.0.2.202/32")


@pytest.fixture
def vpp(tmp_path: Path) -> Iterator[tuple[VppSimulator, LoopThread]]:
    simulator = VppSimulator(tmp_path / "api.sock")
    with run_in_thread(simulator) as loop:
        yield simulator, loop


async def store(plane: ControlPlane, namespace: str, wanted: Vip, **dataplane: object) -> None:
    """Leave what an operator and an agent leave: a decided Frontend, and the node's Dataplane."""
    key, gone = ObjectKey(namespace, "web"), ObjectKey(namespace, "gone")
    async with await KubeClient.from_config(plane.kubeconfig) as client:
        made = frontend(address="192.0.2.201", nodeSelector={"vpplb.test/plan": namespace})
        metadata = {"namespace": namespace, "name": "web"}
        await client.create_object(
            ObjectKind.FRONTEND, {"metadata": metadata, "spec": made["spec"]}
        )
        await client.patch_status(
            ObjectKind.FRONTEND, key, {"status": {"dataplane": dump_dataplane(WEB, wanted)}}
        )
        labels = {"vpplb.test/plan": namespace}
        await client.create_object(
            ObjectKind.DATAPLANE, {"metadata": {"name": NODE, "labels": labels}, "spec": dataplane}
        )
        owned = format_owned({WEB: key, GONE: gone})
        await client.patch_status(
            ObjectKind.DATAPLANE, cluster_key(NODE), {"status": {"owned": owned}}
        )


async def program(socket: Path) -> None:
    """Have in VPP what the agent had programmed before."""
    lb = PapiLoadBalancer(socket)
    await lb.connect()
    for on in (WEB, GONE):
        ops = [AddVip(vip=on, settings=row({}).settings)]
        await lb.apply_ops([*ops, AddServer(vip=on, address=ip_address("10.0.0.1"), weight=100)])
    await lb.close()


def run(plane: ControlPlane, *arguments: str) -> Result:
    runner = CliRunner(env={"KUBECONFIG": str(plane.kubeconfig)})
    return runner.invoke(cli, ["plan", f"--node={NODE}", *arguments, "-o", "json"])


def plan(plane: ControlPlane, *arguments: str) -> tuple[int, dict[str, Any]]:
    result = run(plane, *arguments)
    assert result.stdout, result.stderr
    return result.exit_code, json.loads(result.stdout)


def test_it_says_what_the_agent_would_do_and_changes_nothing(
    control_plane: ControlPlane,
    namespace: Kubectl,
    vpp: tuple[VppSimulator, LoopThread],
    tmp_path: Path,
) -> None:
    simulator, _ = vpp
    socket = f"--vpp-api-socket={simulator.api_socket}"
    asyncio.run(program(simulator.api_socket))
    simulator.calls.clear()
    servers = {
        ip_address("10.0.0.1"): AppServer(weight=0, flush_epoch=7),
        ip_address("10.0.0.2"): AppServer(weight=100),
    }
    wanted = Vip(settings=row({}).settings, servers=servers)
    asyncio.run(store(control_plane, namespace.namespace, wanted, ipv4SourceAddress="10.255.0.1"))
    try:
        code, said = plan(control_plane, socket)
        assert code == 1
        assert [(call.get("vip"), call["does"].split(" ipv6")[0]) for call in said["calls"]] == [
            (None, "= conf ipv4 source 10.255.0.1"),
            (str(WEB), "+ 10.0.0.2 weight 100"),
            (str(WEB), "= 10.0.0.1 weight 0 flush"),
            (str(GONE), "- 10.0.0.1 flush"),
            (str(GONE), "- vip"),
        ]
        assert said["from"].endswith(f"at {simulator.api_socket}, for node {NODE}")
        memory = tmp_path / "memory.json"
        owner = ObjectKey(namespace.namespace, "web")
        state = OwnedState(owned={WEB: owner}, flushed={WEB: {ip_address("10.0.0.1"): 7}})
        keep_state(memory, state, VppIdentity.of_socket(NODE, Path(simulator.api_socket)))
        _, said = plan(control_plane, socket, f"--state-file={memory}")
        does = [call["does"] for call in said["calls"]]
        assert "= 10.0.0.1 weight 0" in does
        assert "- vip" not in does, "what the memory does not own is not ours"
        assert changing_calls(simulator) == []
        assert run(control_plane, "--vpp-api-socket=/none").exit_code == 3
    finally:
        control_plane.kubectl("delete", "vdp", NODE)
