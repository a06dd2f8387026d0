"""What helm does in a cluster of three nodes: upgrade, rollback, removal, a second release.

The VPPs are of no release, and count the calls that change them: whatever is done to the programs,
nothing moves there. The tests build on each other in the order in which they stand.
"""

import os
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from cluster.binaries import ensure
from cluster.earlier_version import EARLIER_CHART, EARLIER_WHEEL, EarlierPlugin
from cluster.helm_release import HelmRelease, RouterVpps, values
from cluster.installed import CHART, Installed
from cluster.kubectl import Kubectl
from cluster.node_vpps import PATIENT
from cluster.operators import Operators
from cluster.served_release import SEEN_VIP, SERVERS, VIP, fails_over, wait_programmed
from cluster.three_nodes import IMAGE, NODES, Cluster
from data.manifests import web_service
from data.pages import ROOT, list_blocks
from lab.page_session import PageSession
from lab.waiting import wait_for
from vpplb.cli.kubectl.group import cli as plugin

pytestmark = [pytest.mark.slow, pytest.mark.cluster, pytest.mark.usefixtures("in_order")]

BEFORE = "localhost/vpplb:before"
BANK_VIP = "192.0.2.21"
SEEN_BANK_VIP = f"{BANK_VIP}/32 tcp/80"
SEEN_README_VIP = "198.51.100.10/32 tcp/80"
KINDS = ("frontends", "backends", "healthchecks", "dataplanes")
FIRST_VIP = 30.0 * 3
"""Seconds from `helm install` to a VIP on all nodes: three times the aim, for noisy machines."""


@pytest.fixture(scope="module")
def programs() -> dict[str, Path]:
    return ensure(("kubectl", "helm"), print)


@pytest.fixture(scope="module")
def kubectl(cluster: Cluster, programs: dict[str, Path]) -> Kubectl:
    """Give kubectl where both versions' images are on every node, and a namespace `shop`."""
    return Kubectl(programs["kubectl"], cluster.kubeconfig)


