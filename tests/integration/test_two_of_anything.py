"""Two operators that serve the same, or overlap, or have one name; two agents of one node's name.

Real processes on a real API server.
"""

import json
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from cluster.control_plane import SYSTEM_NAMESPACE, ControlPlane, fresh_namespace
from cluster.kubectl import Kubectl
from cluster.stage import ServiceProcess, SimulatedVpp, stage
from data.manifests import backend, frontend
from lab.http_get import http_get
from lab.processes import free_port
from lab.waiting import NODE_AT_REST, stays, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.control_plane]

LEASE = 2.0
"""Duration of the operators' lease, in seconds."""

Start = Callable[..., ServiceProcess]
"""Starts an operator of a release: its name and further options; waits until it answers."""


def said(service: ServiceProcess) -> dict[str, Any]:
    """Return what `/readyz` says; empty while nothing answers."""
    status, text = http_get(f"{service.http}/readyz")
    return json.loads(text) if status else {}


@pytest.fixture
def start(control_plane: ControlPlane, tmp_path: Path) -> Iterator[Start]:
    """All that one test starts share a lease of their own, in place of the cluster's one."""
    lease = f"two-{secrets.token_hex(3)}"
    with ExitStack() as stack:

        def begin(name: str, *args: str, identity: str = "") -> ServiceProcess:
            directory = tmp_path / name
            directory.mkdir()
            options = [
                f"--lease-namespace={SYSTEM_NAMESPACE}",
                f"--lease-name={lease}",
                f"--lease-duration={LEASE:g}s",
                f"--identity={identity or name}",
                f"--direct-address=127.0.0.1:{free_port()}",
            ]
            service = ServiceProcess(
                "operator", control_plane.operator_kubeconfig, directory, *options, *args
            )
            stack.callback(service.program.stop)
            wait_for(lambda: said(service), f"{name} answers")
            return service

        yield begin


@pytest.mark.parametrize("identity", ["", "one-name-for-both"])
def test_two_releases_for_all_namespaces_are_one_election(start: Start, identity: str) -> None:
    first = start("first", identity=identity)
    first.wait_ready()
    wait_for(lambda: said(first)["role"] == "leading", "the first leads")
    second = start("second", identity=identity)
    second.wait_ready()
    stays(lambda: (said(first)["role"], said(second)["role"]), "roles", seconds=2 * LEASE)
    assert said(second)["role"] == "standby"
    assert said(second)["leader"] == said(first)["leader"]
    first.program.kill()
    wait_for(lambda: said(second)["role"] == "leading", "the second leads")


def test_of_two_that_overlap_the_first_goes_on_and_the_second_says_why_not(
    control_plane: ControlPlane, start: Start
) -> None:
    with fresh_namespace(control_plane) as shop, fresh_namespace(control_plane) as bank:
        first = start("first", "--release=first", f"--namespace={shop.namespace}")
        first.wait_ready()
        beside = start("beside", "--release=beside", f"--namespace={bank.namespace}")
        beside.wait_ready()
        whole = start("whole", "--release=whole")
        wait_for(lambda: "lease" in said(whole).get("notReady", {}), "it is refused")
        why = said(whole)["notReady"]["lease"]
        assert why.endswith(
            "so this operator does not serve all namespaces: let their namespaces differ, or"
            " remove one of the two"
        )
        assert "_" in why.partition(" serves namespace ")[0]

        def roles() -> list[str]:
            return [said(one)["role"] for one in (first, beside, whole)]

        two_lead = ["leading", "leading", "standby"]
        wait_for(lambda: roles() == two_lead, "the two lead")
        assert stays(roles, "roles", seconds=2 * LEASE) == two_lead
        first.program.stop()
        beside.program.stop()
        wait_for(lambda: said(whole)["role"] == "leading", "it leads in the end")
        assert http_get(f"{whole.http}/readyz")[0] == 200


def test_a_second_agent_of_one_name_keeps_its_hands_off_and_says_so(
    control_plane: ControlPlane, tmp_path: Path
) -> None:
    with ExitStack() as stack:
        running = stack.enter_context(stage(control_plane, tmp_path))
        kubectl: Kubectl = stack.enter_context(fresh_namespace(control_plane))
        node = {"kubernetes.io/hostname": running.node}
        kubectl.apply([backend(), frontend(address="192.0.2.230", nodeSelector=node)])
        kubectl.wait("vfe/web", "condition=Programmed")
        other = tmp_path / "other"
        other.mkdir()
        vpp = SimulatedVpp(other)
        stack.callback(vpp.stop)
        clone = ServiceProcess(
            "agent",
            control_plane.agent_kubeconfig,
            other,
            f"--node={running.node}",
            f"--vpp-api-socket={vpp.socket}",
            f"--lease-namespace={SYSTEM_NAMESPACE}",
        )
        stack.callback(clone.program.stop)
        wait_for(lambda: "another agent" in str(said(clone).get("notReady")), "it says so")
        time.sleep(NODE_AT_REST)  # the first one's own status is written
        before = kubectl.get("dataplane", running.node)["metadata"]["resourceVersion"]
        time.sleep(5)
        assert kubectl.get("dataplane", running.node)["metadata"]["resourceVersion"] == before
        assert http_get(f"{clone.http}/readyz")[0] == 503
        assert "192.0.2.230" not in clone.program.log.read_text()
        running.agent.crash()  # the same one, which need not wait
