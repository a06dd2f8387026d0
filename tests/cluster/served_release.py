"""A release that serves a namespace `shop`, on three nodes whose VPPs are of no release."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from cluster.binaries import ensure
from cluster.helm_release import HelmRelease, RouterVpps, values
from cluster.installed import CHART, SYSTEM, Installed
from cluster.kubectl import Kubectl
from cluster.node_vpps import PATIENT
from cluster.three_nodes import NODES, Cluster
from data.manifests import web_service
from lab.waiting import wait_for

SERVERS = ["nginx0", "nginx1"]
VIP = "192.0.2.20"
SEEN_VIP = f"{VIP}/32 tcp/80"


class ServedRelease:
    """The release `vpplb`, and a frontend `web` of two servers."""

    def __init__(self, cluster: Cluster, image_folder: Path) -> None:
        programs = ensure(("kubectl", "helm"), print)
        self.cluster = cluster
        self.kubectl = Kubectl(programs["kubectl"], cluster.kubeconfig)
        cluster.load_image(image_folder)
        self.vpps = RouterVpps(self.kubectl)
        self.vpps.start()
        self.release = HelmRelease(self.kubectl, programs["helm"], "vpplb", SYSTEM)
        self.servers = Installed(cluster, self.kubectl, programs["helm"])
        self.kubectl("create", "namespace", "shop")
        self.shop = self.kubectl.within("shop")
        self.addresses = self.servers.start_servers(self.shop, SERVERS)

    def install(self, **options: Any) -> None:
        """Install with options, and return when the frontend is programmed on all nodes."""
        self.release.install(CHART, values(**options))
        self.shop.apply(web_service(VIP, self.addresses))
        self.wait_whole()

    def upgrade(self, **options: Any) -> None:
        """Upgrade to options, and assert that nothing moves in any VPP meanwhile."""
        self.wait_whole()
        before = self.vpps.changes()
        self.release.upgrade(CHART, values(**options))
        wait_programmed(self.shop, NODES)
        after = self.vpps.changes()
        assert [call for node in before for call in after[node][len(before[node]) :]] == []

    def wait_whole(self) -> None:
        """Return when the frontend is all that the VPPs have, with both of its servers."""
        wait_programmed(self.shop, NODES)
        self.vpps.wait_weights(SEEN_VIP, self._whole(), self.vpps.nodes)
        wait_for(
            lambda: all({*self.vpps.see(node)} == {SEEN_VIP} for node in self.vpps.nodes),
            "no other VIP",
        )

    def fail_over(self, nodes: Iterable[str] = ()) -> None:
        """Assert that a failover works on these nodes, or on all."""
        fails_over(self.vpps, self.servers, self.addresses, nodes or self.vpps.nodes)

    def _whole(self) -> dict[str, int]:
        return dict.fromkeys(self.addresses.values(), 100)


def fails_over(
    vpps: RouterVpps, servers: Installed, addresses: Mapping[str, str], nodes: Iterable[str]
) -> None:
    """Assert that a server that fails gets weight 0 on these nodes, and its weight back."""
    whole, nodes = dict.fromkeys(addresses.values(), 100), list(nodes)
    servers.break_server("nginx1")
    vpps.wait_weights(SEEN_VIP, whole | {addresses["nginx1"]: 0}, nodes)
    servers.mend_server("nginx1")
    vpps.wait_weights(SEEN_VIP, whole, nodes)


def wait_programmed(kubectl: Kubectl, nodes: int) -> None:
    """Return when a namespace's frontend is programmed on so many nodes, which are all."""
    summary = f"{nodes}/{nodes}"
    kubectl.wait("vfe/web", f"jsonpath={{.status.nodes.summary}}={summary}", timeout=PATIENT)
    kubectl.wait("vfe/web", "condition=Programmed", timeout=PATIENT)


def wait_direct(kubectl: Kubectl, nodes: int) -> None:
    """Return when so many nodes say that they hear the leader directly."""

    def hearing() -> bool:
        told = [
            one["metadata"]["name"] for one in kubectl.list("vdp") if one["status"].get("direct")
        ]
        assert len(told) == nodes, str(told)
        return True

    wait_for(hearing, f"{nodes} nodes hear the leader directly", timeout=PATIENT, every=0.5)
