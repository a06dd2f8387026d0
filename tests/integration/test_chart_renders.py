"""What the chart renders: as written down, accepted by an API server, and one release's alone."""

import json
import secrets
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from cluster.binaries import ensure, fetch_monitor_crds
from cluster.charts import (
    CHART,
    FROM_FILES,
    ROOT,
    HelmError,
    ReleaseName,
    copy_chart,
    golden_names,
    pods_of,
    release_of,
    render_chart,
    render_golden,
    render_with_uninstalling,
    rendered_file,
    values_file,
)
from cluster.control_plane import ControlPlane
from cluster.kubectl import Kubectl, KubectlError
from data.alert_rules import RULES
from data.dashboards import DASHBOARDS

pytestmark = [pytest.mark.slow, pytest.mark.control_plane]

GOLDEN = golden_names()


@pytest.fixture(scope="module")
def helm(control_plane: ControlPlane) -> Path:
    del control_plane  # it made sure of helm
    return ensure(("helm",), print)["helm"]


@pytest.fixture(scope="module")
def frozen_chart(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_chart(tmp_path_factory.mktemp("chart"), version="0.0.0")


@pytest.mark.parametrize("name", GOLDEN)
def test_a_set_of_values_renders_as_written_down(helm: Path, frozen_chart: Path, name: str) -> None:
    rendered = render_golden(helm, name, frozen_chart)
    assert rendered == rendered_file(name).read_text(), "make golden writes it anew"


def test_there_are_enough_sets_of_values_and_each_makes_a_difference() -> None:
    rendered = {name: rendered_file(name).read_text() for name in GOLDEN}
    assert len(set(rendered.values())) == len(GOLDEN) >= 12
    assert {
        path.stem.removesuffix(".out") for path in values_file("").parent.glob("*.out.yaml")
    } == {*GOLDEN}


def _list_values(values: Mapping[str, Any], defaults: Mapping[str, Any]) -> Iterator[str]:
    """Name the chart's values among these that are other than by default, by their paths."""
    for name, value in values.items():
        default = defaults[name]
        if isinstance(default, dict) and default and name not in WHOLE:
            yield from (f"{name}.{inner}" for inner in _list_values(value, default))
        elif value != default:
            yield name


def _list_paths(values: Mapping[str, Any]) -> Iterator[str]:
    """Name all of the chart's values by their paths."""
    for name, value in values.items():
        if isinstance(value, dict) and value and name not in WHOLE:
            yield from (f"{name}.{inner}" for inner in _list_paths(value))
        else:
            yield name


WHOLE = ("resources", "podSecurityContext")
"""Values that are Kubernetes' own, so that the chart has no say in what is in them."""


def test_each_value_of_the_chart_is_in_a_set() -> None:
    defaults = yaml.safe_load((CHART / "values.yaml").read_text())
    given = {
        path
        for name in GOLDEN
        for path in _list_values(yaml.safe_load(values_file(name).read_text()) or {}, defaults)
    }
    assert set(_list_paths(defaults)) - given == set()


# --- accepted ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def validating(control_plane: ControlPlane) -> Iterator[Kubectl]:
    """Give kubectl where an API server knows all kinds, and the namespaces of all sets."""
    kubectl = control_plane.kubectl
    monitors = [f"--filename={path}" for path in fetch_monitor_crds(print)]
    kubectl("apply", "--server-side", *monitors)
    kubectl("wait", "--for=condition=Established", *monitors, "--timeout=60s")
    namespaces = {release_of(name).namespace for name in GOLDEN} | {"shop", "blog", "edge"}
    kubectl.apply([_namespace(name) for name in sorted(namespaces)])
    yield kubectl
    kubectl("delete", *monitors, "--wait=false")


def _namespace(name: str, level: str = "privileged") -> dict[str, Any]:
    labels = {"pod-security.kubernetes.io/enforce": level}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


def _try(kubectl: Kubectl, objects: list[dict[str, Any]]) -> None:
    """Have the API server say whether it would take them; it must know every field."""
    by_namespace: dict[str, list[dict[str, Any]]] = {}
    for one in objects:
        by_namespace.setdefault(one["metadata"].get("namespace", "default"), []).append(one)
    for namespace, some in by_namespace.items():
        kubectl.within(namespace).apply(some, "--dry-run=server", "--validate=strict")


def test_an_api_server_accepts_each_object_of_all_sets_and_knows_every_field(
    validating: Kubectl,
) -> None:
    """Pods are tried below, where their ServiceAccount is; of the chart's files heads are here."""
    rendered = {
        json.dumps(one): one
        for name in GOLDEN
        for one in yaml.safe_load_all(rendered_file(name).read_text())
        if one and one["kind"] not in ("Pod", *FROM_FILES)
    }
    assert len(rendered) > 5 * len(GOLDEN)
    _try(validating, list(rendered.values()))


def test_an_api_server_accepts_the_rules_and_the_dashboards(
    validating: Kubectl, helm: Path
) -> None:
    made = [one for one in _render_monitoring(helm) if one["kind"] in FROM_FILES]
    assert {one["kind"] for one in made} == {*FROM_FILES}
    _try(validating, [one for one in made if one["kind"] != "CustomResourceDefinition"])


def test_the_rules_and_dashboards_of_a_release_are_the_files_of_the_chart(helm: Path) -> None:
    made = _render_monitoring(helm)
    [rule] = [one for one in made if one["kind"] == "PrometheusRule"]
    files = [yaml.safe_load(file.read_text()) for file in RULES]
    assert rule["spec"] == {"groups": [group for file in files for group in file["groups"]]}
    shown = {
        name: json.loads(text)
        for one in made
        if one["kind"] == "ConfigMap"
        for name, text in one["data"].items()
    }
    assert shown == {f"vpplb-{file.name}": json.loads(file.read_text()) for file in DASHBOARDS}


def test_runbooks_may_be_elsewhere(helm: Path) -> None:
    where = "https://docs.example/runbooks"
    made = render_chart(helm, f"--set=metrics.rules.enabled=true,metrics.rules.runbookUrl={where}")
    [rule] = [one for one in made if one["kind"] == "PrometheusRule"]
    alerts = [
        each for group in rule["spec"]["groups"] for each in group["rules"] if "alert" in each
    ]
    assert {one["annotations"]["runbook_url"] for one in alerts} == {
        f"{where}/{one['alert']}.html" for one in alerts
    }


def _render_monitoring(helm: Path) -> list[dict[str, Any]]:
    return render_chart(helm, "--set=metrics.rules.enabled=true,metrics.dashboards.enabled=true")


def test_a_field_that_nobody_knows_would_be_found(validating: Kubectl, helm: Path) -> None:
    rendered = render_chart(helm, "--set=metrics.podMonitor.enabled=true")
    monitor = next(one for one in rendered if one["kind"] == "PodMonitor")
    monitor["spec"]["podMetricsEndpoints"][0]["intervall"] = "15s"
    with pytest.raises(KubectlError, match="intervall"):
        _try(validating, [monitor])


# --- Pod Security -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def levels(control_plane: ControlPlane, helm: Path) -> Iterator[dict[str, Kubectl]]:
    """Give kubectl by level of Pod Security, in a namespace of it that has the ServiceAccounts."""
    names = {level: f"{level}-{secrets.token_hex(2)}" for level in ("restricted", "baseline")}
    kubectl = control_plane.kubectl
    kubectl.apply([_namespace(name, level) for level, name in names.items()])
    accounts = [one for one in render_chart(helm) if one["kind"] == "ServiceAccount"]
    for one in accounts:
        del one["metadata"]["namespace"]
    made = {level: kubectl.within(name) for level, name in names.items()}
    for within in made.values():
        within.apply(accounts)
    yield made
    kubectl("delete", "namespace", *names.values(), "--wait=false")


@pytest.mark.parametrize(
    ("component", "level", "values", "because"),
    [
        ("operator", "restricted", [], ""),
        ("test", "restricted", [], ""),
        # VPP's sockets are on the node, so an agent has a folder of it.
        ("agent", "baseline", [], "hostPath"),
        ("operator", "baseline", ["--set=operator.rawSockets=true"], "NET_RAW"),
        ("operator", "baseline", ["--set=operator.hostNetwork=true"], "hostNetwork"),
    ],
)
def test_a_namespace_of_pod_security_restricted_takes_what_asks_for_nothing_more(
    levels: dict[str, Kubectl],
    helm: Path,
    component: str,
    level: str,
    values: list[str],
    because: str,
) -> None:
    pod = pods_of(render_chart(helm, *values))[component]
    metadata = {"name": "tried", "labels": pod["metadata"]["labels"]}
    tried = {"apiVersion": "v1", "kind": "Pod", **pod, "metadata": metadata}
    try:
        levels[level]("create", "-f", "-", "--dry-run=server", stdin=json.dumps(tried))
        refusal = ""
    except KubectlError as refused:
        refusal = str(refused)
    assert bool(refusal) == bool(because), refusal
    assert because in refusal


# --- one release's alone ----------------------------------------------------------------------


def _places(helm: Path, release: ReleaseName) -> set[tuple[str, str, str]]:
    """Return kind, namespace and name of all that a release makes, but the shared definitions."""
    kinds = ("podMonitor", "rules", "dashboards")
    values = [f"--set=metrics.{kind}.enabled=true" for kind in kinds]
    rendered = render_chart(
        helm, "--set=namespaces={shop},networkPolicy.enabled=true", *values, release=release
    )
    return {
        (one["kind"], one["metadata"].get("namespace", ""), one["metadata"]["name"])
        for one in rendered
        if one["kind"] != "CustomResourceDefinition"
    }


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (ReleaseName("one", "vpplb"), ReleaseName("two", "vpplb")),
        (ReleaseName("one", "vpplb"), ReleaseName("one", "edge")),
        (ReleaseName("a", "b-c"), ReleaseName("a-b", "c")),
        (ReleaseName("one", "a.b"), ReleaseName("two", "a.b")),
        (ReleaseName("one", f"{'x' * 51}-a"), ReleaseName("one", f"{'x' * 51}-b")),
    ],
)
def test_two_releases_share_no_name(helm: Path, one: ReleaseName, other: ReleaseName) -> None:
    first, second = _places(helm, one), _places(helm, other)
    assert len(first) == len(second) > 20
    assert first & second == set()


