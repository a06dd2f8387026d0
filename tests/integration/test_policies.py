"""The chart's admission policies on a real API server: what they refuse, and whom they mean."""

import asyncio
import json
import secrets
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from cluster.binaries import ensure
from cluster.charts import HelmError, render_chart
from cluster.control_plane import (
    RBAC,
    SYSTEM_NAMESPACE,
    ControlPlane,
    account_kubeconfig,
    fresh_namespace,
)
from cluster.kubectl import Kubectl, KubectlError
from cluster.stage import make_node
from data.cluster_objects import decided_backend, decided_frontend
from data.manifests import Raw, backend, frontend, manifest
from data.pages import ROOT, list_blocks, list_samples
from lab.waiting import wait_for
from vpplb.agent.node_guard import KEPT, OPEN, NodeGuard
from vpplb.kube.client import KubeClient
from vpplb.kube.kubernetes_events import EventRecorder, ObjectEvent
from vpplb.kube.leases.agent_lease import LeaseHeartbeat
from vpplb.model.clock import SystemClock
from vpplb.model.names import ObjectKey, ObjectKind
from vpplb.resources.dataplane import RELEASE
from vpplb.resources.stale_status import age_status

pytestmark = [pytest.mark.slow, pytest.mark.control_plane]

POLICIES = {"ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"}


@pytest.fixture(scope="module")
def helm(control_plane: ControlPlane) -> Path:
    del control_plane  # it made sure of helm
    return ensure(("helm",), print)["helm"]


def refusal(kubectl: Kubectl, *args: str, stdin: str = "") -> str:
    """Return what is said where something is refused; empty: it is not. Nothing is stored."""
    try:
        kubectl(*args, "--dry-run=server", stdin=stdin)
    except KubectlError as error:
        return str(error)
    return ""


def refusal_to_create(kubectl: Kubectl, made: Raw) -> str:
    return refusal(kubectl, "create", "-f", "-", stdin=json.dumps(made))


def apply_each(kubectl: Kubectl, manifests: list[dict[str, Any]]) -> None:
    """Apply manifests, each in its own namespace."""
    by_namespace: dict[str, list[dict[str, Any]]] = {}
    for one in manifests:
        by_namespace.setdefault(one["metadata"].get("namespace", SYSTEM_NAMESPACE), []).append(one)
    for namespace, some in by_namespace.items():
        kubectl.within(namespace).apply(some)


def delete_policies(kubectl: Kubectl, manifests: list[dict[str, Any]]) -> None:
    made = [f"{one['kind']}/{one['metadata']['name']}" for one in manifests]
    kubectl("delete", *(name for name in made if name.split("/")[0] in POLICIES))


# --- agents write what is their node's ------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicedAgent:
    """kubectl as the agent of the node `mine`, and as the same account without a node."""

    here: Kubectl
    nowhere: Kubectl
    account: str
    release: str


NAMES_OF_ACCOUNTS = {
    "of the release": "fullnameOverride={}",
    "given": "fullnameOverride={},agent.serviceAccount.name={}-given",
    "made by others": "fullnameOverride={},agent.serviceAccount.create=false,"
    "agent.serviceAccount.name={}-theirs",
}


