"""A real control plane for tests: etcd and kube-apiserver on loopback, ready in three seconds.

Where `VPPLB_TEST_KUBECONFIG` or `KUBECONFIG` names a cluster, that is used instead; the tests
then install the CRDs and the chart's roles in it. Authorization is RBAC, and the operator and
the agent run as the chart's own ServiceAccounts with the chart's own roles, so that a missing
permission fails a test.
"""

import json
import os
import secrets
import signal
import ssl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from cluster.binaries import CONTROL_PLANE, Say, ensure
from cluster.certificates import write_serving_certificate, write_signing_key
from cluster.charts import DEFAULT, render_chart
from cluster.kubectl import Kubectl
from lab.http_get import http_get
from lab.processes import Program, free_port
from lab.waiting import wait_for

ROOT = Path(__file__).parents[2]
SYSTEM_NAMESPACE = DEFAULT.namespace
RBAC = {"ServiceAccount", "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"}
"""Kinds of access in the chart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlPlane:
    """An API server with the CRDs and the chart's roles in it.

    `kubeconfig` is an administrator's, `operator_kubeconfig` and `agent_kubeconfig` are those of
    the chart's ServiceAccounts; their contexts' namespace is the one the chart is "installed" in.
    `server` is the API server's process and `store` etcd's, None where a cluster was given.
    """

    kubeconfig: Path
    operator_kubeconfig: Path
    agent_kubeconfig: Path
    kubectl: Kubectl
    server: Program | None = None
    store: Program | None = None

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Stop the API server in its tracks: it answers nothing, and its connections stay open."""
        assert self.server is not None, "a cluster that was given is not stopped"
        os.kill(self.server.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.server.pid, signal.SIGCONT)


@contextmanager
def control_plane(directory: Path, say: Say) -> Iterator[ControlPlane]:
    """Give a control plane whose files lie in `directory`; Missing when it cannot be had."""
    programs = ensure(CONTROL_PLANE, say)
    given = os.environ.get("VPPLB_TEST_KUBECONFIG") or os.environ.get("KUBECONFIG")
    with ExitStack() as stack:
        server = store = None
        if given:
            admin = Path(given)
        else:
            admin, server, store = stack.enter_context(api_server(directory, programs))
        kubectl = Kubectl(programs["kubectl"], admin)
        _install(kubectl, programs["helm"])
        yield ControlPlane(
            kubeconfig=admin,
            operator_kubeconfig=account_kubeconfig(directory, kubectl, "vpplb-operator"),
            agent_kubeconfig=account_kubeconfig(directory, kubectl, "vpplb-agent"),
            kubectl=kubectl,
            server=server,
            store=store,
        )


@contextmanager
def fresh_namespace(plane: ControlPlane) -> Iterator[Kubectl]:
    """Give kubectl, as administrator, in a new namespace; nothing of the project stays in it."""
    name = f"test-{secrets.token_hex(4)}"
    plane.kubectl("create", "namespace", name)
    kubectl = plane.kubectl.within(name)
    yield kubectl
    kubectl("delete", "vfe,vbe,vhc", "--all", "--wait=false")
    plane.kubectl("delete", "namespace", name, "--ignore-not-found", "--wait=false")


@contextmanager
def api_server(
    directory: Path, programs: dict[str, Path]
) -> Iterator[tuple[Path, Program, Program]]:
    """Run etcd and kube-apiserver; give the administrator's kubeconfig, the server, and etcd."""
    store = f"http://127.0.0.1:{free_port()}"
    port = free_port()
    token = secrets.token_hex(16)
    with (
        Program(_etcd(programs["etcd"], directory, store), log=directory / "etcd.log") as etcd,
        Program(
            _kube_apiserver(programs["kube-apiserver"], directory, store, port, token),
            log=directory / "kube-apiserver.log",
        ) as server,
    ):
        certificate = directory / "serving.crt"
        wait_until_ready(server, f"https://127.0.0.1:{port}/readyz", certificate)
        admin = directory / "admin.kubeconfig"
        cluster = {
            "server": f"https://127.0.0.1:{port}",
            "certificate-authority": str(certificate),
        }
        _write_kubeconfig(admin, cluster, token, "default")
        yield admin, server, etcd


def _etcd(program: Path, directory: Path, store: str) -> list[str | Path]:
    peers = f"http://127.0.0.1:{free_port()}"
    return [
        program,
        f"--data-dir={directory / 'etcd'}",
        f"--listen-client-urls={store}",
        f"--advertise-client-urls={store}",
        f"--listen-peer-urls={peers}",
        f"--initial-advertise-peer-urls={peers}",
        f"--initial-cluster=default={peers}",
        "--unsafe-no-fsync",
        "--log-level=error",
    ]


