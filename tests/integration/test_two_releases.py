"""Two releases in one cluster: side by side where they share nothing, told apart where they do.

Real processes on a real API server, and simulated VPPs.
"""

import json
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from cluster.control_plane import SYSTEM_NAMESPACE, ControlPlane, fresh_namespace
from cluster.kubectl import Kubectl
from cluster.stage import NodeStage, ServiceProcess, electing, stage
from data.manifests import backend, frontend
from lab.http_get import http_get
from lab.vpp_witness import VppWitness
from lab.waiting import NODE_AT_REST, stays, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.control_plane]

SHOP_VIP, BANK_VIP = "192.0.2.240", "192.0.2.241"


@dataclass(frozen=True, slots=True)
class Release:
    """A release: its operator, and an agent with a VPP on a node of its own."""

    name: str
    kubectl: Kubectl
    stage: NodeStage

    def web(self) -> dict[str, Any]:
        """Return the status of its frontend, which selects no nodes."""
        return dict(self.kubectl.get("vfe", "web")["status"])

    def vips(self) -> set[str]:
        """Return the VIPs of its VPP."""
        with VppWitness(self.stage.vpp.socket) as witness:
            return set(witness.see())


@pytest.fixture(scope="module")
def lease() -> str:
    """Give the lease of all operators of this cluster, which are those of these tests."""
    return f"releases-{secrets.token_hex(3)}"


@contextmanager
def release(plane: ControlPlane, directory: Path, name: str, lease: str) -> Iterator[Release]:
    """Run a release for a namespace of its own."""
    directory.mkdir()
    with fresh_namespace(plane) as kubectl:
        args = (f"--release={SYSTEM_NAMESPACE}/{name}", f"--namespace={kubectl.namespace}")
        with stage(plane, directory, *args, election=electing(name, lease)) as running:
            yield Release(name, kubectl, running)


@pytest.fixture(scope="module")
def releases(
    control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory, lease: str
) -> Iterator[tuple[Release, Release]]:
    directory = tmp_path_factory.mktemp("releases")
    with (
        release(control_plane, directory / "shop", "shop", lease) as shop,
        release(control_plane, directory / "bank", "bank", lease) as bank,
    ):
        yield shop, bank


def said(service: ServiceProcess) -> dict[str, Any]:
    """Return what `/readyz` says; empty while nothing answers."""
    status, text = http_get(f"{service.http}/readyz")
    return json.loads(text) if status else {}


def _heard_operator(release: Release) -> str:
    """Return what is written after `Programmed`, which an acknowledgement makes."""
    return release.kubectl.field("vdp", release.stage.node, ".status.direct.operator")


def test_two_that_share_neither_namespaces_nor_nodes_converge(
    releases: tuple[Release, Release],
) -> None:
    for one, address in zip(releases, (SHOP_VIP, BANK_VIP), strict=True):
        one.kubectl.apply([backend(), frontend(address=address)])
    for one, address in zip(releases, (SHOP_VIP, BANK_VIP), strict=True):
        one.kubectl.wait("vfe/web", "condition=Programmed")
        assert one.web()["nodes"] == {"desired": 1, "programmed": 1, "summary": "1/1"}
        assert one.vips() == {f"{address}/32 tcp/80"}
        node = one.kubectl.get("vdp", one.stage.node)["metadata"]
        assert node["annotations"]["vpplb.dev/release"] == f"{SYSTEM_NAMESPACE}/{one.name}"
        wait_for(partial(_heard_operator, one), "the node's status names the operator it hears")


def test_one_that_restarts_is_no_news_to_the_other(releases: tuple[Release, Release]) -> None:
    shop, bank = releases
    time.sleep(NODE_AT_REST)
    calls = len(shop.stage.tap.changes())

    def versions() -> list[str]:
        objects = (("vfe", "web"), ("vbe", "a"), ("vdp", shop.stage.node))
        field = ".metadata.resourceVersion"
        return [shop.kubectl.field(kind, name, field) for kind, name in objects]

    before = versions()
    bank.stage.operator.crash()
    bank.stage.agent.crash()
    bank.kubectl.wait("vfe/web", "condition=Programmed")
    assert versions() == before
    assert len(shop.stage.tap.changes()) == calls
    assert bank.vips() == {f"{BANK_VIP}/32 tcp/80"}


def test_an_agent_of_another_release_on_a_taken_node_never_touches_its_vips(
    control_plane: ControlPlane, releases: tuple[Release, Release], tmp_path: Path
) -> None:
    shop, bank = releases
    intruder = ServiceProcess(
        "agent",
        control_plane.agent_kubeconfig,
        tmp_path,
        f"--node={shop.stage.node}",
        f"--vpp-api-socket={shop.stage.tap.path}",
        f"--state-file={shop.stage.agent.program.log.parent / 'agent.json'}",  # as by the chart
        f"--lease-namespace={SYSTEM_NAMESPACE}",
        f"--release={SYSTEM_NAMESPACE}/bank",
        f"--namespace={bank.kubectl.namespace}",
    )
    calls = len(shop.stage.tap.changes())
    try:
        wait_for(lambda: "another vpplb programs this VPP" in refusal(intruder), "it is refused")
        shop.stage.agent.program.kill()
        wait_for(
            lambda: f"is of release {SYSTEM_NAMESPACE}/shop" in refusal(intruder),
            "it is refused though nobody holds the VPP",
        )
        stays(shop.vips, "VIPs", seconds=3)
        shop.stage.agent.program.start()
        shop.stage.agent.wait_ready()
        wait_for(lambda: "another vpplb programs this VPP" in refusal(intruder), "as before")
    finally:
        intruder.program.stop()
    assert shop.vips() == {f"{SHOP_VIP}/32 tcp/80"}
    assert len(shop.stage.tap.changes()) == calls
    assert bank.web()["nodes"]["desired"] == 1


def standby_refusal(operator: ServiceProcess) -> str:
    """Return why an operator that has looked at the lease should not lead; empty before."""
    why = str(said(operator).get("notReady", {}).get("lease", ""))
    return why if "leads" in why else ""


def refusal(agent: ServiceProcess) -> str:
    return str(said(agent).get("notReady", {}).get("vpp", ""))


def test_an_operator_of_another_release_for_the_same_namespaces_stands_by_and_says_why(
    control_plane: ControlPlane, releases: tuple[Release, Release], tmp_path: Path, lease: str
) -> None:
    shop, _ = releases
    args = (f"--release={SYSTEM_NAMESPACE}/other", f"--namespace={shop.kubectl.namespace}")
    other = ServiceProcess(
        "operator", control_plane.operator_kubeconfig, tmp_path, *electing("other", lease), *args
    )
    try:
        why = wait_for(lambda: standby_refusal(other), "it says so")
        assert why.endswith(
            f"of release {SYSTEM_NAMESPACE}/shop leads, for the nodes of that release alone, and"
            f" this operator stands by for {SYSTEM_NAMESPACE}/other: let the namespaces of both"
            " differ, or remove one of the two"
        )
        assert said(other)["role"] == "standby"
        assert http_get(f"{shop.stage.operator.http}/readyz")[0] == 200
    finally:
        other.program.stop()