def test_a_chart_of_another_version_that_changes_nothing_restarts_no_pod(
    helm: Path, tmp_path: Path
) -> None:
    copies = [copy_chart(tmp_path / version, version=version) for version in ("1.0.0", "1.0.1")]
    values = ("--set=image.tag=same,simulator.enabled=true",)
    before, after = (
        pods_of(render_with_uninstalling(helm, *values, chart=copy)) for copy in copies
    )
    assert before.keys() == {"operator", "agent", "simulator", "test", "retire"}
    assert before == after


@pytest.mark.parametrize("name", GOLDEN)
def test_no_label_of_a_pod_has_a_version_in_it(name: str) -> None:
    rendered = [one for one in yaml.safe_load_all(rendered_file(name).read_text()) if one]
    of_versions = {"helm.sh/chart", "app.kubernetes.io/version"}
    for component, pod in pods_of(rendered).items():
        assert of_versions.isdisjoint(pod["metadata"]["labels"]), component


def test_what_selects_pods_never_changes_with_values(helm: Path) -> None:
    """A Deployment's selector cannot be changed: an upgrade would be refused."""
    plain, labelled = (
        [
            one["spec"]["selector"]
            for one in render_chart(helm, *values)
            if one["kind"] in ("Deployment", "DaemonSet")
        ]
        for values in ((), ("--set=commonLabels.team=net,operator.podLabels.tier=x",))
    )
    assert plain == labelled


