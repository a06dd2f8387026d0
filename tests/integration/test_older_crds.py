"""Programs that meet definitions older than they are, on an API server of their own."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from cluster.binaries import Missing
from cluster.control_plane import SYSTEM_NAMESPACE, ControlPlane
from cluster.control_plane import control_plane as run_control_plane
from cluster.stage import ServiceProcess, SimulatedVpp, electing, make_node
from lab.http_get import http_get
from lab.waiting import stays, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.control_plane]

CRDS = Path(__file__).parents[2] / "crds"


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """Give an API server whose definitions may be changed without harm to other tests."""
    try:
        with run_control_plane(tmp_path_factory.mktemp("plane"), print) as running:
            yield running
    except Missing as missing:
        pytest.skip(f"no control plane: {missing}")


def not_ready(service: ServiceProcess) -> dict[str, str]:
    status, text = http_get(f"{service.http}/readyz")
    return dict(json.loads(text).get("notReady", {})) if status else {}


def apply_crd(plane: ControlPlane, plural: str, *without: str) -> None:
    """Apply a definition as an older version would have it, without these fields of its spec."""
    crd = yaml.safe_load((CRDS / f"{plural}.yaml").read_text())
    [version] = crd["spec"]["versions"]
    spec = version["schema"]["openAPIV3Schema"]["properties"]["spec"]
    for name in without:
        del spec["properties"][name]
    if without:  # a rule may name what is gone
        spec.pop("x-kubernetes-validations", None)
    plane.kubectl.apply(crd, "--server-side", "--force-conflicts")


def test_an_operator_neither_leads_nor_is_ready_before_the_definitions_are_upgraded(
    plane: ControlPlane, tmp_path: Path
) -> None:
    apply_crd(plane, "frontends", "dscp", "flowTableLength")
    lease = "older-definitions"
    operator = ServiceProcess(
        "operator", plane.operator_kubeconfig, tmp_path, *electing("one", lease)
    )
    try:
        wait_for(lambda: "crds" in not_ready(operator), "it says so")
        wait_for(lambda: "lacks" in not_ready(operator)["crds"], "and what is missing")
        assert (
            "Frontend lacks spec.dscp, spec.flowTableLength. Upgrade them first:"
            in (not_ready(operator)["crds"])
        )
        leases = plane.kubectl.within("kube-system")
        stays(lambda: leases("get", "lease", lease, "--ignore-not-found"), "lease", seconds=3)
        assert leases("get", "lease", lease, "--ignore-not-found") == ""
        apply_crd(plane, "frontends")
        operator.wait_ready()
        assert leases.field("lease", lease, ".spec.holderIdentity").startswith("one_")
    finally:
        operator.program.stop()


def test_an_operator_leads_where_nobody_else_does_and_is_not_ready_all_the_same(
    plane: ControlPlane, tmp_path: Path
) -> None:
    """As where the one that led has run with these definitions, and was restarted."""
    apply_crd(plane, "frontends", "dscp")
    lease = "deserted"
    options = electing("one", lease, duration="2s")
    operator = ServiceProcess("operator", plane.operator_kubeconfig, tmp_path, *options)
    leases = plane.kubectl.within("kube-system")
    try:
        wait_for(lambda: leases("get", "lease", lease, "--ignore-not-found"), "it leads")
        wait_for(lambda: list(not_ready(operator)) == ["crds"], "all else is well")
        assert "Frontend lacks spec.dscp" in not_ready(operator)["crds"]
        apply_crd(plane, "frontends")
        operator.wait_ready()
    finally:
        operator.program.stop()


def test_an_agent_goes_on_and_says_so(plane: ControlPlane, tmp_path: Path) -> None:
    apply_crd(plane, "dataplanes", "flowTimeout")
    plane.kubectl.apply(make_node("older"))
    vpp = SimulatedVpp(tmp_path)
    agent = ServiceProcess(
        "agent",
        plane.agent_kubeconfig,
        tmp_path,
        "--node=older",
        f"--vpp-api-socket={vpp.socket}",
        f"--lease-namespace={SYSTEM_NAMESPACE}",
    )
    try:
        wait_for(lambda: plane.kubectl("get", "vdp", "--ignore-not-found"), "a Dataplane")
        plane.kubectl.wait("vdp/older", "condition=Connected")
        wait_for(lambda: "spec.flowTimeout" in not_ready(agent).get("crds", ""), "it says so")
        assert list(not_ready(agent)) == ["crds"]
    finally:
        agent.program.stop()
        vpp.stop()