def _kube_apiserver(
    program: Path, directory: Path, store: str, port: int, token: str
) -> list[str | Path]:
    write_serving_certificate(directory / "serving.crt", directory / "serving.key")
    write_signing_key(directory / "accounts.key")
    (directory / "tokens.csv").write_text(f'{token},admin,admin,"system:masters"\n')
    return [
        program,
        f"--etcd-servers={store}",
        "--bind-address=127.0.0.1",
        f"--secure-port={port}",
        f"--tls-cert-file={directory / 'serving.crt'}",
        f"--tls-private-key-file={directory / 'serving.key'}",
        f"--token-auth-file={directory / 'tokens.csv'}",
        "--authorization-mode=RBAC",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={directory / 'accounts.key'}",
        f"--service-account-signing-key-file={directory / 'accounts.key'}",
        "--service-cluster-ip-range=10.96.0.0/24",
        # A loopback address cannot be an endpoint of the Service "kubernetes"; nobody needs it.
        "--endpoint-reconciler-type=none",
        "--advertise-address=127.0.0.1",
    ]


def wait_until_ready(server: Program, url: str, certificate: Path) -> None:
    """Return when a kube-apiserver answers at `url`; `certificate` is its own."""
    context = ssl.create_default_context(cafile=certificate)

    def ready() -> bool:
        if not server.alive:
            raise RuntimeError(f"kube-apiserver ended:\n{server.tail()}")
        return http_get(url, context)[0] == 200

    wait_for(ready, f"kube-apiserver ready (see {server.log})", timeout=120)


def _install(kubectl: Kubectl, helm: Path) -> None:
    """Apply what `helm install` would, as far as it is not a workload."""
    kubectl("apply", "--server-side", "--force-conflicts", "-f", ROOT / "crds")
    kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=60s")
    kubectl.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SYSTEM_NAMESPACE}})
    rendered = render_chart(helm)
    kubectl.within(SYSTEM_NAMESPACE).apply(
        [manifest for manifest in rendered if manifest["kind"] in RBAC]
    )
    kubectl.within("kube-system").apply(_elections_of_tests())


def _elections_of_tests() -> list[dict[str, Any]]:
    """Let the operators of each test have a lease of their own beside the chart's one."""
    may = {"operator": ["get", "create", "update", "patch"], "agent": ["get"]}
    return [one for component, verbs in may.items() for one in _election_access(component, verbs)]


def _election_access(component: str, verbs: list[str]) -> list[dict[str, Any]]:
    name = {"name": f"elections-of-tests-{component}", "namespace": "kube-system"}
    rbac, leases = "rbac.authorization.k8s.io", ["coordination.k8s.io"]
    account = {"name": f"vpplb-{component}", "namespace": SYSTEM_NAMESPACE}
    return [
        {
            "apiVersion": f"{rbac}/v1",
            "kind": "Role",
            "metadata": name,
            "rules": [{"apiGroups": leases, "resources": ["leases"], "verbs": verbs}],
        },
        {
            "apiVersion": f"{rbac}/v1",
            "kind": "RoleBinding",
            "metadata": name,
            "roleRef": {"apiGroup": rbac, "kind": "Role", "name": name["name"]},
            "subjects": [{"kind": "ServiceAccount", **account}],
        },
    ]


def account_kubeconfig(directory: Path, kubectl: Kubectl, account: str, *bound: str) -> Path:
    """Write a kubeconfig of a ServiceAccount, with a token of the API server; return its path.

    `bound` are kubectl's options that bind the token to an object.
    """
    system = kubectl.within(SYSTEM_NAMESPACE)
    token = system("create", "token", account, "--duration=24h", *bound).strip()
    config = json.loads(kubectl("config", "view", "--minify", "--raw", "--flatten", "-o", "json"))
    path = directory / f"{account}.kubeconfig"
    _write_kubeconfig(path, config["clusters"][0]["cluster"], token, SYSTEM_NAMESPACE)
    return path


def _write_kubeconfig(path: Path, cluster: dict[str, Any], token: str, namespace: str) -> None:
    context = {"cluster": "test", "user": "test", "namespace": namespace}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "test", "cluster": cluster}],
        "users": [{"name": "test", "user": {"token": token}}],
        "contexts": [{"name": "test", "context": context}],
        "current-context": "test",
    }
    path.touch(mode=0o600)
    path.write_text(yaml.safe_dump(config))