@pytest.fixture(scope="module", params=[*NAMES_OF_ACCOUNTS.values()], ids=[*NAMES_OF_ACCOUNTS])
def agent(
    request: pytest.FixtureRequest,
    control_plane: ControlPlane,
    helm: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[PolicedAgent]:
    """Give the account that the chart's DaemonSet runs as, whatever named it, under its policy."""
    name, directory = f"policed-{secrets.token_hex(2)}", tmp_path_factory.mktemp("policed")
    rendered = render_chart(helm, f"--set={request.param.format(name, name)}")
    made = [one for one in rendered if one["kind"] in RBAC | POLICIES]
    [daemons] = [one for one in rendered if one["kind"] == "DaemonSet"]
    pod = daemons["spec"]["template"]["spec"]
    account, args = pod["serviceAccountName"], pod["containers"][0]["args"]
    [release] = [one.split("=")[1] for one in args if one.startswith("--release=")]
    kubectl = control_plane.kubectl.within(SYSTEM_NAMESPACE)
    if account.endswith("-theirs"):
        kubectl("create", "serviceaccount", account)
    apply_each(kubectl, made)
    kubectl.apply([make_node("mine"), _make_pod(name, account)])
    bound = ("--bound-object-kind=Pod", f"--bound-object-name={name}")
    here, nowhere = (directory / folder for folder in ("here", "nowhere"))
    here.mkdir()
    nowhere.mkdir()
    policed = PolicedAgent(
        here=_act_as(kubectl, account_kubeconfig(here, kubectl, account, *bound)),
        nowhere=_act_as(kubectl, account_kubeconfig(nowhere, kubectl, account)),
        account=account,
        release=release.replace("$(POD_NAMESPACE)", SYSTEM_NAMESPACE),
    )
    wait_for(lambda: refusal_to_create(policed.here, lease("theirs")), "the policy is in force")
    kubectl.apply([lease("theirs"), dataplane("theirs"), dataplane("mine")])
    yield policed
    kubectl("delete", "pod", name, "--force", "--grace-period=0")
    kubectl("delete", "lease", "theirs")
    kubectl("delete", "dataplane", "theirs", "mine")
    delete_policies(kubectl, made)


def _make_pod(name: str, account: str) -> Raw:
    containers = [{"name": "agent", "image": "none"}]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {"nodeName": "mine", "serviceAccountName": account, "containers": containers},
    }


def _act_as(kubectl: Kubectl, kubeconfig: Path) -> Kubectl:
    return Kubectl(kubectl.binary, kubeconfig, SYSTEM_NAMESPACE)


def lease(node: str) -> Raw:
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": node},
        "spec": {"holderIdentity": node, "leaseDurationSeconds": 30},
    }


def dataplane(node: str) -> Raw:
    return manifest("Dataplane", node, {})


def event(
    instance: str = "mine", controller: str = "vpplb.dev/agent", of: str = "vpplb.dev/v1alpha1"
) -> Raw:
    return {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"name": f"told-{secrets.token_hex(4)}"},
        "eventTime": "2026-01-01T12:00:00.000000Z",
        "reportingController": controller,
        "reportingInstance": instance,
        "type": "Normal",
        "reason": "VipRecreated",
        "action": "Observe",
        "note": "told",
        "regarding": {
            "apiVersion": of,
            "kind": "Frontend",
            "namespace": SYSTEM_NAMESPACE,
            "name": "web",
        },
    }


NODE_ALONE = "an agent may write what is named as its node alone; by its token that is"


def test_an_agent_writes_the_lease_and_the_dataplane_of_its_own_node(agent: PolicedAgent) -> None:
    paused = json.dumps({"metadata": {"annotations": {"seen": "yes"}}})
    assert refusal_to_create(agent.here, lease("mine")) == ""
    assert refusal(agent.here, "patch", "dataplane", "mine", "--type=merge", "-p", paused) == ""
    status = json.dumps({**agent.here.get("dataplane", "mine"), "status": {"conditions": []}})
    replace = ("replace", "--subresource=status", "-f", "-")
    assert refusal(agent.here, *replace, stdin=status) == ""


def test_an_agent_writes_nothing_of_another_node(agent: PolicedAgent) -> None:
    paused, held = json.dumps({"spec": {"paused": True}}), json.dumps({"spec": {}})
    theirs = {**agent.here.get("dataplane", "theirs"), "status": {"conditions": []}}
    replace = ("replace", "--subresource=status", "-f", "-")
    for said in (
        refusal_to_create(agent.here, lease("new")),
        refusal_to_create(agent.here, dataplane("new")),
        refusal(agent.here, "patch", "lease", "theirs", "--type=merge", "-p", held),
        refusal(agent.here, "patch", "dataplane", "theirs", "--type=merge", "-p", paused),
        refusal(agent.here, *replace, stdin=json.dumps(theirs)),
    ):
        assert f"{NODE_ALONE} 'mine'" in said


