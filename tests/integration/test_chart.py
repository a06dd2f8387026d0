"""The chart: what it renders is accepted by a real API server, and its values are checked."""

import json
import re
import secrets
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from ipaddress import ip_network
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from click import Command

from cluster.binaries import ensure
from cluster.charts import HelmError, render_chart
from cluster.control_plane import (
    RBAC,
    ROOT,
    SYSTEM_NAMESPACE,
    ControlPlane,
    account_kubeconfig,
    fresh_namespace,
)
from cluster.kubectl import Kubectl
from cluster.stage import NodeStage, electing, stage
from data.manifests import backend, frontend
from vpplb.cli.agent import agent_command
from vpplb.cli.main import cli
from vpplb.cli.operator import operator_command
from vpplb.direct.messages import AUDIENCE
from vpplb.kube.api_health import FAILING

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
        ("direct.tokenSeconds=60", "tokenSeconds"),
        ("operator.directPort=0", "directPort"),
        ("operator.statusWritesPerSecond=-1", "statusWritesPerSecond"),
        ("networkPolicy.nodeBlocks={10.0.0.0}", "nodeBlocks"),
        ("networkPolicy.nodeBlocks={1:2:3/16}", "nodeBlocks"),
        ("operator.probeAllow={1::2::3/64}", "probeAllow"),
        ("operator.probeDeny={1:2:3/16}", "probeDeny"),
        ("image.digest=sha256:abc", "digest"),
        ("crds.keep=perhaps", "keep"),
        ("metrics.podMonitor.interval=often", "interval"),
        ("metrics.rules.runbookUrl=https://docs.example/", "runbookUrl"),
        ("metrics.dashboards.labels.tier=1", "tier"),
        ("operator.serviceAccount.nam=lb", "nam"),
        ("test.seconds=0", "seconds"),
        # As `helm upgrade --reuse-values` from a chart that had no such part.
        ("crds=null", "crds"),
        ("agent.serviceAccount=null", "serviceAccount"),
        ("commonLabels.team=1", "team"),
    ],
)
def test_a_wrong_value_is_refused_and_named(helm: Any, value: str, named: str) -> None:
    with pytest.raises(HelmError) as refused:
        render_chart(helm, f"--set={value}")
    assert named in str(refused.value)


def _is_prefix(text: str) -> bool:
    try:
        return bool(ip_network(text, strict=False))
    except ValueError:
        return False


def test_addresses_are_taken_by_the_chart_as_programs_read_them() -> None:
    """All but those of IPv6 that end as one of IPv4 does, which nobody may claim or probe."""
    schema = json.loads((ROOT / "charts" / "vpplb" / "values.schema.json").read_text())
    operator = schema["$defs"]["OperatorValues"]["properties"]
    pattern = re.compile(operator["probeAllow"]["items"]["pattern"])
    addresses = [
        *(":".join(groups) for size in range(1, 11) for groups in product(("", "a1"), repeat=size)),
        *("10.0.0.1", "255.0.10.99", "256.0.0.1", "1.2.3", "1.2.3.4.5", "01.2.3.4"),
        *("12345::", "FFFF::1", "g::", "", "::ffff:0:1.2.3"),
    ]
    lengths = ("", "/0", "/9", "/32", "/33", "/64", "/128", "/129", "/", "/064", "/x")
    texts = [address + length for address in addresses for length in lengths]
    taken = [text for text in texts if pattern.fullmatch(text)]
    # As Python alone reads lengths: with zeros before them.
    assert taken == [text for text in texts if _is_prefix(text) and "/0" not in text[:-1]]
    assert len(taken) > 200


