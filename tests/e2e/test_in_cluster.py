"""The main job as users run it: installed with helm in a cluster of three nodes.

The tests build on each other in the order in which they stand: a cluster is too dear to be
made anew for each.
"""

import json
import re
import time
from datetime import datetime
from functools import partial
from pathlib import Path

import pytest
from click.testing import CliRunner

from cluster.binaries import ensure
from cluster.installed import CHART, SYSTEM, Installed
from cluster.kubectl import Kubectl, KubectlError
from cluster.node_vpps import PATIENT
from cluster.operators import Operators
from cluster.three_nodes import NODES, Cluster
from data.manifests import web_service
from lab.waiting import NODE_AT_REST, wait_for
from vpplb.agent.node_guard import KEPT
from vpplb.cli.kubectl.group import cli as plugin

pytestmark = [pytest.mark.slow, pytest.mark.cluster, pytest.mark.usefixtures("in_order")]

SERVERS = ["nginx0", "nginx1", "nginx2"]
VIP = "192.0.2.10"
SEEN_VIP = f"{VIP}/32 tcp/80"

SLACK = 15.0
"""Seconds that a noisy machine may add to what leases allow."""


@pytest.fixture(scope="module")
def installed(cluster: Cluster, image_folder: Path) -> Installed:
    programs = ensure(("kubectl", "helm"), print)
    cluster.load_image(image_folder)
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


@pytest.fixture(scope="module")
def operators(installed: Installed) -> Operators:
    return Operators(installed.system)


def test_every_node_has_a_connected_dataplane(installed: Installed) -> None:
    assert len(installed.nodes) == NODES
    for node in installed.nodes:
        installed.kubectl.wait(f"vdp/{node}", "condition=Connected", timeout=PATIENT)


def test_applied_resources_are_programmed_on_all_nodes(
    installed: Installed, shop: Kubectl, addresses: dict[str, str]
) -> None:
    shop.apply(web_service(VIP, addresses))

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


def test_kubectl_vpplb_asks_the_agent_of_each_node_through_its_pod(installed: Installed) -> None:
    config = f"--kubeconfig={installed.kubectl.kubeconfig}"
    runner = CliRunner(env={"VPPLB_KUBECTL": str(installed.kubectl.binary)})
    for node in installed.nodes:
        told = runner.invoke(plugin, ["dataplane", node, config, "-o", "json"])
        assert told.exit_code == 0, told.output
        (vip,) = json.loads(told.stdout)["vips"]
        assert (vip["vip"], vip["frontend"]) == (SEEN_VIP, "shop/web")
        assert set(vip["packets"]) == {"existing", "first", "untracked", "noServer"}
        buckets = {server["address"]: server["buckets"] for server in vip["servers"]}
        assert buckets == installed.see(node)[SEEN_VIP].buckets


def test_the_agents_find_the_counters_of_their_vpp(installed: Installed) -> None:
    for node in installed.nodes:
        wait_for(
            partial(_counts_packets, installed, node),
            f"vpplb_vip_packets_total on {node}",
        )


def _counts_packets(installed: Installed, node: str) -> bool:
    return 'frontend="web"' in installed.metrics("agent", node)


def test_a_failed_server_gets_weight_0_on_all_nodes(
    installed: Installed, shop: Kubectl, addresses: dict[str, str]
) -> None:
    installed.break_server("nginx1")
    weights = {**dict.fromkeys(addresses.values(), 100), addresses["nginx1"]: 0}
    installed.wait_weights(SEEN_VIP, weights, installed.nodes)
    shop.wait("vbe/nginx1", "jsonpath={.status.code}=L7STS")

    installed.mend_server("nginx1")
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