def test_an_agent_says_of_its_node_that_it_is_its_own_releases_alone(agent: PolicedAgent) -> None:
    def claim(release: str) -> str:
        annotated = json.dumps({"metadata": {"annotations": {RELEASE: release}}})
        return refusal(agent.here, "patch", "dataplane", "mine", "--type=merge", "-p", annotated)

    assert claim(agent.release) == ""
    for other in ("another/vpplb", agent.release + "x"):
        assert f"an agent's node is its own release's, {agent.release}" in claim(other)


def test_an_agent_deletes_nothing_which_no_policy_could_bound(agent: PolicedAgent) -> None:
    for kind in ("lease", "dataplane"):
        assert "cannot delete resource" in refusal(agent.here, "delete", kind, "theirs")


def test_a_token_of_the_agents_account_that_names_no_node_writes_nothing(
    control_plane: ControlPlane, agent: PolicedAgent
) -> None:
    for made in (lease("mine"), dataplane("new"), event()):
        assert "by its token that is ''" in refusal_to_create(agent.nowhere, made)
    # The way in which the threat model has an administrator look whether the policy holds.
    who = f"--as=system:serviceaccount:{SYSTEM_NAMESPACE}:{agent.account}"
    asked = (who, "annotate", "dataplane", "mine", "try=it")
    assert f"{NODE_ALONE} ''" in refusal(control_plane.kubectl, *asked)


def test_an_agent_tells_events_of_its_node_about_objects_of_vpplb_alone(
    agent: PolicedAgent,
) -> None:
    assert refusal_to_create(agent.here, event()) == ""
    for forged in (event("theirs"), event(controller="kubelet"), event(of="v1")):
        assert "an agent tells events" in refusal_to_create(agent.here, forged)


MARK_ALONE = "of a status that is not its own an agent writes that it is stale, and nothing else"


@pytest.fixture(scope="module")
def kept(control_plane: ControlPlane) -> Iterator[dict[ObjectKind, dict[str, Any]]]:
    """Give a Frontend and a Backend with the statuses that an operator keeps."""
    system, written = control_plane.kubectl.within(SYSTEM_NAMESPACE), {}
    made = {ObjectKind.FRONTEND: frontend("kept"), ObjectKind.BACKEND: backend("kept", "10.0.0.1")}
    statuses = {
        ObjectKind.FRONTEND: decided_frontend()["status"],
        ObjectKind.BACKEND: decided_backend("kept", "10.0.0.1")["status"],
    }
    system.apply([*made.values()])
    for kind in made:
        whole = {**system.get(kind.plural, "kept"), "status": statuses[kind]}
        system("replace", "--subresource=status", "-f", "-", stdin=json.dumps(whole))
        written[kind] = system.get(kind.plural, "kept")
    yield written
    system("delete", "vfe,vbe", "kept")


@pytest.mark.parametrize("kind", [ObjectKind.FRONTEND, ObjectKind.BACKEND])
def test_an_agent_lets_a_status_say_that_it_is_stale_and_changes_nothing_else_of_it(
    agent: PolicedAgent, kept: dict[ObjectKind, dict[str, Any]], kind: ObjectKind
) -> None:
    whole = kept[kind]
    marked = age_status(kind, whole["status"], "as of then, nobody probes", datetime.now(UTC))
    assert marked is not None

    def replace(status: Mapping[str, object], by: Kubectl = agent.here) -> str:
        asked = ("replace", "--subresource=status", "-f", "-")
        return refusal(by, *asked, stdin=json.dumps({**whole, "status": status}))

    conditions = marked["conditions"]
    assert isinstance(conditions, list)
    healthy = [{**one, "status": "True", "reason": "Stale"} for one in conditions]
    other = [{**one, "reason": "Told"} for one in conditions]
    forged: list[Mapping[str, object]] = [
        {**marked, "state": "down"},
        {name: value for name, value in marked.items() if name != "state"},
        {**marked, "observedGeneration": 7},
        {**marked, "problem": "NoBackendUp"},
        {name: value for name, value in marked.items() if name != "problem"},
        {**marked, "conditions": conditions[1:]},
        {**marked, "conditions": [*conditions, {**conditions[0], "type": "More"}]},
        {**marked, "conditions": healthy},
        {**marked, "conditions": other},
        whole["status"],
        {},
    ]
    if kind == ObjectKind.FRONTEND:
        vip = {**whole["status"]["dataplane"], "servers": []}
        forged += [
            {**marked, "dataplane": vip},
            {**marked, "withdrawn": {"term": 1, "sequence": 1}},
        ]
    assert replace(marked) == ""
    for one in forged:
        assert MARK_ALONE in replace(one), one
    assert "by its token that is ''" in replace(marked, agent.nowhere)


