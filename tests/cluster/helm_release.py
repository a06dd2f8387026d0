"""A release of the chart, by helm as users call it; and VPPs that belong to no release."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cluster.charts import run_helm
from cluster.kubectl import Kubectl
from cluster.node_vpps import CALLS, PATIENT, NodeVpps
from cluster.three_nodes import IMAGE
from lab.waiting import wait_for

_ROUTERS = "routers"
VPP_GROUP = 4712
"""The group of VPP's sockets, as `unix { gid … }` chooses it on a router."""


def values(image: str = IMAGE, **more: Any) -> dict[str, Any]:
    """Return values that roll through all nodes at once; `more` are the chart's."""
    repository, _, tag = image.rpartition(":")
    agent = {"maxUnavailable": "100%", **more.pop("agent", {})}
    return {"image": {"repository": repository, "tag": tag}, "agent": agent, **more}


class HelmRelease:
    """One release, in a namespace of its own. `kubectl` is an administrator's, in it."""

    def __init__(self, kubectl: Kubectl, helm: Path, name: str, namespace: str) -> None:
        self.kubectl, self._helm, self.name = kubectl.within(namespace), helm, name

    def install(self, chart: Path, values: Mapping[str, Any]) -> None:
        """Install, and return when everything runs."""
        self.helm("install", self.name, chart, "--create-namespace", values=values)
        self.wait_rolled_out()

    def upgrade(self, chart: Path, values: Mapping[str, Any], *args: str) -> None:
        """Upgrade, and return when everything runs."""
        self.helm("upgrade", self.name, chart, *args, values=values)
        self.wait_rolled_out()

    def rollback(self, revision: int) -> None:
        """Go back to a revision, and return when everything runs."""
        self.helm("rollback", self.name, str(revision))
        self.wait_rolled_out()

    def uninstall(self) -> None:
        """Uninstall, and return when the pods are gone."""
        self.helm("uninstall", self.name, "--wait", "--timeout=3m")
        wait_for(lambda: not self._list_pods(), "all pods are gone", timeout=PATIENT, every=0.5)

    def helm(self, *args: str | Path, values: Mapping[str, Any] | None = None) -> str:
        """Run helm in the release's namespace; `values` go by its input."""
        at = (f"--namespace={self.kubectl.namespace}", f"--kubeconfig={self.kubectl.kubeconfig}")
        given = () if values is None else ("--values=-",)
        return run_helm(self._helm, *args, *given, *at, stdin=json.dumps(values or {}))

    def undo(self, component: str) -> None:
        """Put a component's version before in place of this one, and return when it runs."""
        self.kubectl("rollout", "undo", self._workload(component))
        self.wait_rolled_out()

    def wait_rolled_out(self) -> None:
        """Return when all pods are of the newest version and ready, and no other is left."""
        labelled = ("-l", f"app.kubernetes.io/instance={self.name}", "-o", "name")
        for workload in self.kubectl("get", "deployments,daemonsets", *labelled).split():
            limit = f"--timeout={PATIENT:.0f}s"
            self.kubectl("rollout", "status", workload, limit, timeout=PATIENT + 10)
        wait_for(self._have_ended, "old pods have ended", timeout=PATIENT, every=0.5)

    def _have_ended(self) -> bool:
        return not any("deletionTimestamp" in pod["metadata"] for pod in self._list_pods())

    def _list_pods(self) -> list[dict[str, Any]]:
        return self.kubectl.list("pods", "-l", f"app.kubernetes.io/instance={self.name}")

    def list_running(self, component: str) -> list[dict[str, Any]]:
        """Return the pods of a component that run."""
        selector = f"app.kubernetes.io/component={component}"
        return self.kubectl.list("pods", "-l", selector, "--field-selector=status.phase=Running")

    def list_images(self, component: str) -> set[str]:
        """Return the images that a component's pods run."""
        return {pod["spec"]["containers"][0]["image"] for pod in self.list_running(component)}

    def find_line(self, component: str, *words: str) -> str:
        """Return a line of a component's logs that has one of these words; empty for none."""
        selector = f"app.kubernetes.io/component={component}"
        log = self.kubectl("logs", "-l", selector, "--tail=200", "--ignore-errors")
        return next((line for line in log.splitlines() if any(w in line for w in words)), "")

    def _workload(self, component: str) -> str:
        kind = "deployment" if component == "operator" else "daemonset"
        return f"{kind}/{self.name}-{component}"


class RouterVpps(NodeVpps):
    """A simulated VPP on each node, which no release starts, stops or upgrades."""

    def __init__(self, kubectl: Kubectl) -> None:
        self._kubectl = kubectl.within(_ROUTERS)
        self.nodes = sorted(node["metadata"]["name"] for node in kubectl.list("nodes"))

    def start(self) -> None:
        self._kubectl("create", "namespace", _ROUTERS)
        self._kubectl.apply(_daemonset())
        limit = f"--timeout={PATIENT:.0f}s"
        self._kubectl("rollout", "status", "daemonset/vpp", limit, timeout=PATIENT + 10)

    def run_beside(self, node: str, *command: str) -> str:
        return self._kubectl("exec", "-i", self._pod(node), "--", *command, stdin="\n")

    def changes(self) -> dict[str, list[str]]:
        """Return the changing calls that the VPP of each node has had."""
        return {node: self.list_changes(node) for node in self.nodes}

    def _pod(self, node: str) -> str:
        (pod,) = self._kubectl.list("pods", "--field-selector", f"spec.nodeName={node}")
        return str(pod["metadata"]["name"])


def _daemonset() -> dict[str, Any]:
    sockets = [f"--{name}-socket=/run/vpp/{name}.sock" for name in ("api", "stats")]
    container = {
        "name": "vpp",
        "image": IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "command": ["vpplb", "vpp-simulator", *sockets, f"--log-calls={CALLS}"],
        "securityContext": {"runAsUser": 0, "runAsGroup": VPP_GROUP},
        "volumeMounts": [{"name": "run", "mountPath": "/run/vpp"}],
    }
    run = {"name": "run", "hostPath": {"path": "/run/vpp", "type": "DirectoryOrCreate"}}
    spec = {
        "terminationGracePeriodSeconds": 0,
        "tolerations": [{"operator": "Exists"}],
        "containers": [container],
        "volumes": [run],
    }
    labels = {"app": "vpp"}
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": "vpp"},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": spec},
        },
    }
