"""The main job as users run it: installed with helm in a cluster of three nodes.

The tests build on each other in the order in which they stand: a cluster is too dear to be
made anew for each.
"""

from collections.abc import Iterator

import pytest

from support.binaries import Missing, ensure
from support.cluster import NODES, Cluster
from support.cluster import cluster as run_cluster
from support.installed import SYSTEM, Installed
from support.kubectl import Kubectl
from support.waiting import wait_for

pytestmark = [pytest.mark.slow, pytest.mark.cluster, pytest.mark.usefixtures("in_order")]

API = "vpplb.dev/v1alpha1"
SERVERS = ["nginx0", "nginx1", "nginx2"]
VIP = "192.0.2.10"
SEEN_VIP = f"{VIP}/32 tcp/80"
PATIENT = 180.0


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    try:
        with run_cluster() as running:
            yield running
    except Missing as missing:
        pytest.skip(f"no cluster: {missing}")


@pytest.fixture(scope="module")
def installed(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    programs = ensure(("kubectl", "helm"), print)
    cluster.load_image(tmp_path_factory.mktemp("image"))
    made = Installed(cluster, Kubectl(programs["kubectl"], cluster.kubeconfig), programs["helm"])
    made.install()
    return made


@pytest.fixture(scope="module")
def shop(installed: Installed) -> Kubectl:
    """Give kubectl in a namespace with three servers."""
    installed.kubectl("create", "namespace", "shop")
    return installed.kubectl.within("shop")


@pytest.fixture(scope="module")
def addresses(installed: Installed, shop: Kubectl) -> dict[str, str]:
    return installed.start_servers(shop, SERVERS)


def test_every_node_has_a_connected_dataplane(installed: Installed) -> None:
    assert len(installed.nodes) == NODES
    for node in installed.nodes:
        installed.kubectl.wait(f"vdp/{node}", "condition=Connected", timeout=PATIENT)


def test_applied_resources_are_programmed_on_all_nodes(
    installed: Installed, shop: Kubectl, addresses: dict[str, str]
) -> None:
    shop.apply(_manifests(addresses))

    for name in SERVERS:  # each verdict is a new revision, so only then can it stay programmed
        shop.wait(f"vbe/{name}", "jsonpath={.status.state}=up", timeout=PATIENT)
    shop.wait("vfe/web", f"jsonpath={{.status.nodes.programmed}}={NODES}", timeout=PATIENT)
    shop.wait("vfe/web", "condition=Programmed", timeout=PATIENT)
    assert shop.get("vfe", "web")["status"]["nodes"]["desired"] == NODES
    weights = dict.fromkeys(addresses.values(), 100)
    installed.wait_weights(SEEN_VIP, weights, installed.nodes)


def test_all_nodes_have_one_and_the_same_table(installed: Installed) -> None:
    tables = [installed.see(node)[SEEN_VIP].buckets for node in installed.nodes]
    assert tables[0] == tables[1] == tables[2]
    assert sum(tables[0].values()) == installed.see(installed.nodes[0])[SEEN_VIP].table_length


def test_a_failed_server_gets_weight_0_on_all_nodes(
    installed: Installed, shop: Kubectl, addresses: dict[str, str]
) -> None:
    installed.break_server(shop, "nginx1")
    weights = {**dict.fromkeys(addresses.values(), 100), addresses["nginx1"]: 0}
    installed.wait_weights(SEEN_VIP, weights, installed.nodes)
    shop.wait("vbe/nginx1", "jsonpath={.status.code}=L7STS")

    installed.mend_server(shop, "nginx1")
    weights = dict.fromkeys(addresses.values(), 100)
    installed.wait_weights(SEEN_VIP, weights, installed.nodes)


def test_kubectl_patch_pauses_and_sets_a_weight(
    installed: Installed, shop: Kubectl, addresses: dict[str, str]
) -> None:
    shop.patch("vbe", "nginx0", {"spec": {"paused": True}})
    weight = {"op": "replace", "path": "/spec/pools/0/backends/2/weight", "value": 10}
    shop.patch("vfe", "web", [weight])

    weights = dict(zip(addresses.values(), (0, 100, 10), strict=True))
    installed.wait_weights(SEEN_VIP, weights, installed.nodes)
    shop.wait("vbe/nginx0", "jsonpath={.status.state}=paused")


@pytest.mark.parametrize("component", ["operator", "agent"])
def test_new_pods_take_over_with_nothing_moved(
    installed: Installed, shop: Kubectl, component: str
) -> None:
    before = {node: (installed.changes(node), installed.see(node)) for node in installed.nodes}

    installed.replace_pods(component)
    for node in installed.nodes:
        installed.kubectl.wait(f"vdp/{node}", "condition=Connected", timeout=PATIENT)
    shop.wait("vfe/web", "condition=Programmed", timeout=PATIENT)
    after = {node: (installed.changes(node), installed.see(node)) for node in installed.nodes}
    assert after == before


def test_a_crashed_node_counts_as_not_programmed_and_is_programmed_again_when_it_is_back(
    installed: Installed, shop: Kubectl
) -> None:
    before = installed.see(installed.nodes[0])
    victim = installed.nodes[-1]

    installed.cluster.crash_node(NODES)
    installed.kubectl.wait(
        f"vdp/{victim}",
        'jsonpath={.status.conditions[?(@.type=="Connected")].reason}=AgentGone',
        timeout=PATIENT,
    )
    shop.wait("vfe/web", f"jsonpath={{.status.nodes.programmed}}={NODES - 1}", timeout=PATIENT)

    installed.cluster.boot_node(NODES)
    installed.kubectl.wait(f"node/{victim}", "condition=Ready", timeout=PATIENT)
    shop.wait("vfe/web", f"jsonpath={{.status.nodes.programmed}}={NODES}", timeout=PATIENT)
    wait_for(lambda: installed.see(victim) == before, "its VPP as the others", timeout=PATIENT)


def test_deleting_everything_empties_every_vpp(installed: Installed, shop: Kubectl) -> None:
    shop("delete", "vfe,vbe,vhc", "--all", timeout=PATIENT)
    for node in installed.nodes:
        wait_for(lambda node=node: not installed.see(node), f"an empty VPP on {node}", every=0.5)  # type: ignore[misc]


def test_helm_uninstall_leaves_nothing_but_the_crds(installed: Installed) -> None:
    installed.helm("uninstall", "vpplb", "--wait", "--timeout=3m")

    kinds = "deployments,daemonsets,pods,serviceaccounts,roles,rolebindings"
    labelled = ("-l", "app.kubernetes.io/instance=vpplb")
    system = installed.kubectl.within(SYSTEM)
    wait_for(lambda: system.list(kinds, *labelled) == [], "nothing of the release is left")
    assert installed.kubectl.list("clusterroles,clusterrolebindings", *labelled) == []
    crds = installed.kubectl.list("crds")
    assert len([crd for crd in crds if crd["spec"]["group"] == "vpplb.dev"]) == 4


def _manifests(addresses: dict[str, str]) -> list[dict[str, object]]:
    check = {
        "type": "HTTP",
        "port": 8080,
        "interval": "500ms",
        "timeout": "2s",
        "http": {"path": "/healthz"},
    }
    members = [{"name": name} for name in addresses]
    frontend = {"address": VIP, "port": 80, "pools": [{"name": "main", "backends": members}]}
    backends = [
        _resource("Backend", name, {"address": address, "healthCheckRef": {"name": "web"}})
        for name, address in addresses.items()
    ]
    return [
        _resource("HealthCheck", "web", check),
        *backends,
        _resource("Frontend", "web", frontend),
    ]


def _resource(kind: str, name: str, spec: dict[str, object]) -> dict[str, object]:
    return {"apiVersion": API, "kind": kind, "metadata": {"name": name}, "spec": spec}