def test_status_writes_are_bounded_by_the_chart_as_by_default(helm: Any) -> None:
    [operator] = [one for one in render_chart(helm) if one["kind"] == "Deployment"]
    [container] = operator["spec"]["template"]["spec"]["containers"]
    [bound] = [
        one.default for one in operator_command.params if one.name == "status_writes_per_second"
    ]
    assert f"--status-writes-per-second={bound}" in container["args"]


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
        ("vpplb-agent", "update", "frontends.vpplb.dev/status", True),  # its policy says what
        ("vpplb-agent", "patch", "frontends.vpplb.dev/status", False),
        ("vpplb-agent", "list", "backends.vpplb.dev", False),
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


# --- leases -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("account", "verb", "lease", "namespace", "allowed"),
    [
        # Not in kube-system, where tests are given more than the chart gives.
        ("vpplb-operator", "create", "vpplb-operator", "default", True),
        ("vpplb-operator", "patch", "vpplb-operator", "default", True),
        ("vpplb-operator", "patch", "another", "default", False),
        ("vpplb-operator", "delete", "vpplb-operator", "kube-system", False),
        ("vpplb-operator", "patch", "node-1", SYSTEM_NAMESPACE, False),
        ("vpplb-agent", "get", "vpplb-operator", "default", True),
        ("vpplb-agent", "get", "another", "default", False),
        ("vpplb-agent", "create", "vpplb-operator", "kube-system", False),
        ("vpplb-agent", "patch", "vpplb-operator", "kube-system", False),
        ("vpplb-agent", "patch", "node-1", SYSTEM_NAMESPACE, True),
        ("vpplb-agent", "patch", "node-1", "kube-node-lease", False),
        ("vpplb-agent", "delete", "node-1", SYSTEM_NAMESPACE, False),
    ],
)
def test_operators_write_their_one_lease_and_agents_their_heartbeats(
    control_plane: ControlPlane,
    account: str,
    verb: str,
    lease: str,
    namespace: str,
    *,
    allowed: bool,
) -> None:
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {
            "user": f"system:serviceaccount:{SYSTEM_NAMESPACE}:{account}",
            "resourceAttributes": {
                "group": "coordination.k8s.io",
                "resource": "leases",
                "verb": verb,
                "name": lease,
                "namespace": namespace,
            },
        },
    }
    said = control_plane.kubectl(
        "create", "-f", "-", "-o", "jsonpath={.status.allowed}", stdin=json.dumps(review)
    )
    assert said == ("true" if allowed else "false")


def test_without_the_policy_the_namespace_of_the_election_is_refused(helm: Any) -> None:
    here = f"--set=operator.electionNamespace={SYSTEM_NAMESPACE}"
    assert render_chart(helm, here)
    without = "--set=agent.ownNodeOnly=false"
    with pytest.raises(HelmError) as refused:
        render_chart(helm, here, without)
    assert "install into a namespace of its own" in str(refused.value)
    kinds = {one["kind"] for one in render_chart(helm, without)}
    assert "ValidatingAdmissionPolicy" not in kinds


def test_several_replicas_are_spread_and_never_evicted_at_once_and_elect_by_their_pods_names(
    helm: Any,
) -> None:
    rendered = {one["kind"]: one for one in render_chart(helm)}
    deployment, budget = rendered["Deployment"]["spec"], rendered["PodDisruptionBudget"]["spec"]
    pod = deployment["template"]["spec"]
    assert deployment["replicas"] == 2
    assert budget["maxUnavailable"] == 1
    assert budget["unhealthyPodEvictionPolicy"] == "AlwaysAllow"
    assert budget["selector"] == deployment["selector"]
    assert pod["topologySpreadConstraints"][0]["labelSelector"] == deployment["selector"]
    assert "--identity=$(POD_NAME)" in pod["containers"][0]["args"]
    alone = [one["kind"] for one in render_chart(helm, "--set=operator.replicas=1")]
    assert "PodDisruptionBudget" not in alone


# --- the direct road --------------------------------------------------------------------------


