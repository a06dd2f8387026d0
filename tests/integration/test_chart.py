"""The chart: what it renders is accepted by a real API server, and its values are checked."""

import json
import secrets
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from support.binaries import ensure
from support.control_plane import (
    RBAC,
    ROOT,
    SYSTEM_NAMESPACE,
    ControlPlane,
    account_kubeconfig,
    fresh_namespace,
    render_chart,
)
from support.kubectl import Kubectl
from support.manifests import backend, frontend
from support.stage import Stage, stage

pytestmark = [pytest.mark.slow, pytest.mark.control_plane]


@pytest.fixture(scope="module")
def helm(control_plane: ControlPlane) -> Any:
    del control_plane  # it made sure of helm
    return ensure(("helm",), print)["helm"]


def test_the_chart_has_no_complaint_of_helm_lint(helm: Any) -> None:
    chart = ROOT / "charts" / "vpplb"
    done = subprocess.run(
        [helm, "lint", "--strict", chart], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    "values",
    [
        pytest.param([], id="defaults"),
        pytest.param(["--set=simulator.enabled=true"], id="simulator"),
        pytest.param(["--set=operator.hostNetwork=true,agent.hostNetwork=true"], id="host-network"),
        pytest.param(["--set=agent.enabled=false"], id="no-agent"),
        pytest.param(["--set=operator.extraArgs={--no-blind-guard}"], id="extra-args"),
        pytest.param(["--set=agent.nodeSelector.vpp=here"], id="node-selector"),
        pytest.param(["--set=namespaces={default,kube-system}"], id="namespaces"),
        pytest.param(["--set=operator.replicas=1"], id="one-replica"),
    ],
)
def test_what_it_renders_is_accepted(
    control_plane: ControlPlane, helm: Any, values: list[str]
) -> None:
    rendered = render_chart(helm, *values)
    _apply(control_plane, rendered, "--dry-run=server", "--validate=strict")


def _apply(plane: ControlPlane, manifests: list[dict[str, Any]], *args: str) -> None:
    """Apply manifests of several namespaces, as helm does (kubectl with -n refuses others)."""
    by_namespace: dict[str, list[dict[str, Any]]] = {}
    for manifest in manifests:
        by_namespace.setdefault(manifest["metadata"].get("namespace", ""), []).append(manifest)
    for namespace, some in by_namespace.items():
        plane.kubectl.within(namespace or SYSTEM_NAMESPACE).apply(some, *args)


@pytest.mark.parametrize(
    ("value", "named"),
    [
        ("operator.replicas=0", "replicas"),
        ("operator.namespace=shop", "namespace"),
        ("namespaces={Shop}", "namespaces"),
        ("agent.vpp.runDir=run/vpp", "runDir"),
        ("operator.logLevel=loud", "logLevel"),
        ("image.pullPolicy=Sometimes", "pullPolicy"),
        ("agnet.enabled=false", "agnet"),
    ],
)
def test_a_wrong_value_is_refused_and_named(helm: Any, value: str, named: str) -> None:
    with pytest.raises(subprocess.CalledProcessError) as refused:
        render_chart(helm, f"--set={value}")
    assert named in refused.value.stderr


def test_only_the_agent_runs_as_root_and_nobody_is_privileged(helm: Any) -> None:
    for manifest in render_chart(helm, "--set=simulator.enabled=true"):
        if manifest["kind"] not in ("Deployment", "DaemonSet"):
            continue
        pod = manifest["spec"]["template"]["spec"]
        name = manifest["metadata"]["name"]
        assert pod["securityContext"]["runAsUser"] == (65532 if "operator" in name else 0)
        for container in pod["containers"]:
            security = container["securityContext"]
            assert security["readOnlyRootFilesystem"]
            assert not security["allowPrivilegeEscalation"]
            assert security["capabilities"]["drop"] == ["ALL"]