def test_a_name_of_digits_stays_a_name(helm: Path) -> None:
    like_a_number = "3240286e-210077"
    for one in render_chart(helm, release=ReleaseName(like_a_number, "0123")):
        assert one["metadata"].get("namespace", like_a_number) == like_a_number
        assert one["metadata"]["labels"]["app.kubernetes.io/instance"] == "0123"


def test_another_chart_may_have_this_one_below_it(helm: Path, tmp_path: Path) -> None:
    about = {"apiVersion": "v2", "name": "all", "version": "1.0.0"}
    below = [{"name": "vpplb", "version": "*", "condition": "vpplb.enabled"}]
    copy_chart(tmp_path / "all" / "charts")
    (tmp_path / "all" / "Chart.yaml").write_text(yaml.safe_dump({**about, "dependencies": below}))
    values = {"global": {"region": "east"}, "vpplb": {"enabled": True, "namespaces": ["shop"]}}
    (tmp_path / "all" / "values.yaml").write_text(yaml.safe_dump(values))
    rendered = render_chart(helm, chart=tmp_path / "all")
    assert rendered == render_chart(helm, "--set=namespaces={shop}")


# --- what people may do -----------------------------------------------------------------------


def _aggregated(helm: Path, role: str) -> dict[str, set[str]]:
    """Return the verbs by resource that the chart adds to one of the cluster's roles."""
    verbs: dict[str, set[str]] = {}
    for one in render_chart(helm):
        label = f"rbac.authorization.k8s.io/aggregate-to-{role}"
        if one["metadata"]["labels"].get(label) == "true":
            for rule in one["rules"]:
                lease = rule.get("resourceNames") == ["vpplb-operator"]  # who leads, and no other
                assert rule["apiGroups"] == ["coordination.k8s.io" if lease else "vpplb.dev"]
                for resource in rule["resources"]:
                    verbs.setdefault(resource, set()).update(rule["verbs"])
    return verbs