def test_programmed_is_shown_within_a_second_of_the_last_node(
    installed: Installed, shop: Kubectl
) -> None:
    for weight in (20, 30, 40):
        change = {"op": "replace", "path": "/spec/pools/0/backends/2/weight", "value": weight}
        shop.patch("vfe", "web", [change])
        shop.wait("vfe/web", f"jsonpath={{.status.backends[2].weight}}={weight}")
        shop.wait("vfe/web", "condition=Programmed")
        time.sleep(NODE_AT_REST)
        last = max(
            _time(installed.kubectl.field("vdp", node, ".status.lastChange"))
            for node in installed.nodes
        )
        status = shop.get("vfe", "web")["status"]
        shown = next(one for one in status["conditions"] if one["type"] == "Programmed")
        assert (_time(shown["lastTransitionTime"]) - last).total_seconds() < 1


def test_the_operators_replicas_are_on_nodes_of_their_own(installed: Installed) -> None:
    assert len(set(installed.nodes_of("operator"))) == 2


# --- the direct road -------------------------------------------------------------------------


def test_every_agent_hears_the_leader_directly(installed: Installed, operators: Operators) -> None:
    operators.wait_heard(installed.nodes)


def _wait_told(installed: Installed, agents: dict[str, str], expected: dict[str, int]) -> float:
    """Return how many seconds it took until all agents, by address, read these weights in VPP."""
    start = time.monotonic()
    for node, address in agents.items():
        wait_for(
            partial(_reads_weights, installed, node, address, expected),
            f"weights {expected} on {node}",
            timeout=SLACK,
            every=0.2,
        )
    return time.monotonic() - start


def _reads_weights(installed: Installed, node: str, address: str, expected: dict[str, int]) -> bool:
    return _read_weights(installed, node, address) == expected


def _read_weights(installed: Installed, node: str, address: str) -> dict[str, int]:
    (vip,) = installed.read_page(address, f"api/v1/dataplanes/{node}/vips")["vips"]
    return {server["address"]: server["weight"] for server in vip["servers"]}


def test_while_the_api_server_stands_still_pools_change_in_every_vpp(
    installed: Installed, shop: Kubectl, addresses: dict[str, str]
) -> None:
    agents = {node: installed.read_pod_address("agent", node) for node in installed.nodes}
    spec = shop.get("vfe", "web")["spec"]
    before = _read_weights(installed, installed.nodes[0], agents[installed.nodes[0]])
    pools = [
        {"name": "main", "backends": [{"name": "nginx0"}, {"name": "nginx1"}]},  # nginx0 is paused
        {"name": "later", "backends": [{"name": "nginx2"}]},
    ]
    shop.patch("vfe", "web", {"spec": {"pools": pools}})
    main, later = (
        dict(zip(addresses.values(), weights, strict=True))
        for weights in ((0, 100, 0), (0, 0, 100))
    )
    installed.wait_weights(SEEN_VIP, main, installed.nodes)
    with installed.api_server_stopped():
        time.sleep(20)  # so the leader cannot renew its lease by now
        installed.break_server("nginx1")  # the last of its pool
        _wait_told(installed, agents, later)
        # An agent that is started again has its state from the leader, and goes on.
        pid = installed.cluster.run_on_node(NODES, "pgrep", "-o", "-f", "vpplb agent --node")
        installed.cluster.run_on_node(NODES, "kill", "-KILL", pid.strip())
        time.sleep(5)
        installed.mend_server("nginx1")
        _wait_told(installed, agents, main)
    wait_for(lambda: all(_states(installed).values()), "statuses are the truth", timeout=SLACK + 10)
    shop.patch("vfe", "web", {"spec": {"pools": spec["pools"]}})
    installed.wait_weights(SEEN_VIP, before, installed.nodes)


def _states(installed: Installed) -> dict[str, bool]:
    backends = installed.kubectl.within("shop").list("vbe")
    return {one["metadata"]["name"]: one["status"]["state"] in ("up", "paused") for one in backends}


