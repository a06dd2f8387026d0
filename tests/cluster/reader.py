"""A reader of the documentation with a cluster: an API server without nodes, and a shell.

There are no nodes, so what the chart makes starts nothing. The programs are started beside it, as
the accounts that the release has made, once it has: one operator, one agent, one simulated VPP.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from cluster.binaries import ensure
from cluster.control_plane import (
    ROOT,
    SYSTEM_NAMESPACE,
    account_kubeconfig,
    api_server,
)
from cluster.kubectl import Kubectl
from cluster.stage import VPPLB, ServiceProcess, SimulatedVpp, direct_token, make_node
from data.pages import list_blocks
from lab.page_session import PageSession
from lab.processes import free_port

PROGRAMS = ("etcd", "kube-apiserver", "kubectl", "helm")


class ClusterReader:
    """Types what pages say; `node` is where the VPP is, once a release is installed."""

    def __init__(
        self, shell: PageSession, kubectl: Kubectl, folder: Path, stack: ExitStack
    ) -> None:
        self.shell, self.kubectl = shell, kubectl
        self._folder, self._stack = folder, stack
        self._services: list[ServiceProcess] = []
        self.node = ""

    def follow_page(self, page: str) -> None:
        """Follow all blocks of a page that need no nodes; the programs start with the release."""
        for block in list_blocks(ROOT / page):
            if not block.needs:
                self.shell.follow_block(block)
            if "helm install " in block.text and not self.node:
                self._start_programs()

    @property
    def asked_node(self) -> str:
        """How a node's agent, which is no pod here, is named to the plugin."""
        return f"{self.node} --agent-url {self._services[-1].http}"

    def type_command(self, command: str) -> str:
        """Type a command that a page names; return what it printed, AssertionError if it failed."""
        status, printed = self.shell.run(command)
        assert status == 0, f"{command}\n{printed}"
        return printed

    def _start_programs(self) -> None:
        self.node = "node-1"
        self.kubectl.apply(make_node(self.node))
        vpp = SimulatedVpp(self._folder)
        self._stack.callback(vpp.stop)
        bound = ("--bound-object-kind=Node", f"--bound-object-name={self.node}")
        common = (f"--lease-namespace={SYSTEM_NAMESPACE}", f"--release={SYSTEM_NAMESPACE}/vpplb")
        started = {
            "operator": (
                "--identity=operator",
                f"--direct-address=127.0.0.1:{free_port()}",
                f"--agent-account={SYSTEM_NAMESPACE}/vpplb-agent",
            ),
            "agent": (
                f"--node={self.node}",
                f"--vpp-api-socket={vpp.socket}",
                f"--vpp-stats-socket={vpp.socket.with_name('stats.sock')}",
                f"--state-file={self._folder / 'agent.json'}",
                f"--direct-token-file={direct_token(self.kubectl, self.node, self._folder)}",
            ),
        }
        for name, options in started.items():
            account = account_kubeconfig(
                self._folder, self.kubectl, f"vpplb-{name}", *(bound if name == "agent" else ())
            )
            service = ServiceProcess(name, account, self._folder, *common, *options)
            self._stack.callback(service.program.stop)
            self._services.append(service)
        for service in self._services:
            service.wait_ready()


@contextmanager
def cluster_reader(
    folder: Path, env: Mapping[str, str], swaps: Mapping[str, str]
) -> Iterator[ClusterReader]:
    """Give a reader in a checkout, with kubectl, helm and the project's programs on the PATH."""
    programs = ensure(PROGRAMS, print)
    checkout = folder / "checkout"
    checkout.mkdir()
    for name in ("charts", "examples", "kind-config.yaml"):
        (checkout / name).symlink_to(ROOT / name)
    with ExitStack() as stack:
        kubeconfig, _, _ = stack.enter_context(api_server(folder, programs))
        folders = {VPPLB.parent, *(program.parent for program in programs.values())}
        path = os.pathsep.join([*map(str, folders), os.environ["PATH"]])
        shell = stack.enter_context(
            PageSession(checkout, {"PATH": path, "KUBECONFIG": str(kubeconfig), **env}, swaps)
        )
        yield ClusterReader(shell, Kubectl(programs["kubectl"], kubeconfig), folder, stack)