READ = {"get", "list", "watch"}
WRITE = {"create", "update", "patch", "delete", "deletecollection"}
USERS = ("frontends", "backends", "healthchecks")


@pytest.mark.parametrize(
    ("role", "verbs"), [("view", READ), ("edit", READ | WRITE), ("admin", READ | WRITE)]
)
def test_who_may_view_or_edit_a_namespace_may_do_that_with_what_is_served_from_it(
    helm: Path, role: str, verbs: set[str]
) -> None:
    seen = dict.fromkeys(("dataplanes", "leases"), READ)
    assert _aggregated(helm, role) == {**dict.fromkeys(USERS, verbs), **seen}


# --- what is told -----------------------------------------------------------------------------


def test_a_service_account_that_is_not_made_has_to_be_named(helm: Path) -> None:
    with pytest.raises(Exception, match=r"agent.serviceAccount.name has to name one"):
        render_chart(helm, "--set=agent.serviceAccount.create=false")


ONE_ACCOUNT = "--set=agent.serviceAccount.name=lb,operator.serviceAccount.name=lb"


@pytest.mark.parametrize(
    "values", [ONE_ACCOUNT, "--set=operator.serviceAccount.name=vpplb-agent"], ids=["given", "same"]
)
def test_one_account_for_both_programs_is_refused_where_a_policy_binds_the_agents(
    helm: Path, values: str
) -> None:
    with pytest.raises(HelmError, match=r"give each program an account of its own") as refused:
        render_chart(helm, values)
    assert "agent.ownNodeOnly to false" in str(refused.value)


@pytest.mark.parametrize("without", ["agent.ownNodeOnly=false", "agent.enabled=false"])
def test_one_account_for_both_programs_is_no_trouble_without_the_policy(
    helm: Path, without: str
) -> None:
    pods = pods_of(render_chart(helm, ONE_ACCOUNT, f"--set={without}"))
    assert pods["operator"]["spec"]["serviceAccountName"] == "lb"


def test_an_account_whose_name_is_like_a_number_stays_a_name(helm: Path) -> None:
    names = {"agent": "1e3", "operator": "0123"}
    values = ",".join(f"{program}.serviceAccount.name={name}" for program, name in names.items())
    rendered = render_chart(helm, f"--set-string={values}")
    pods = pods_of(rendered)
    assert {one: pods[one]["spec"]["serviceAccountName"] for one in names} == names
    made = {one["metadata"]["name"] for one in rendered if one["kind"] == "ServiceAccount"}
    bound = {
        subject["name"]
        for one in rendered
        if one["kind"] in ("RoleBinding", "ClusterRoleBinding")
        for subject in one["subjects"]
    }
    assert made == bound == {"1e3", "0123", "vpplb-test"}