def test_when_the_leaders_node_crashes_the_next_leader_is_heard(
    installed: Installed, operators: Operators, shop: Kubectl, addresses: dict[str, str]
) -> None:
    *others, victim = installed.nodes  # the others have the API server, and the servers
    operators.move_lead(victim, away_from=others[1])
    before = operators.find_leader()
    operators.wait_heard(installed.nodes)

    installed.cluster.crash_node(NODES)
    operators.wait_another(before)
    operators.wait_heard(others)
    agents = {node: installed.read_pod_address("agent", node) for node in others}
    weights = _read_weights(installed, others[0], agents[others[0]])
    installed.break_server("nginx1")
    _wait_told(installed, agents, weights | {addresses["nginx1"]: 0})
    installed.mend_server("nginx1")
    _wait_told(installed, agents, weights)

    installed.boot_last_node(shop)
    operators.wait_heard(installed.nodes)


@pytest.mark.parametrize("component", ["operator", "agent"])
def test_new_pods_take_over_with_nothing_moved(
    installed: Installed, shop: Kubectl, component: str
) -> None:
    def observe() -> dict[str, object]:
        each = installed.nodes
        return {node: (installed.list_changes(node), installed.see(node)) for node in each}

    before = observe()
    installed.replace_pods(component)
    for node in installed.nodes:
        installed.kubectl.wait(f"vdp/{node}", "condition=Connected", timeout=PATIENT)
    shop.wait("vfe/web", "condition=Programmed", timeout=PATIENT)
    assert observe() == before


def test_a_crashed_node_counts_as_not_programmed_and_is_programmed_again_when_it_is_back(
    installed: Installed, shop: Kubectl
) -> None:
    before = installed.see(installed.nodes[0])
    victim = installed.nodes[-1]

    installed.cluster.crash_node(NODES)
    crashed = time.monotonic()
    gone = 'jsonpath={.status.conditions[?(@.type=="Connected")].reason}=AgentGone'
    installed.kubectl.wait(f"vdp/{victim}", gone, timeout=PATIENT)
    # The agent's lease, and a leader's where it was on this node.
    assert time.monotonic() - crashed < 30 + 15 + SLACK
    shop.wait("vfe/web", f"jsonpath={{.status.nodes.programmed}}={NODES - 1}", timeout=PATIENT)
    assert shop.get("vfe", "web")["status"]["nodes"]["summary"] == f"{NODES - 1}/{NODES}"
    assert not installed.holds(shop, "vfe/web", "Programmed")

    installed.boot_last_node(shop)
    wait_for(lambda: installed.see(victim) == before, "its VPP as the others", timeout=PATIENT)


def test_a_node_that_leaves_takes_its_dataplane_with_it_and_may_come_back(
    installed: Installed, shop: Kubectl
) -> None:
    before = installed.see(installed.nodes[0])
    leaving = installed.nodes[-1]

    installed.cluster.crash_node(NODES)
    installed.kubectl.delete("node", leaving)
    installed.kubectl.wait(f"vdp/{leaving}", "delete", timeout=PATIENT)
    summary = f"{NODES - 1}/{NODES - 1}"
    shop.wait("vfe/web", f"jsonpath={{.status.nodes.summary}}={summary}", timeout=PATIENT)
    shop.wait("vfe/web", "condition=Programmed", timeout=PATIENT)
    lease = installed.system.list("leases")
    assert leaving not in {one["metadata"]["name"] for one in lease}, "its heartbeat went too"

    installed.boot_last_node(shop)
    wait_for(lambda: installed.see(leaving) == before, "its VPP as the others", timeout=PATIENT)


def test_helm_test_sees_a_vip_on_every_node(installed: Installed) -> None:
    said = installed.helm("test", "vpplb", "--timeout=3m")
    assert re.search(r"^Phase: +Succeeded$", said, re.MULTILINE), said