def test_without_its_policy_an_agent_has_no_right_to_a_status(helm: Path) -> None:
    rendered = render_chart(helm, "--set=agent.ownNodeOnly=false")
    rules = [
        rule
        for one in rendered
        if one["kind"] in ("ClusterRole", "Role") and "agent" in one["metadata"]["name"]
        for rule in one["rules"]
    ]
    assert rules
    assert not [one for one in rules if "frontends/status" in one["resources"]]
    [daemons] = [one for one in rendered if one["kind"] == "DaemonSet"]
    assert "--no-mark-stale" in daemons["spec"]["template"]["spec"]["containers"][0]["args"]


async def test_what_an_agent_really_asks_is_let_through_and_it_sees_that_it_is_kept(
    control_plane: ControlPlane, agent: PolicedAgent
) -> None:
    async with await KubeClient.from_config(agent.here.kubeconfig) as client:
        heartbeat = LeaseHeartbeat(
            client=client,
            key=ObjectKey(SYSTEM_NAMESPACE, "mine"),
            holder="mine_boot_vpp",
            clock=SystemClock(),
        )
        await heartbeat.claim_lease()
        await heartbeat.renew_lease()
        recorder = EventRecorder(client, "agent", "mine")
        sending = asyncio.create_task(recorder.run())
        told = f"Told{secrets.token_hex(4)}"
        recorder.emit_event(
            ObjectEvent(
                kind=ObjectKind.FRONTEND,
                key=ObjectKey(SYSTEM_NAMESPACE, "web"),
                uid="u",
                type="Warning",
                reason=told,
                note="the VIP was made anew",
                at=datetime.now(UTC),
            )
        )
        await recorder.drain(20)
        sending.cancel()
        guard = NodeGuard(client, heartbeat.key)
        await guard.look_once()
        assert guard.said == KEPT
    system = control_plane.kubectl.within(SYSTEM_NAMESPACE)
    assert [one for one in system.list("events.events.k8s.io") if one["reason"] == told]
    system("delete", "lease", "mine")


async def test_an_agent_that_no_policy_means_sees_that(
    control_plane: ControlPlane, agent: PolicedAgent
) -> None:
    """The control plane's own agents are of another account than the policy's."""
    del agent
    async with await KubeClient.from_config(control_plane.agent_kubeconfig) as client:
        guard = NodeGuard(client, ObjectKey(SYSTEM_NAMESPACE, "mine"))
        await guard.look_once()
    assert guard.said == OPEN


def test_the_lease_of_the_election_is_no_agents_even_where_it_is_named_as_its_node(
    helm: Path,
) -> None:
    """A node may have any name, and the release be in the namespace of the election."""
    [policy] = [one for one in render_chart(helm) if one["kind"] == "ValidatingAdmissionPolicy"]
    expressions = [one["expression"] for one in policy["spec"]["validations"]]
    assert [one for one in expressions if '"vpplb-operator"' in one]


