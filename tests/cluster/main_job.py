"""One instance of the main job: a frontend, three backends, a health check and their servers."""

import secrets
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from itertools import count
from typing import Any

from cluster.kubectl import Kubectl
from cluster.stage import NodeStage
from lab.processes import free_port
from lab.servers import CountingHttpServer
from lab.vpp_witness import SeenVip, VppWitness
from lab.waiting import wait_for

API = "vpplb.dev/v1alpha1"
INTERVAL = 0.2
_numbers = count(1)


class MainJob:
    """The resources of one test, in its namespace, with a VIP and servers of its own.

    The servers listen on one port of loopback addresses of their own, so that one HealthCheck
    serves all, as it does in real life.
    """

    def __init__(
        self, stage: NodeStage, kubectl: Kubectl, servers: list[CountingHttpServer]
    ) -> None:
        self.stage = stage
        self.kubectl = kubectl
        self.servers = {f"nginx{number}": server for number, server in enumerate(servers)}
        self.vip = f"192.0.2.{next(_numbers)}"
        self.witness = VppWitness(stage.vpp.socket)

    # --- what is applied ------------------------------------------------------------------

    @property
    def health_check(self) -> dict[str, Any]:
        """Return the HealthCheck `web`: HTTP, quick, down after two failures."""
        port = next(iter(self.servers.values())).port
        spec = {"type": "HTTP", "port": port, "interval": "200ms", "timeout": "150ms"}
        return self.resource("HealthCheck", "web", {**spec, "rise": 2, "fall": 2})

    @property
    def backends(self) -> list[dict[str, Any]]:
        """Return the Backends `nginx0`, `nginx1` and `nginx2`."""
        return [
            self.resource(
                "Backend", name, {"address": server.address, "healthCheckRef": {"name": "web"}}
            )
            for name, server in self.servers.items()
        ]

    def frontend(
        self, name: str = "web", *, vip: str = "", pools: Mapping[str, list[str]] | None = None
    ) -> dict[str, Any]:
        """Return a Frontend on this stage's node; by default one pool of all three backends."""
        spec = {
            "address": vip or self.vip,
            "port": 80,
            "nodeSelector": {"kubernetes.io/hostname": self.stage.node},
            "pools": [
                {"name": pool, "backends": [{"name": member} for member in members]}
                for pool, members in (pools or {"main": list(self.servers)}).items()
            ],
        }
        return self.resource("Frontend", name, spec)

    def resource(self, kind: str, name: str, spec: Mapping[str, Any]) -> dict[str, Any]:
        """Return a manifest of one of the project's kinds."""
        return {"apiVersion": API, "kind": kind, "metadata": {"name": name}, "spec": spec}

    def deploy(self, *frontends: Mapping[str, Any]) -> None:
        """Apply everything; return when all backends are up and all frontends programmed.

        Without `frontends`, that is `frontend()`.
        """
        wanted = frontends or [self.frontend()]
        self.kubectl.apply([self.health_check, *self.backends, *wanted])
        for name in self.servers:
            self.wait_state(name, "up")
        for frontend in wanted:
            self.kubectl.wait(f"vfe/{frontend['metadata']['name']}", "condition=Programmed")
        if not frontends:
            self.wait_weights(dict.fromkeys(self.servers, 100))

    # --- what is seen ---------------------------------------------------------------------

    def wait_state(self, backend: str, state: str) -> None:
        """Return when the Backend's status shows the state."""
        self.kubectl.wait(f"vbe/{backend}", f"jsonpath={{.status.state}}={state}")

    def seen_vip(self, vip: str = "") -> SeenVip | None:
        """Return the VIP as VPP has it, or None."""
        return self.witness.see().get(f"{vip or self.vip}/32 tcp/80")

    def weights(self, vip: str = "") -> dict[str, int]:
        """Return the weights that VPP has, by the backends' names."""
        seen = self.seen_vip(vip)
        assert seen is not None, f"VPP has no VIP {vip or self.vip}"
        by_address = {server.address: name for name, server in self.servers.items()}
        return {by_address[address]: weight for address, weight in seen.weights.items()}

    def wait_weights(self, expected: Mapping[str, int], vip: str = "") -> None:
        """Return when VPP has these weights, among others."""

        def as_expected() -> bool:
            weights = self.weights(vip)
            assert {name: weights.get(name) for name in expected} == expected, str(weights)
            return True

        wait_for(as_expected, f"weights {expected} in VPP")

    def probes(self, backend: str) -> int:
        """Return how many requests the backend's server has had."""
        return self.servers[backend].requests.total()

    def events(self, kind: str, name: str) -> list[str]:
        """Return the reasons of an object's events, as `kubectl events` shows them."""
        return [
            event["reason"] for event in self.kubectl.list("events") if _is_about(event, kind, name)
        ]

    def condition(self, target: str, type_: str) -> tuple[str, str, str]:
        """Return status, reason and message of a condition; three times "" when it is not there."""
        kind, name = target.split("/")
        for condition in self.kubectl.get(kind, name).get("status", {}).get("conditions", []):
            if condition["type"] == type_:
                return condition["status"], condition["reason"], condition["message"]
        return "", "", ""

    def wait_condition(self, target: str, type_: str, status: str, reason: str) -> str:
        """Return a condition's message when it has this status and reason."""

        def message() -> str:
            found = self.condition(target, type_)
            assert found[:2] == (status, reason), str(found)
            return found[2] or " "

        return wait_for(message, f"{type_}={status} ({reason}) on {target}").strip()


@contextmanager
def main_job(stage: NodeStage) -> Iterator[MainJob]:
    """Give a main job in a new namespace; afterwards nothing of it is left in VPP."""
    subnet = next(_numbers)
    port = free_port()
    namespace = f"job-{secrets.token_hex(3)}"
    stage.kubectl("create", "namespace", namespace)
    kubectl = stage.kubectl.within(namespace)
    with ExitStack() as stack:
        servers = [
            stack.enter_context(CountingHttpServer(address=f"127.77.{subnet}.{host}", port=port))
            for host in (1, 2, 3)
        ]
        job = MainJob(stage, kubectl, servers)
        stack.enter_context(job.witness)
        stack.callback(_remove, job)
        yield job


def _remove(job: MainJob) -> None:
    job.kubectl("delete", "vfe,vbe,vhc", "--all")
    wait_for(lambda: not job.witness.see(), "VPP is empty")
    job.stage.kubectl("delete", "namespace", job.kubectl.namespace, "--wait=false")


def _is_about(event: Mapping[str, Any], kind: str, name: str) -> bool:
    about = event["involvedObject"]
    return bool(about["kind"] == kind and about["name"] == name)