def _container(helm: Any, kind: str, *values: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the pod's spec and its first container."""
    (workload,) = (one for one in render_chart(helm, *values) if one["kind"] == kind)
    pod = workload["spec"]["template"]["spec"]
    return pod, pod["containers"][0]


def test_an_agent_has_a_token_for_operators_alone_where_it_looks_for_one(helm: Any) -> None:
    pod, agent = _container(helm, "DaemonSet")
    (volume,) = (one for one in pod["volumes"] if "projected" in one)
    token = {"audience": AUDIENCE, "expirationSeconds": 86400, "path": "token"}
    assert volume["projected"]["sources"] == [{"serviceAccountToken": token}]
    (mount,) = (one for one in agent["volumeMounts"] if one["name"] == volume["name"])
    assert f"--direct-token-file={mount['mountPath']}/token" in agent["args"]
    assert "--election-namespace=kube-system" in agent["args"]


@pytest.mark.parametrize("enabled", ["true", "false"])
@pytest.mark.parametrize(
    ("kind", "command"), [("Deployment", operator_command), ("DaemonSet", agent_command)]
)
def test_the_programs_know_the_flags_that_they_are_given(
    helm: Any, kind: str, command: Command, enabled: str
) -> None:
    _, container = _container(helm, kind, f"--set=direct.enabled={enabled},operator.allowNat=true")
    said = " ".join(container["args"])
    for env in container["env"]:
        value = "fd00::1" if env["name"] == "POD_IP" else env["name"].lower().replace("_", "-")
        said = said.replace(f"$({env['name']})", value)
    # As within the group: a command keeps its help option from the first context that it had.
    context = command.make_context(kind, said.split(), **cli.context_settings)
    assert context.params["no_direct"] is (enabled == "false")
    if kind == "Deployment" and enabled == "true":
        assert context.params["direct_advertise"] == "[fd00::1]:9443"


def test_an_operator_is_found_at_its_pods_address_and_lets_its_own_agents_in(helm: Any) -> None:
    _, operator = _container(helm, "Deployment", "--set=fullnameOverride=lb")
    agents, _ = _container(helm, "DaemonSet", "--set=fullnameOverride=lb")
    assert {
        "--direct-address=:9443",
        "--direct-advertise=$(POD_IP):9443",
        f"--agent-account=$(POD_NAMESPACE)/{agents['serviceAccountName']}",
    } < set(operator["args"])
    (ip,) = (one for one in operator["env"] if one["name"] == "POD_IP")
    assert ip["valueFrom"]["fieldRef"]["fieldPath"] == "status.podIP"
    assert {"name": "direct", "containerPort": 9443} in operator["ports"]


def test_a_token_may_last_for_longer_than_a_short_number_can_say(helm: Any) -> None:
    pod, _ = _container(helm, "DaemonSet", "--set=direct.tokenSeconds=31536000")
    (volume,) = (one for one in pod["volumes"] if "projected" in one)
    (source,) = volume["projected"]["sources"]
    assert source["serviceAccountToken"]["expirationSeconds"] == 31536000


def test_without_the_direct_road_an_operator_listens_to_no_agent(helm: Any) -> None:
    _, operator = _container(helm, "Deployment", "--set=direct.enabled=false")
    assert "--no-direct" in operator["args"]
    assert [one["name"] for one in operator["ports"]] == ["http"]
    assert not [one for one in operator["args"] if "9443" in one or "account" in one]


def test_without_the_direct_road_an_agent_has_no_such_token(helm: Any) -> None:
    pod, agent = _container(helm, "DaemonSet", "--set=direct.enabled=false")
    assert not [one for one in pod["volumes"] if "projected" in one]
    assert "--no-direct" in agent["args"]
    assert not [one for one in agent["args"] if "token" in one]


def _policies(helm: Any, *values: str) -> dict[str, dict[str, Any]]:
    """Return the specs of the NetworkPolicies by the component that they are for."""
    component = "app.kubernetes.io/component"
    policies = [
        one["spec"] for one in render_chart(helm, *values) if one["kind"] == "NetworkPolicy"
    ]
    return {one["podSelector"]["matchLabels"][component]: one for one in policies}


AGENTS = {
    "podSelector": {
        "matchLabels": {
            "app.kubernetes.io/name": "vpplb",
            "app.kubernetes.io/instance": "vpplb",
            "app.kubernetes.io/component": "agent",
        }
    }
}
ON = "--set=networkPolicy.enabled=true"
NODES = {"ipBlock": {"cidr": "10.0.0.0/16"}}
DIRECT = [{"port": 9443, "protocol": "TCP"}]


@pytest.mark.parametrize(
    ("values", "direct"),
    [
        ([], {"ports": DIRECT, "from": [AGENTS]}),
        (["networkPolicy.nodeBlocks={10.0.0.0/16}"], {"ports": DIRECT, "from": [AGENTS, NODES]}),
        # On the nodes' own network their pods have no address of theirs.
        (
            ["agent.hostNetwork=true", "networkPolicy.nodeBlocks={10.0.0.0/16}"],
            {"ports": DIRECT, "from": [NODES]},
        ),
        (["agent.hostNetwork=true"], {"ports": DIRECT}),
        (["direct.enabled=false"], None),
    ],
)
def test_a_policy_lets_agents_reach_the_direct_port_wherever_they_are(
    helm: Any, values: list[str], direct: dict[str, Any] | None
) -> None:
    policies = _policies(helm, ON, *(f"--set={value}" for value in values))
    http = {"ports": [{"port": 9091, "protocol": "TCP"}]}
    assert policies["operator"]["ingress"] == [http, *([direct] if direct else [])]
    assert policies["agent"]["ingress"] == [http]
    assert {tuple(one["policyTypes"]) for one in policies.values()} == {("Ingress",)}


def test_a_policy_lets_those_read_metrics_that_are_named(helm: Any) -> None:
    peer = {"namespaceSelector": {"matchLabels": {"name": "monitoring"}}}
    policies = _policies(helm, ON, f"--set-json=networkPolicy.httpFrom={json.dumps([peer])}")
    assert [one["ingress"][0]["from"] for one in policies.values()] == [[peer], [peer]]


def test_there_is_no_policy_unless_it_is_asked_for(helm: Any) -> None:
    assert _policies(helm) == {}


# --- a list of namespaces -------------------------------------------------------------------------


class Scoped:
    """Operator and agent with the chart's access to two namespaces; a third is not theirs."""

    def __init__(self, running: NodeStage, namespaces: list[Kubectl], other: Kubectl) -> None:
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
        # The lease that the chart gives the right to: no other test serves these namespaces.
        election = electing("operator", "vpplb-operator")
        running = stack.enter_context(stage(accounts, directory, *options, election=election))
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
    unseen = {"observedGeneration": 0}
    assert scoped.other.get("vfe", "web")["status"] == unseen
    assert scoped.other.get("vbe", "a")["status"] == unseen

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
    time.sleep(FAILING + 1)  # what fails is told after that
    for service in (scoped.stage.operator, scoped.stage.agent):
        service.wait_ready()


@pytest.mark.parametrize("account", ["operator", "agent"])
def test_with_a_list_of_namespaces_nothing_of_users_is_granted_in_others(
    helm: Any, account: str
) -> None:
    """In the whole cluster what is of no namespace and one lease, in its own namespace leases."""
    granted = {"": set[str](), SYSTEM_NAMESPACE: set[str](), "shop": set[str]()}
    for manifest in render_chart(helm, "--set=namespaces={shop}"):
        if manifest["kind"] in ("Role", "ClusterRole") and account in manifest["metadata"]["name"]:
            where = manifest["metadata"].get("namespace", "")
            granted[where] |= {kind for rule in manifest["rules"] for kind in rule["resources"]}
    cluster = {"dataplanes", "dataplanes/status", "namespaces"}
    assert granted[""] == cluster | {"leases"} | ({"nodes"} if account == "agent" else set())
    assert granted[SYSTEM_NAMESPACE] == {"leases"}
    assert {"frontends", "events"} <= granted["shop"]