def test_others_than_agents_are_not_meant(control_plane: ControlPlane, agent: PolicedAgent) -> None:
    del agent  # its policy is in force
    system = control_plane.kubectl.within(SYSTEM_NAMESPACE)
    for made in (lease("anybody"), dataplane("anybody"), event("anybody", "kubelet", "v1")):
        assert refusal_to_create(system, made) == ""


# --- namespaces claim addresses -------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimingNamespaces:
    """kubectl in namespaces that are served, and in one that is not."""

    served: dict[str, Kubectl]
    outside: Kubectl
    policy: str


CHART_PAGE = "charts/vpplb/README.md"
EARLIER = "192.0.2.250"
"""What `shop` has since before there were claims."""


@pytest.fixture(scope="module")
def claiming(
    control_plane: ControlPlane, helm: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ClaimingNamespaces]:
    with ExitStack() as stack:
        shop, blog, edge, outside = (
            stack.enter_context(fresh_namespace(control_plane)) for _ in range(4)
        )
        edge("label", "namespace", edge.namespace, "edge=yes")
        shop.apply(frontend("earlier", address=EARLIER))
        served = {"shop": shop, "blog": blog, "edge": edge}
        values = tmp_path_factory.mktemp("claims") / "values.json"
        values.write_text(_write_claims({one: served[one].namespace for one in served}))
        name = f"claims-{secrets.token_hex(2)}"
        rendered = render_chart(helm, f"--values={values}", f"--set=fullnameOverride={name}")
        made = [
            one
            for one in rendered
            if one["kind"] in POLICIES and one["metadata"]["name"].endswith("-addresses")
        ]
        assert {one["kind"] for one in made} == POLICIES
        apply_each(control_plane.kubectl, made)
        stack.callback(delete_policies, control_plane.kubectl, made)
        wait_for(
            lambda: refusal_to_create(shop, frontend(address="10.0.0.1")), "the claims are in force"
        )
        yield ClaimingNamespaces(served=served, outside=outside, policy=f"{name}-addresses")


def _write_claims(served: Mapping[str, str]) -> str:
    """Return the chart's values as its page has them, with the namespaces that stand for those."""
    [block] = [one for one in list_blocks(ROOT / CHART_PAGE) if one.reader == "values"]
    values = yaml.safe_load(block.text)
    for claim in values["addressClaims"]:
        if "namespaces" in claim:
            claim["namespaces"] = [served[one] for one in claim["namespaces"]]
    return json.dumps({**values, "namespaces": [*served.values()]})


NOBODYS = "is in no range that Frontends may claim"


@pytest.mark.parametrize(
    ("namespace", "address", "says"),
    [
        pytest.param("shop", "192.0.2.10", "", id="its own"),
        pytest.param("shop", "192.0.2.0/25", "", id="all of its own"),
        pytest.param("shop", "2001:db8:1::5", "", id="its own by IPv6"),
        pytest.param("shop", "2001:0DB8:0001::/64", "", id="written otherwise"),
        pytest.param("blog", "192.0.2.200", "", id="what is kept for it"),
        pytest.param("shop", "192.0.2.200", "192.0.2.128/25 is for", id="kept for another"),
        pytest.param("shop", "192.0.2.0/24", "192.0.2.128/25 is for", id="around what is kept"),
        pytest.param("shop", "192.0.2.1/24", "192.0.2.128/25 is for", id="with bits of a host"),
        pytest.param("blog", "192.0.2.0/23", NOBODYS, id="wider than its own"),
        pytest.param("edge", "128.0.0.0/1", "192.0.2.0/24 is for", id="half of everything"),
        pytest.param("edge", "0.0.0.0/1", NOBODYS, id="the other half"),
        pytest.param("shop", "2001:db8:2::5", NOBODYS, id="nobody's"),
        pytest.param("shop", "198.51.100.1", "198.51.100.0/24 is for", id="without the label"),
        pytest.param("edge", "198.51.100.1", "", id="by its label"),
        pytest.param("edge", "192.0.2.10", "192.0.2.0/24 is for", id="of others"),
        pytest.param("blog", "203.0.113.254", "", id="everybody's"),
        pytest.param("blog", "203.0.113.253", NOBODYS, id="beside everybody's"),
    ],
)
def test_a_namespace_claims_what_lies_in_its_ranges_and_touches_no_others(
    claiming: ClaimingNamespaces, namespace: str, address: str, says: str
) -> None:
    said = refusal_to_create(claiming.served[namespace], frontend(address=address))
    assert (says in said) if says else (said == "")


