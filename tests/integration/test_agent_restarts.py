"""Whose VIPs are whose over restarts of agent, VPP and API server: each alone, and all at once.

No operator runs: what it has decided stands in the frontends.
"""

import asyncio
import json
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

import pytest

from cluster.api_proxy import ApiProxy
from cluster.control_plane import SYSTEM_NAMESPACE, ControlPlane, fresh_namespace
from cluster.kubectl import Kubectl
from cluster.stage import ServiceProcess, SimulatedVpp
from data.manifests import frontend
from in_memory.agent import decided
from lab.live_syncer import meddle, vip
from lab.vpp_tap import VppTap
from lab.vpp_witness import VppWitness
from lab.waiting import stays, wait_for
from vpplb.model.vip import Encap, VipId, VipSettings
from vpplb.plan.ops import AddServer, AddVip

pytestmark = [pytest.mark.slow, pytest.mark.control_plane]

NODE = "restarts"
VIPS = {"web": vip("192.0.2.1/32"), "api": vip("192.0.2.2/32"), "new": vip("192.0.2.3/32")}
FOREIGN = vip("203.0.113.1/32")
SETTLED = 1.0


class Restarts:
    """An agent with its own way to the API server, a VPP that is partly another's, and users."""

    def __init__(
        self, proxy: ApiProxy, kubectl: Kubectl, vpp: SimulatedVpp, tap: VppTap, directory: Path
    ) -> None:
        self.proxy, self.vpp, self.tap = proxy, vpp, tap
        self._kubectl = kubectl
        self.agent = ServiceProcess(
            "agent",
            proxy.kubeconfig,
            directory,
            f"--node={NODE}",
            f"--namespace={kubectl.namespace}",
            f"--vpp-api-socket={tap.path}",
            f"--state-file={directory / 'agent.json'}",
            f"--lease-namespace={SYSTEM_NAMESPACE}",
        )

    def want(self, *names: str) -> None:
        """Have just these frontends, decided by an operator."""
        for name in VIPS.keys() - set(names):
            self._kubectl("delete", "vfe", name, "--ignore-not-found")
        for name in names:
            address = str(VIPS[name].prefix.network_address)
            self._kubectl.apply(frontend(name, address=address) | {"metadata": {"name": name}})
            status = json.dumps({"status": decided(VIPS[name])})
            self._kubectl(
                "patch", "vfe", name, "--subresource=status", "--type=merge", "-p", status
            )

    def meddle(self) -> None:
        """Have a VIP in VPP that is none of the agent's business."""
        asyncio.run(
            meddle(
                self.vpp.socket,
                AddVip(vip=FOREIGN, settings=VipSettings(encap=Encap.GRE4)),
                AddServer(vip=FOREIGN, address=ip_address("10.9.9.9"), weight=1),
            )
        )

    def wait_vips(self, *vips: VipId) -> None:
        """Return when VPP has these and no others."""
        with VppWitness(self.vpp.socket) as witness:
            expected = {str(one) for one in vips}
            wait_for(lambda: set(witness.see()) == expected, f"{expected} in VPP")


@pytest.fixture(scope="module")
def running(
    control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Restarts]:
    directory = tmp_path_factory.mktemp("restarts")
    node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE}}
    control_plane.kubectl.apply(node)
    vpp = SimulatedVpp(directory)
    with (
        fresh_namespace(control_plane) as kubectl,
        ApiProxy(control_plane.agent_kubeconfig, directory) as proxy,
        VppTap(directory / "tap.sock", vpp.socket) as tap,
    ):
        made = Restarts(proxy, kubectl, vpp, tap, directory)
        yield made
        made.agent.program.stop()
        control_plane.kubectl("delete", "node", NODE, "--wait=false")
        control_plane.kubectl("delete", "vdp", NODE, "--wait=false")
    vpp.stop()


@pytest.fixture
def at_work(running: Restarts) -> Restarts:
    """Give it with two frontends programmed, and a VIP of somebody else."""
    running.vpp.restart()
    running.want("web", "api")
    running.agent.wait_ready()
    running.wait_vips(VIPS["web"], VIPS["api"])
    running.meddle()
    return running


def test_while_the_api_server_is_away_vpp_stays_and_then_catches_up(at_work: Restarts) -> None:
    told = len(at_work.tap.calls)
    with at_work.proxy.away():
        at_work.want("web", "new")
        stays(lambda: at_work.tap.changes(told), "changing calls", seconds=SETTLED)
    at_work.wait_vips(VIPS["web"], VIPS["new"], FOREIGN)


def test_an_agent_that_starts_without_an_api_server_waits_and_removes_nothing(
    at_work: Restarts,
) -> None:
    told = len(at_work.tap.calls)
    at_work.agent.program.kill()
    with at_work.proxy.away():
        at_work.agent.program.start()
        at_work.want("web", "new")
        stays(lambda: at_work.tap.changes(told), "changing calls", seconds=SETTLED)
    at_work.wait_vips(VIPS["web"], VIPS["new"], FOREIGN)


def test_after_a_restart_of_all_at_once_each_vip_is_whose_it_was(at_work: Restarts) -> None:
    at_work.agent.program.kill()
    with at_work.proxy.away():
        at_work.vpp.restart()
        at_work.meddle()
        at_work.want("new")
        at_work.agent.program.start()
    at_work.wait_vips(VIPS["new"], FOREIGN)
    # What it makes then is its own, and goes with its frontend; the other VIP does not.
    at_work.want()
    at_work.wait_vips(FOREIGN)
