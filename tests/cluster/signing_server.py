"""An API server of a test's own, that has and replaces the keys of ServiceAccounts' tokens."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml

from cluster.binaries import CONTROL_PLANE, Say, ensure
from cluster.certificates import write_signing_key
from cluster.control_plane import (
    SYSTEM_NAMESPACE,
    api_server,
    wait_until_ready,
)
from cluster.kubectl import Kubectl
from lab.processes import Program

NODE = "signed-node"
AGENT = "vpplb-agent"
_KEY, _SIGNING = "--service-account-key-file=", "--service-account-signing-key-file="


@dataclass(slots=True, kw_only=True)
class SigningServer:
    """An API server with the agents' ServiceAccount and a node, without anything else of vpplb.

    `key` is the file of the private key that it signs by; `kubeconfig` is an administrator's, whose
    own token no such key has signed.
    """

    directory: Path
    server: Program
    kubectl: Kubectl
    kubeconfig: Path
    key: Path

    def make_token(self) -> str:
        """Return a token of the agent on `NODE` for the direct road."""
        bound = ("--bound-object-kind=Node", f"--bound-object-name={NODE}")
        system = self.kubectl.within(SYSTEM_NAMESPACE)
        return system("create", "token", AGENT, "--audience=vpplb-direct", *bound).strip()

    def replace_key(self, *, keep: bool) -> None:
        """Restart it signing by a new key; `keep`: it believes and publishes the old one too."""
        old, self.key = self.key, self.directory / f"{self.key.stem}-next.key"
        write_signing_key(self.key)
        self._restart(signing=self.key, believed=[self.key, *[old] * keep])

    def _restart(self, *, signing: Path, believed: list[Path]) -> None:
        self.server.stop()
        others = [one for one in self.server.argv if not one.startswith((_KEY, _SIGNING))]
        self.server.argv = [*others, *(f"{_KEY}{one}" for one in believed), f"{_SIGNING}{signing}"]
        self.server.start()
        cluster = yaml.safe_load(self.kubeconfig.read_text())["clusters"][0]["cluster"]
        certificate = self.directory / "serving.crt"
        wait_until_ready(self.server, f"{cluster['server']}/readyz", certificate)


@contextmanager
def signing_server(directory: Path, say: Say) -> Iterator[SigningServer]:
    """Run one, with all its files in `directory`; Missing when it cannot be had."""
    programs = ensure(CONTROL_PLANE, say)
    with api_server(directory, programs) as (admin, server, _):
        kubectl = Kubectl(programs["kubectl"], admin)
        kubectl("create", "namespace", SYSTEM_NAMESPACE)
        kubectl.within(SYSTEM_NAMESPACE)("create", "serviceaccount", AGENT)
        kubectl.apply({"apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE}})
        yield SigningServer(
            directory=directory,
            server=server,
            kubectl=kubectl,
            kubeconfig=admin,
            key=directory / "accounts.key",
        )