def test_each_agent_is_kept_to_its_own_node(installed: Installed) -> None:
    for node in installed.nodes:
        address = installed.read_pod_address("agent", node)
        is_kept = partial(_is_kept, installed, address)
        wait_for(is_kept, f"the agent of {node} is kept to it", timeout=PATIENT, every=1)


def _is_kept(installed: Installed, address: str) -> bool:
    return bool(installed.read_page(address, "readyz")["rights"] == KEPT)


def test_who_has_edit_in_a_namespace_may_make_frontends_there(shop: Kubectl) -> None:
    shop("create", "rolebinding", "ann", "--clusterrole=edit", "--user=ann")
    wait_for(partial(_may_make_frontends, shop, "ann"), "the role is aggregated")
    assert not _may_make_frontends(shop, "bob")


def _may_make_frontends(kubectl: Kubectl, user: str) -> bool:
    try:
        return "yes" in kubectl("auth", "can-i", "create", "frontends", f"--as={user}")
    except KubectlError:  # how it says no
        return False


def test_uninstalling_leaves_statuses_that_say_so_and_a_new_release_goes_on_from_them(
    installed: Installed, shop: Kubectl
) -> None:
    before = shop.get("vfe", "web")["status"]["dataplane"]
    installed.helm("uninstall", "vpplb", "--wait", "--timeout=3m")
    assert "Stale: as of " in shop("get", "vfe")
    assert "Stale: as of " in shop("get", "vbe")
    for target, of_type in (
        ("vfe/web", "Ready"),
        ("vfe/web", "Available"),
        ("vbe/nginx1", "Ready"),
    ):
        assert not installed.holds(shop, target, of_type)
    assert shop.get("vfe", "web")["status"]["dataplane"] == before

    installed.install()
    shop.wait("vfe/web", "condition=Ready", timeout=PATIENT)
    shop.wait("vbe/nginx1", "condition=Healthy", timeout=PATIENT)  # nginx0 is paused by now
    wait_for(lambda: "Stale" not in shop("get", "vfe,vbe"), "nothing is old any more")
    assert shop.get("vfe", "web")["status"]["dataplane"] == before


def test_deleting_everything_empties_every_vpp(installed: Installed, shop: Kubectl) -> None:
    shop("delete", "vfe,vbe,vhc", "--all", timeout=PATIENT)
    for node in installed.nodes:
        wait_for(partial(_is_empty, installed, node), f"an empty VPP on {node}", every=0.5)


def _is_empty(installed: Installed, node: str) -> bool:
    return not installed.see(node)


def test_helm_uninstall_leaves_nothing_but_the_crds(installed: Installed) -> None:
    installed.helm("uninstall", "vpplb", "--wait", "--timeout=3m")

    kinds = "deployments,daemonsets,pods,serviceaccounts,roles,rolebindings"
    labelled = ("-l", "app.kubernetes.io/instance=vpplb")
    system = installed.kubectl.within(SYSTEM)
    wait_for(lambda: system.list(kinds, *labelled) == [], "nothing of the release is left")
    assert installed.kubectl.list("clusterroles,clusterrolebindings", *labelled) == []
    crds = installed.kubectl.list("crds")
    assert len([crd for crd in crds if crd["spec"]["group"] == "vpplb.dev"]) == 4


def test_a_job_that_cannot_run_delays_uninstalling_by_two_minutes_and_blocks_nothing(
    installed: Installed,
) -> None:
    image = ("--set=image.tag=missing", "--set=image.pullPolicy=Never")
    installed.helm("install", "vpplb", str(CHART), *image)
    began = time.monotonic()
    with pytest.raises(AssertionError, match="uninstallation completed with 1 error"):
        installed.helm("uninstall", "vpplb", "--timeout=4m")
    assert time.monotonic() - began < 120 + 60
    assert json.loads(installed.helm("list", "--all", "-o", "json")) == []
    installed.system("delete", "job", "vpplb-retire")


def _time(stamp: str) -> datetime:
    return datetime.fromisoformat(stamp)
