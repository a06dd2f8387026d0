"""vpplb installed in a cluster with helm, a simulated VPP on each node, and servers as pods."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cluster.kubectl import Kubectl
from cluster.node_vpps import CALLS, PATIENT, NodeVpps
from cluster.three_nodes import IMAGE, NODES, Cluster
from lab.waiting import wait_for

CHART = Path(__file__).parents[2] / "charts" / "vpplb"
SYSTEM = "vpplb-system"
_SERVERS_NODE = 2
"""Number of the node that the servers run on, so that the last one can crash."""
_WWW = "/run/vpplb-servers"
"""Folder on that node with what each server serves."""


class Installed(NodeVpps):
    """The chart's release, and what can be asked of it."""

    def __init__(self, cluster: Cluster, kubectl: Kubectl, helm: Path) -> None:
        self.cluster = cluster
        self.kubectl = kubectl
        self.system = kubectl.within(SYSTEM)
        self._helm = helm
        self.nodes = sorted(node["metadata"]["name"] for node in kubectl.list("nodes"))

    # --- the release ----------------------------------------------------------------------

    def install(self, **more: object) -> None:
        """Install with these values besides, and return when everything runs."""
        repository, tag = IMAGE.rsplit(":", 1)
        values = {
            "image": {"repository": repository, "tag": tag},
            "simulator": {"enabled": True, "extraArgs": [f"--log-calls={CALLS}"]},
            **more,
        }
        arguments = ("--create-namespace", "--values=-")
        self.helm("install", "vpplb", str(CHART), *arguments, stdin=json.dumps(values))
        for workload in ("daemonset/vpplb-simulator", "daemonset/vpplb-agent"):
            self.rollout(workload)
        self.rollout("deployment/vpplb-operator")

    def helm(self, *args: str, stdin: str = "") -> str:
        """Run helm in the system's namespace."""
        config = f"--kubeconfig={self.kubectl.kubeconfig}"
        command = (str(self._helm), *args, f"--namespace={SYSTEM}", config)
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def rollout(self, workload: str) -> None:
        """Return when a workload has rolled out."""
        limit = f"--timeout={PATIENT:.0f}s"
        self.system("rollout", "status", workload, limit, timeout=PATIENT + 10)

    def pod(self, component: str, node: str) -> str:
        """Return the name of the running pod of a component on a node."""
        selector = f"app.kubernetes.io/component={component}"
        on_node = f"spec.nodeName={node},status.phase=Running"
        (pod,) = self.system.list("pods", "-l", selector, "--field-selector", on_node)
        name = pod["metadata"]["name"]
        assert isinstance(name, str)
        return name

    def replace_pods(self, component: str) -> None:
        """Delete all pods of a component, and return when others have taken their places."""
        kind = "deployment" if component == "operator" else "daemonset"
        self.system("delete", "pods", "-l", f"app.kubernetes.io/component={component}")
        self.rollout(f"{kind}/vpplb-{component}")

    def nodes_of(self, component: str) -> list[str]:
        """Return the nodes on which a component runs, one for each pod."""
        selector = f"app.kubernetes.io/component={component}"
        return [pod["spec"]["nodeName"] for pod in self.system.list("pods", "-l", selector)]

    # --- servers --------------------------------------------------------------------------

    def start_servers(self, kubectl: Kubectl, names: list[str]) -> dict[str, str]:
        """Start HTTP servers as pods; return their addresses by name, once they run."""
        node = self.nodes[_SERVERS_NODE - 1]
        kubectl.apply([_server(name, node, self.cluster.python_image) for name in names])
        for name in names:
            kubectl.wait(f"pod/{name}", "condition=Ready", timeout=PATIENT)
        return {name: kubectl.field("pod", name, ".status.podIP") for name in names}

    def break_server(self, name: str) -> None:
        """Make a server answer 404 where it is probed; the API server is not needed for it."""
        self.cluster.run_on_node(_SERVERS_NODE, "rm", f"{_WWW}/{name}/healthz")

    def mend_server(self, name: str) -> None:
        """Make it answer 200 again."""
        self.cluster.run_on_node(_SERVERS_NODE, "touch", f"{_WWW}/{name}/healthz")

    def holds(self, kubectl: Kubectl, target: str, condition: str) -> bool:
        """Return whether a condition of an object is True."""
        path = f'{{.status.conditions[?(@.type=="{condition}")].status}}'
        return kubectl("get", target, "-o", f"jsonpath={path}") == "True"

    # --- nodes ----------------------------------------------------------------------------

    def boot_last_node(self, kubectl: Kubectl) -> None:
        """Start the last node, and return when it counts again for a namespace's frontend `web`."""
        last, summary = self.nodes[-1], f"{NODES}/{NODES}"
        self.cluster.boot_node(NODES)
        wait_for(
            lambda: last in {node["metadata"]["name"] for node in self.kubectl.list("nodes")},
            "the node registers",
            timeout=PATIENT,
            every=1,
        )
        self.kubectl.wait(f"node/{last}", "condition=Ready", timeout=PATIENT)
        wanted = f"jsonpath={{.status.nodes.summary}}={summary}"
        kubectl.wait("vfe/web", wanted, timeout=PATIENT)

    # --- the API server -------------------------------------------------------------------

    @contextmanager
    def api_server_stopped(self) -> Iterator[None]:
        """Have the API server stand still (SIGSTOP) within."""
        pid = self.cluster.run_on_node(1, "pidof", "kube-apiserver").strip()
        self.cluster.run_on_node(1, "kill", "-STOP", pid)
        try:
            yield
        finally:
            self.cluster.run_on_node(1, "kill", "-CONT", pid)

    def read_pod_address(self, component: str, node: str) -> str:
        """Return the address of the running pod of a component on a node."""
        return self.system.field("pod", self.pod(component, node), ".status.podIP")

    def read_page(self, address: str, path: str) -> Any:
        """Read JSON from a program's HTTP port without the API server; AssertionError if none."""
        url = f"http://{address}:9091/{path}"
        said = self.cluster.run_on_node(1, "sh", "-c", f"curl -sf -m 5 {url} || true")
        assert said, f"no answer of {url}"
        return json.loads(said)

    # --- what is seen ---------------------------------------------------------------------

    def run_beside(self, node: str, *command: str) -> str:
        pod = self.pod("simulator", node)
        return self.system("exec", "-i", pod, "--", *command, stdin="\n")

    def metrics(self, component: str, node: str) -> str:
        """Return the metrics of a component's pod on a node."""
        pods = f"/api/v1/namespaces/{SYSTEM}/pods"
        return self.kubectl(
            "get", "--raw", f"{pods}/{self.pod(component, node)}:9091/proxy/metrics"
        )


def _server(name: str, node: str, image: str) -> dict[str, Any]:
    serve = "touch /tmp/www/healthz && exec python3 -m http.server 8080"
    container = {
        "name": "server",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["sh", "-c", f"{serve} --directory /tmp/www"],
        "readinessProbe": {"tcpSocket": {"port": 8080}, "periodSeconds": 1},
        "volumeMounts": [{"name": "www", "mountPath": "/tmp/www"}],
    }
    www = {"path": f"{_WWW}/{name}", "type": "DirectoryOrCreate"}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {
            "nodeSelector": {"kubernetes.io/hostname": node},
            "terminationGracePeriodSeconds": 0,
            "containers": [container],
            "volumes": [{"name": "www", "hostPath": www}],
        },
    }