@pytest.mark.parametrize("full_name", ["", "edge"])
def test_whose_a_node_is_does_not_change_with_what_names_start_with(
    helm: Path, full_name: str
) -> None:
    release = ReleaseName("net", "lb.one")
    rendered = render_chart(helm, f"--set=fullnameOverride={full_name}", release=release)
    for program in ("operator", "agent"):
        args = pods_of(rendered)[program]["spec"]["containers"][0]["args"]
        assert "--release=$(POD_NAMESPACE)/lb.one" in args
    [policy] = [one for one in rendered if one["kind"] == "ValidatingAdmissionPolicy"]
    [rule] = [
        one["expression"]
        for one in policy["spec"]["validations"]
        if "vpplb.dev/release" in one["expression"]
    ]
    assert rule.count('"net/lb.one"') == 2


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ("http.auth=kubernetes", "http.auth needs http.tlsSecret"),
        ("http.agentTlsSecret=tls", "http.agentTlsSecret needs http.tlsSecret"),
        (
            "http.auth=kubernetes,http.tlsSecret=tls,metrics.podMonitor.enabled=true",
            "needs metrics.podMonitor.authorization",
        ),
    ],
    ids=["plain", "agents-alone", "pod-monitor"],
)
def test_reading_by_token_is_refused_where_no_token_could_come(
    helm: Path, values: str, said: str
) -> None:
    with pytest.raises(HelmError, match=said):
        render_chart(helm, f"--set={values}")


def test_two_kinds_of_monitors_at_once_are_refused(helm: Path) -> None:
    both = "--set=metrics.podMonitor.enabled=true,metrics.serviceMonitor.enabled=true"
    with pytest.raises(Exception, match="collected twice"):
        render_chart(helm, both)


def test_the_account_that_is_bound_is_the_one_that_runs_and_that_operators_let_in(
    helm: Path,
) -> None:
    values = "--set=agent.serviceAccount.name=lb-agent,operator.serviceAccount.name=lb-operator"
    rendered = render_chart(helm, values)
    pods = pods_of(rendered)
    assert pods["agent"]["spec"]["serviceAccountName"] == "lb-agent"
    assert pods["operator"]["spec"]["serviceAccountName"] == "lb-operator"
    assert (
        "--agent-account=$(POD_NAMESPACE)/lb-agent"
        in pods["operator"]["spec"]["containers"][0]["args"]
    )
    bound = {
        subject["name"]
        for one in rendered
        if one["kind"] in ("RoleBinding", "ClusterRoleBinding")
        for subject in one["subjects"]
    }
    assert bound == {"lb-agent", "lb-operator", "vpplb-test"}
    policies = json.dumps([one for one in rendered if one["kind"] == "ValidatingAdmissionPolicy"])
    assert "system:serviceaccount:vpplb-system:lb-agent" in policies


def test_the_files_that_come_from_the_values_are_up_to_date(tmp_path: Path) -> None:
    copy = copy_chart(tmp_path)
    subprocess.run([sys.executable, ROOT / "charts" / "write_values.py", copy], check=True)
    for name in ("values.yaml", "values.schema.json", "README.md"):
        written = (copy / name).read_text()
        assert written == (ROOT / "charts" / "vpplb" / name).read_text(), f"{name}: make chart"


def _annotation(name: str) -> Any:
    about = yaml.safe_load((CHART / "Chart.yaml").read_text())
    return yaml.safe_load(about["annotations"][f"artifacthub.io/{name}"])


def test_artifact_hub_is_told_of_the_definitions_that_there_are() -> None:
    told = {(one["name"], one["kind"], one["version"]) for one in _annotation("crds")}
    there = set()
    for file in (ROOT / "crds").glob("*.yaml"):
        crd = yaml.safe_load(file.read_text())
        (version,) = (one["name"] for one in crd["spec"]["versions"])
        there.add((crd["metadata"]["name"], crd["spec"]["names"]["kind"], version))
    assert told == there


def test_the_examples_for_artifact_hub_are_accepted(validating: Kubectl) -> None:
    validating.apply(_annotation("crdsExamples"), "--dry-run=server", "--validate=strict")
