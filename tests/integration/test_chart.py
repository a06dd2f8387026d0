"""The chart: what it renders is accepted by a real API server, and its values are checked."""

import subprocess
from typing import Any

import pytest

from support.binaries import ensure
from support.control_plane import ROOT, SYSTEM_NAMESPACE, ControlPlane, render_chart

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
    ],
)
def test_what_it_renders_is_accepted(
    control_plane: ControlPlane, helm: Any, values: list[str]
) -> None:
    rendered = render_chart(helm, *values)
    system = control_plane.kubectl.within(SYSTEM_NAMESPACE)
    system.apply(rendered, "--dry-run=server", "--validate=strict")


@pytest.mark.parametrize(
    ("value", "named"),
    [
        ("operator.replicas=2", "replicas"),
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
        ("vpplb-operator", "patch", "frontends.vpplb.dev/status", True),
        ("vpplb-operator", "patch", "frontends.vpplb.dev", False),
        ("vpplb-operator", "update", "backends.vpplb.dev", False),
        ("vpplb-operator", "get", "secrets", False),
        ("vpplb-agent", "create", "dataplanes.vpplb.dev", True),
        ("vpplb-agent", "patch", "frontends.vpplb.dev/status", False),
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
