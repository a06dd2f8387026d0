"""The two ways to run the system: one process and a folder, or operator, agent and a cluster."""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Protocol

from cluster.control_plane import SYSTEM_NAMESPACE, ControlPlane, fresh_namespace
from cluster.kubectl import Kubectl
from cluster.stage import ServiceProcess, electing


class Operation(Protocol):
    """The system at work on one VPP.

    `services` are its programs by name, last the one that programs VPP; `node` is VPP's.
    """

    node: str
    services: dict[str, ServiceProcess]

    def apply(self, manifests: Sequence[Mapping[str, Any]]) -> None:
        """Want this; returns at once."""
        ...


class StandaloneOperation:
    """`vpplb standalone`."""

    node = "local"

    def __init__(self, directory: Path, probe: Sequence[str], vpp: Sequence[str]) -> None:
        self._file = directory / "manifests" / "all.yaml"
        self._file.parent.mkdir()
        state = f"--state-file={directory / 'standalone.json'}"
        folder = str(self._file.parent)
        no_cluster = Path(os.devnull)
        self.services = {
            "standalone": ServiceProcess(
                "standalone", no_cluster, directory, folder, state, *probe, *vpp
            )
        }

    def apply(self, manifests: Sequence[Mapping[str, Any]]) -> None:
        """Replace the file."""
        new = self._file.with_suffix(".new")
        new.write_text("---\n".join(json.dumps(manifest) + "\n" for manifest in manifests))
        new.replace(self._file)


class ClusterOperation:
    """`vpplb operator` and `vpplb agent` on an API server."""

    node = "traffic"

    def __init__(
        self,
        plane: ControlPlane,
        kubectl: Kubectl,
        directory: Path,
        probe: Sequence[str],
        vpp: Sequence[str],
    ) -> None:
        self._kubectl = kubectl
        self._kubectl.apply(
            {
                "apiVersion": "v1",
                "kind": "Node",
                "metadata": {"name": self.node, "labels": {"kubernetes.io/hostname": self.node}},
            }
        )
        self.services = {
            "operator": ServiceProcess(
                "operator", plane.operator_kubeconfig, directory, *electing("operator"), *probe
            ),
            "agent": ServiceProcess(
                *("agent", plane.agent_kubeconfig, directory, f"--node={self.node}"),
                f"--state-file={directory / 'agent.json'}",
                f"--lease-namespace={SYSTEM_NAMESPACE}",
                *vpp,
            ),
        }

    def apply(self, manifests: Sequence[Mapping[str, Any]]) -> None:
        """Apply with kubectl."""
        self._kubectl.apply(manifests)

    def forget(self) -> None:
        """Take away what is left in the cluster."""
        self._kubectl("delete", "dataplane,node", self.node, "--ignore-not-found")


@contextmanager
def standalone_operation(
    directory: Path, probe: Sequence[str], vpp: Sequence[str]
) -> Iterator[Operation]:
    """Run without a cluster; `probe` and `vpp` are the options for probing and for VPP."""
    with _running(StandaloneOperation(directory, probe, vpp)) as operation:
        yield operation


@contextmanager
def cluster_operation(
    plane: ControlPlane, directory: Path, probe: Sequence[str], vpp: Sequence[str]
) -> Iterator[Operation]:
    """Run on an API server; `probe` and `vpp` are the options for probing and for VPP."""
    with fresh_namespace(plane) as kubectl, ExitStack() as stack:
        operation = ClusterOperation(plane, kubectl, directory, probe, vpp)
        stack.callback(operation.forget)
        yield stack.enter_context(_running(operation))


@contextmanager
def _running(operation: Operation) -> Iterator[Operation]:
    with ExitStack() as stack:
        for service in operation.services.values():
            stack.callback(service.program.stop)
        for service in operation.services.values():
            service.wait_ready()
        yield operation