@pytest.mark.parametrize(
    ("account", "verb", "resource", "allowed"),
    [
        ("vpplb-operator", "update", "frontends.vpplb.dev/status", True),
        ("vpplb-operator", "patch", "frontends.vpplb.dev/status", False),
        ("vpplb-operator", "patch", "dataplanes.vpplb.dev/status", True),
        ("vpplb-operator", "update", "frontends.vpplb.dev", False),
        ("vpplb-operator", "update", "backends.vpplb.dev", False),
        ("vpplb-operator", "get", "secrets", False),
        ("vpplb-operator", "list", "nodes", False),
        ("vpplb-operator", "create", "pods", False),
        ("vpplb-agent", "create", "dataplanes.vpplb.dev", True),
        ("vpplb-agent", "update", "dataplanes.vpplb.dev/status", True),
        ("vpplb-agent", "update", "frontends.vpplb.dev/status", False),
        ("vpplb-agent", "patch", "frontends.vpplb.dev", False),
        ("vpplb-agent", "get", "secrets", False),
    ],
)
def test_the_roles_allow_what_is_needed_and_no_more(
    control_plane: ControlPlane, account: str, verb: str, resource: str, *, allowed: bool
) -> None:
    who = f"--as=system:serviceaccount:{SYSTEM_NAMESPACE}:{account}"
    kind, _, sub = resource.partition("/")
    arguments = [verb, kind, who, "--all-namespaces"] + ([f"--subresource={sub}"] if sub else [])
    command = ["auth", "can-i", *arguments]
    done = subprocess.run(
        [
            str(control_plane.kubectl.binary),
            f"--kubeconfig={control_plane.kubeconfig}",
            *command,
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.strip() == ("yes" if allowed else "no")


def test_several_replicas_are_spread_and_never_evicted_at_once_and_elect_by_their_pods_names(
    helm: Any,
) -> None:
    rendered = {one["kind"]: one for one in render_chart(helm)}
    deployment, budget = rendered["Deployment"]["spec"], rendered["PodDisruptionBudget"]["spec"]
    pod = deployment["template"]["spec"]
    assert deployment["replicas"] == 2
    assert budget["maxUnavailable"] == 1
    assert budget["selector"] == deployment["selector"]
    assert pod["topologySpreadConstraints"][0]["labelSelector"] == deployment["selector"]
    assert "--identity=$(POD_NAME)" in pod["containers"][0]["args"]
    alone = [one["kind"] for one in render_chart(helm, "--set=operator.replicas=1")]
    assert "PodDisruptionBudget" not in alone


# --- a list of namespaces -------------------------------------------------------------------------


class Scoped:
    """Operator and agent with the chart's access to two namespaces; a third is not theirs."""

    def __init__(self, running: Stage, namespaces: list[Kubectl], other: Kubectl) -> None:
        self.stage, self.namespaces, self.other = running, namespaces, other


@pytest.fixture(scope="module")
def scoped(
    control_plane: ControlPlane, helm: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Scoped]:
    directory, name = tmp_path_factory.mktemp("scoped"), f"scoped-{secrets.token_hex(2)}"
    with ExitStack() as stack:
        *served, other = [stack.enter_context(fresh_namespace(control_plane)) for _ in range(3)]
        listed = ",".join(kubectl.namespace for kubectl in served)
        values = f"--set=fullnameOverride={name},namespaces={{{listed}}}"
        _apply(control_plane, [one for one in render_chart(helm, values) if one["kind"] in RBAC])
        accounts = replace(
            control_plane,
            operator_kubeconfig=_kubeconfig(control_plane, directory, f"{name}-operator"),
            agent_kubeconfig=_kubeconfig(control_plane, directory, f"{name}-agent"),
        )
        options = [f"--namespace={kubectl.namespace}" for kubectl in served]
        running = stack.enter_context(stage(accounts, directory, *options))
        yield Scoped(running, served, other)


def _kubeconfig(plane: ControlPlane, directory: Path, account: str) -> Path:
    return account_kubeconfig(directory, plane.kubectl, account)


def test_with_a_list_of_namespaces_roles_in_these_suffice_and_no_others_are_seen(
    scoped: Scoped,
) -> None:
    node = {"kubernetes.io/hostname": scoped.stage.node}
    for number, kubectl in enumerate([*scoped.namespaces, scoped.other]):
        vip = f"192.0.2.{240 + number}"
        kubectl.apply([backend(), frontend(address=vip, nodeSelector=node)])
    for kubectl in scoped.namespaces:
        kubectl.wait("vfe/web", "condition=Programmed")
        kubectl.wait("vbe/a", "jsonpath={.status.state}=up")
        assert [event["reason"] for event in kubectl.list("events")].count("FrontendUp") == 1
    assert "status" not in scoped.other.get("vfe", "web")
    assert "status" not in scoped.other.get("vbe", "a")

    scoped.namespaces[0].delete("vfe", "web")
    scoped.namespaces[0].wait("vbe/a", "jsonpath={.status.frontends}=0")
    for service in (scoped.stage.operator, scoped.stage.agent):
        log = service.program.log.read_text()
        assert "forbidden" not in log.lower()
        assert '"level": "error"' not in log


def test_a_listed_namespace_that_is_deleted_with_its_roles_holds_up_no_other(
    scoped: Scoped,
) -> None:
    kept, deleted = scoped.namespaces
    node = {"kubernetes.io/hostname": scoped.stage.node}
    kept.apply([backend(), frontend(address="192.0.2.240", nodeSelector=node)])
    kept.wait("vfe/web", "condition=Programmed")
    # There is no controller here that deletes what is in a namespace.
    deleted("delete", "vfe,vbe,roles,rolebindings", "--all")
    deleted("delete", "namespace", deleted.namespace, "--wait=false")
    finalized = {**deleted.get("namespace", deleted.namespace), "spec": {"finalizers": []}}
    path = f"/api/v1/namespaces/{deleted.namespace}/finalize"
    deleted("replace", "--raw", path, "-f", "-", stdin=json.dumps(finalized))
    for program in (scoped.stage.operator.program, scoped.stage.agent.program):
        program.kill()
        program.start()

    weights = {"pools": [{"name": "main", "backends": [{"name": "a", "weight": 7}]}]}
    kept.patch("vfe", "web", {"spec": weights})
    kept.wait("vfe/web", "jsonpath={.status.backends[0].effectiveWeight}=7")
    kept.wait("vfe/web", "condition=Programmed")


@pytest.mark.parametrize("account", ["operator", "agent"])
def test_with_a_list_of_namespaces_nothing_of_users_is_granted_in_others(
    helm: Any, account: str
) -> None:
    """In the whole cluster only what is of no namespace, in its own namespace only leases."""
    granted = {"": set[str](), SYSTEM_NAMESPACE: set[str](), "shop": set[str]()}
    for manifest in render_chart(helm, "--set=namespaces={shop}"):
        if manifest["kind"] in ("Role", "ClusterRole") and account in manifest["metadata"]["name"]:
            where = manifest["metadata"].get("namespace", "")
            granted[where] |= {kind for rule in manifest["rules"] for kind in rule["resources"]}
    cluster = {"dataplanes", "dataplanes/status", "namespaces"}
    assert granted[""] == (cluster | {"nodes"} if account == "agent" else cluster)
    assert granted[SYSTEM_NAMESPACE] == {"leases"}
    assert {"frontends", "events"} <= granted["shop"]