@pytest.fixture(scope="module")
def vpps(
    cluster: Cluster,
    kubectl: Kubectl,
    image_folder: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> RouterVpps:
    cluster.load_image(image_folder)
    cluster.load_wheel(EARLIER_WHEEL, BEFORE, tmp_path_factory.mktemp("before"))
    made = RouterVpps(kubectl)
    made.start()
    return made


@pytest.fixture(scope="module")
def servers(cluster: Cluster, kubectl: Kubectl, programs: dict[str, Path]) -> Installed:
    """Give what starts, breaks and mends servers."""
    return Installed(cluster, kubectl, programs["helm"])


@pytest.fixture(scope="module")
def shop(kubectl: Kubectl) -> Kubectl:
    kubectl("create", "namespace", "shop")
    return kubectl.within("shop")


@pytest.fixture(scope="module")
def addresses(servers: Installed, shop: Kubectl) -> dict[str, str]:
    return servers.start_servers(shop, SERVERS)


@pytest.fixture(scope="module")
def first(kubectl: Kubectl, programs: dict[str, Path]) -> HelmRelease:
    return HelmRelease(kubectl, programs["helm"], "vpplb", "vpplb-system")


@pytest.fixture(scope="module")
def second(kubectl: Kubectl, programs: dict[str, Path]) -> HelmRelease:
    return HelmRelease(kubectl, programs["helm"], "bank", "bank-system")


@pytest.fixture
def unmoved(vpps: RouterVpps) -> Iterator[None]:
    """Assert that a test's doings reach no VPP."""
    before = vpps.changes()
    yield
    assert vpps.changes() == before


@pytest.fixture
def fail_over(
    vpps: RouterVpps, servers: Installed, addresses: dict[str, str]
) -> Callable[[], None]:
    return partial(fails_over, vpps, servers, addresses, vpps.nodes)


# --- from the version before ------------------------------------------------------------------


def test_the_version_before_serves_on_three_nodes(
    first: HelmRelease, vpps: RouterVpps, shop: Kubectl, addresses: dict[str, str]
) -> None:
    first.install(EARLIER_CHART, values(BEFORE))
    shop.apply(web_service(VIP, addresses))
    for name in SERVERS:
        shop.wait(f"vbe/{name}", "jsonpath={.status.state}=up", timeout=PATIENT)
    wait_programmed(shop, NODES)
    vpps.wait_weights(SEEN_VIP, dict.fromkeys(addresses.values(), 100), vpps.nodes)


@pytest.mark.usefixtures("unmoved")
def test_an_upgrade_takes_over_definitions_and_objects(
    first: HelmRelease, kubectl: Kubectl, shop: Kubectl
) -> None:
    first.upgrade(CHART, values(), "--take-ownership")  # the definitions belong to no release
    assert first.list_images("operator") == first.list_images("agent") == {IMAGE}
    wait_programmed(shop, NODES)
    wait_for(lambda: _owners(kubectl) == ["vpplb-system/vpplb"] * NODES, "all say whose they are")
    columns = kubectl("get", "vdp", "-o", "wide").splitlines()[0]
    assert "RELEASE" in columns, "the definitions are the new ones"


def test_the_plugin_of_the_version_before_sees_and_steers_what_this_one_serves(
    vpps: RouterVpps, shop: Kubectl, addresses: dict[str, str], tmp_path: Path
) -> None:
    earlier = EarlierPlugin(tmp_path)
    shown = earlier.run(shop, "status", "web")
    assert all(word in shown for word in ("web", *SERVERS)), shown
    whole = dict.fromkeys(addresses.values(), 100)
    earlier.run(shop, "pause", "nginx1")
    vpps.wait_weights(SEEN_VIP, whole | {addresses["nginx1"]: 0}, vpps.nodes)
    earlier.run(shop, "resume", "nginx1")
    vpps.wait_weights(SEEN_VIP, whole, vpps.nodes)
    wait_programmed(shop, NODES)


def test_agents_of_the_version_before_follow_an_operator_of_this_one(
    first: HelmRelease, shop: Kubectl, fail_over: Callable[[], None]
) -> None:
    first.undo("agent")
    assert (first.list_images("operator"), first.list_images("agent")) == ({IMAGE}, {BEFORE})
    wait_programmed(shop, NODES)
    fail_over()
    wait_programmed(shop, NODES)
    first.undo("agent")


def test_agents_of_this_version_follow_an_operator_of_the_one_before(
    first: HelmRelease, shop: Kubectl, fail_over: Callable[[], None]
) -> None:
    first.undo("operator")
    assert (first.list_images("operator"), first.list_images("agent")) == ({BEFORE}, {IMAGE})
    wait_programmed(shop, NODES)
    fail_over()
    wait_programmed(shop, NODES)


def test_the_plugin_of_this_version_sees_and_steers_what_the_one_before_serves(
    vpps: RouterVpps, shop: Kubectl, addresses: dict[str, str]
) -> None:
    runner = CliRunner(env={"VPPLB_KUBECTL": str(shop.binary)})
    at = (f"--kubeconfig={shop.kubeconfig}", f"--namespace={shop.namespace}")
    shown = runner.invoke(plugin, ["status", "web", *at])
    assert all(word in shown.output for word in ("web", *SERVERS)), shown.output
    whole = dict.fromkeys(addresses.values(), 100)
    for verb, weight in (("pause", 0), ("resume", 100)):
        told = runner.invoke(plugin, [verb, "nginx1", *at])
        assert told.exit_code == 0, told.output
        vpps.wait_weights(SEEN_VIP, whole | {addresses["nginx1"]: weight}, vpps.nodes)
    wait_programmed(shop, NODES)


def test_operators_of_both_versions_elect_one_and_follow_each_other(
    first: HelmRelease, shop: Kubectl, fail_over: Callable[[], None]
) -> None:
    first.kubectl("rollout", "undo", "deployment/vpplb-operator")
    first.kubectl("rollout", "pause", "deployment/vpplb-operator")  # half-way
    both = {IMAGE, BEFORE}
    wait_for(lambda: first.list_images("operator") == both, "both run", timeout=PATIENT)
    operators = Operators(first.kubectl)
    for image in (IMAGE, BEFORE, IMAGE):
        operators.move_lead_to_image(image)
        fail_over()
        assert first.list_images("operator") == both
    first.kubectl("rollout", "resume", "deployment/vpplb-operator")
    first.wait_rolled_out()
    wait_programmed(shop, NODES)


@pytest.mark.usefixtures("unmoved")
def test_a_rollback_keeps_definitions_and_objects(first: HelmRelease, shop: Kubectl) -> None:
    first.rollback(1)
    assert first.list_images("operator") == first.list_images("agent") == {BEFORE}
    wait_programmed(shop, NODES)


@pytest.mark.usefixtures("unmoved")
def test_an_upgrade_after_a_rollback_is_as_the_first_one(first: HelmRelease, shop: Kubectl) -> None:
    first.upgrade(CHART, values())
    assert first.list_images("operator") == first.list_images("agent") == {IMAGE}
    wait_programmed(shop, NODES)


# --- removal ----------------------------------------------------------------------------------


@pytest.mark.usefixtures("unmoved")
def test_what_is_uninstalled_leaves_objects_and_what_vpp_forwards(
    first: HelmRelease, vpps: RouterVpps, shop: Kubectl
) -> None:
    first.uninstall()
    labelled = ("-l", f"app.kubernetes.io/instance={first.name}")
    assert first.kubectl("get", "serviceaccounts,roles", *labelled, "-o", "name") == ""
    assert len(shop.list("vfe")) == 1
    assert all(SEEN_VIP in vpps.see(node) for node in vpps.nodes)


@pytest.mark.usefixtures("unmoved")
def test_what_is_installed_again_goes_on_from_there(first: HelmRelease, shop: Kubectl) -> None:
    first.install(CHART, values())
    wait_programmed(shop, NODES)


def test_without_objects_nothing_is_left(
    first: HelmRelease, kubectl: Kubectl, vpps: RouterVpps, shop: Kubectl
) -> None:
    shop("delete", "vfe,vbe,vhc", "--all", timeout=PATIENT)
    wait_for(lambda: not any(map(vpps.see, vpps.nodes)), "all VPPs are empty", every=0.5)
    first.uninstall()
    kubectl("delete", "crd", *(f"{kind}.vpplb.dev" for kind in KINDS), timeout=PATIENT)


def test_by_the_readmes_commands_the_first_vip_stands_soon(
    first: HelmRelease, kubectl: Kubectl, vpps: RouterVpps, programs: dict[str, Path]
) -> None:
    repository, _, _ = IMAGE.rpartition(":")
    path = os.pathsep.join([*(str(one.parent) for one in programs.values()), os.environ["PATH"]])
    env = {"PATH": path, "KUBECONFIG": str(kubectl.kubeconfig)}
    image, install = (
        block
        for block in list_blocks(ROOT / "README.md")
        if block.text.startswith(("export IMAGE=", "helm install "))
    )
    with PageSession(ROOT, env, {"registry.example/vpplb": repository}) as shell:
        shell.follow_block(image)
        begun = time.monotonic()
        shell.follow_block(install)
        kubectl.wait("vfe/www", f"jsonpath={{.status.nodes.programmed}}={NODES}", timeout=PATIENT)
        took = time.monotonic() - begun
    print(f"helm install to the first VIP on {NODES} nodes: {took:.1f} s")  # noqa: T201 (measured)
    assert all(SEEN_README_VIP in vpps.see(node) for node in vpps.nodes)
    assert took < FIRST_VIP
    first.wait_rolled_out()
    kubectl("delete", "-f", ROOT / "examples" / "http-failover.yaml", timeout=PATIENT)


# --- two releases -----------------------------------------------------------------------------


def test_a_second_release_is_refused_where_it_overlaps_and_takes_nothing(
    first: HelmRelease,
    second: HelmRelease,
    vpps: RouterVpps,
    shop: Kubectl,
    addresses: dict[str, str],
) -> None:
    first.upgrade(CHART, values())
    shop.apply(web_service(VIP, addresses))
    vpps.wait_weights(SEEN_VIP, dict.fromkeys(addresses.values(), 100), vpps.nodes)
    before = vpps.changes()
    second.helm("install", second.name, CHART, "--create-namespace", values=_second_values())
    for component in ("operator", "agent"):
        wait_for(partial(_refusal, second, component), f"{component}s say why", timeout=PATIENT)
    assert "of release vpplb-system/vpplb leads" in _refusal(second, "operator")
    # Also while the first release's agents are replaced, all at once.
    first.kubectl("rollout", "restart", "daemonset/vpplb-agent")
    first.wait_rolled_out()
    assert "another vpplb programs this VPP" in wait_for(
        lambda: _refusal(second, "agent"), "agents say why", timeout=PATIENT
    )
    wait_programmed(shop, NODES)
    assert vpps.changes() == before
    second.uninstall()


def test_two_releases_with_namespaces_and_nodes_of_their_own_converge(
    first: HelmRelease,
    second: HelmRelease,
    kubectl: Kubectl,
    vpps: RouterVpps,
    shop: Kubectl,
    addresses: dict[str, str],
) -> None:
    *mine, theirs = vpps.nodes
    for node in mine:
        kubectl("label", "node", node, "release=first")
    kubectl("label", "node", theirs, "release=second")
    kubectl("create", "namespace", "bank")
    first.upgrade(CHART, values(namespaces=["shop"], agent={"nodeSelector": {"release": "first"}}))
    second.helm(
        "install", second.name, CHART, values=_second_values({"release": "second"}, ["bank"])
    )
    kubectl("annotate", "vdp", theirs, "vpplb.dev/release-")  # else it takes long
    second.wait_rolled_out()
    bank = kubectl.within("bank")
    bank.apply(web_service(BANK_VIP, addresses))
    wait_programmed(shop, NODES - 1)
    wait_programmed(bank, 1)
    assert {node: set(vpps.see(node)) for node in vpps.nodes} == {
        **{node: {SEEN_VIP} for node in mine},
        theirs: {SEEN_BANK_VIP},
    }


def test_each_is_upgraded_and_removed_without_a_word_to_the_others_vpps(
    first: HelmRelease, second: HelmRelease, vpps: RouterVpps, shop: Kubectl
) -> None:
    before = vpps.changes()
    *_, theirs = vpps.nodes
    changed = {"commonLabels": {"example.org/round": "second"}}
    second.upgrade(CHART, _second_values({"release": "second"}, ["bank"]) | changed)
    second.wait_rolled_out()
    wait_programmed(shop.within("bank"), 1)
    second.uninstall()
    wait_programmed(shop, NODES - 1)
    assert vpps.changes() == before
    assert set(vpps.see(theirs)) == {SEEN_BANK_VIP}


# --- pieces -----------------------------------------------------------------------------------


def _second_values(
    nodes: dict[str, str] | None = None, namespaces: list[str] | None = None
) -> dict[str, Any]:
    """Return the second release's values: the definitions are the first one's."""
    return values(
        namespaces=namespaces or [],
        agent={"nodeSelector": nodes or {}},
        crds={"enabled": False},
    )


def _refusal(release: HelmRelease, component: str) -> str:
    """Return why a component's pods keep their hands off; empty while they say nothing."""
    return release.find_line(component, "leads, for the nodes", "another vpplb programs")


def _owners(kubectl: Kubectl) -> list[str]:
    """Return whose the nodes are, as their Dataplanes say."""
    told = (one["metadata"].get("annotations", {}) for one in kubectl.list("vdp"))
    return [annotations.get("vpplb.dev/release", "") for annotations in told]