def test_the_page_shows_how_a_claim_is_refused(claiming: ClaimingNamespaces) -> None:
    [sample] = [one for one in list_samples(CHART_PAGE) if "is for the namespaces" in one]
    swaps = {
        '"web.yaml"': '"STDIN"',
        "vpplb-addresses": claiming.policy,
        "blog alone": f"{claiming.served['blog'].namespace} alone",
    }
    for before, after in swaps.items():
        sample = sample.replace(before, after)
    said = refusal_to_create(claiming.served["shop"], frontend(address="192.0.2.128/25"))
    assert " ".join(sample.split()) in " ".join(said.split())


def test_what_had_its_address_before_keeps_it_and_is_edited_and_served(
    claiming: ClaimingNamespaces,
) -> None:
    shop = claiming.served["shop"]
    weights = {"pools": [{"name": "main", "backends": [{"name": "a", "weight": 7}]}]}
    shop.patch("vfe", "earlier", {"spec": weights})
    status = json.dumps({**shop.get("vfe", "earlier"), "status": {"state": "up"}})
    shop("replace", "--subresource=status", "-f", "-", stdin=status)
    assert shop.field("vfe", "earlier", ".status.state") == "up"
    moved = json.dumps({"spec": {"address": "192.0.2.251"}})
    said = refusal(shop, "patch", "vfe", "earlier", "--type=merge", "-p", moved)
    assert "192.0.2.128/25 is for" in said
    again = frontend("again", address=EARLIER)
    assert "192.0.2.128/25 is for" in refusal_to_create(shop, again)


def test_namespaces_of_another_release_are_not_bound(claiming: ClaimingNamespaces) -> None:
    assert refusal_to_create(claiming.outside, frontend(address="192.0.2.200")) == ""


def test_without_claims_there_is_no_policy_on_addresses(helm: Path) -> None:
    names = [one["metadata"]["name"] for one in render_chart(helm) if one["kind"] in POLICIES]
    assert [name for name in names if name.endswith("-addresses")] == []


@pytest.mark.parametrize(
    ("claim", "named"),
    [
        ({"namespaces": ["shop"]}, "addresses"),
        ({"addresses": [], "namespaces": ["shop"]}, "addresses"),
        ({"addresses": ["192.0.2.0-192.0.2.9"], "namespaces": ["shop"]}, "addresses"),
        ({"addresses": ["192.0.2.0/33"], "namespaces": ["shop"]}, "addresses"),
        ({"addresses": ["2001:db8::/129"], "namespaces": ["shop"]}, "addresses"),
        ({"addresses": ["192.0.2.256"], "namespaces": ["shop"]}, "addresses"),
        ({"addresses": ["192.0.2.0/24"]}, "addressClaims"),
        ({"addresses": ["192.0.2.0/24"], "namespaces": []}, "namespaces"),
        ({"addresses": ["192.0.2.0/24"], "namespace": "shop"}, "namespace"),
        (
            {"addresses": ["192.0.2.0/24"], "namespaces": ["shop"], "namespaceSelector": {}},
            "addressClaims",
        ),
    ],
)
def test_a_claim_that_does_not_say_for_whom_or_what_is_refused_and_named(
    helm: Path, tmp_path: Path, claim: dict[str, object], named: str
) -> None:
    values = tmp_path / "values.json"
    values.write_text(json.dumps({"addressClaims": [claim]}))
    with pytest.raises(HelmError, match=named):
        render_chart(helm, f"--values={values}")
