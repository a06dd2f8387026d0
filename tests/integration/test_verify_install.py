"""`vpplb verify-install` as `helm test` runs it: by the rights that the chart makes for it."""

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from cluster.binaries import ensure
from cluster.charts import pods_of, render_chart
from cluster.control_plane import (
    RBAC,
    ControlPlane,
    account_kubeconfig,
    fresh_namespace,
)
from cluster.kubectl import Kubectl
from cluster.stage import VPPLB, NodeStage

pytestmark = [pytest.mark.slow, pytest.mark.control_plane]


class ChartTest:
    """The pod of `helm test`, run as a process, for a release that serves one namespace."""

    def __init__(self, plane: ControlPlane, directory: Path, namespace: str) -> None:
        helm = ensure(("helm",), print)["helm"]
        rendered = render_chart(helm, f"--set=namespaces={{{namespace}}},test.seconds=30")
        component = "app.kubernetes.io/component"
        for one in rendered:
            if one["kind"] in RBAC and one["metadata"]["labels"][component] == "test":
                plane.kubectl.within(one["metadata"]["namespace"]).apply(one)
        pod: dict[str, Any] = pods_of(rendered)["test"]["spec"]
        (container,) = pod["containers"]
        self._command = [VPPLB, *container["command"][1:], *container["args"]]
        account = pod["serviceAccountName"]
        self._kubeconfig = account_kubeconfig(directory, plane.kubectl, account)

    def run(self) -> "subprocess.CompletedProcess[str]":
        env = {**os.environ, "KUBECONFIG": str(self._kubeconfig)}
        return subprocess.run(
            self._command, env=env, capture_output=True, text=True, check=False, timeout=90
        )


def _left_behind(kubectl: Kubectl) -> list[str]:
    return [one["metadata"]["name"] for kind in ("vfe", "vbe") for one in kubectl.list(kind)]


def test_a_release_that_works_is_told_so_and_where_nothing_can_be_made_it_says_where(
    control_plane: ControlPlane, stage: NodeStage, tmp_path: Path
) -> None:
    # Nodes of tests before, whose agents are gone, would be waited for.
    nodes = {one["metadata"]["name"] for one in control_plane.kubectl.list("vdp")}
    if gone := nodes - {stage.node}:
        control_plane.kubectl.delete("vdp", *gone)
    with fresh_namespace(control_plane) as kubectl:
        trial = ChartTest(control_plane, tmp_path, kubectl.namespace)
        done = trial.run()
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith("VIP 203.0.113.254 stood in VPP on 1/1 nodes after ")
        assert _left_behind(kubectl) == []

        control_plane.kubectl("delete", "namespace", kubectl.namespace, "--wait=false")
        refused = trial.run()
        assert refused.returncode == 1
        assert kubectl.namespace in refused.stderr
