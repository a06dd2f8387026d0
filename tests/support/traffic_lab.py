"""A network in which TCP flows go through a VIP of a real VPP while the system changes things.

    client ──┐              ┌── server s1, s2, s3: GRE server, VIP on lo
             ├── Ethernet ──┤
    VPP ─────┘              └── prober: where the health checks come from

Requests go client → VPP → (GRE) → server, answers directly from the server to the client.
"""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from support import gre_server
from support.flows import Answers, Flows
from support.manifests import Raw, backend, frontend, health_check
from support.netlab import Lan, Namespace, lan
from support.operation import Operation
from support.real_vpp import start_vpp
from support.vpp_witness import VppWitness
from support.waiting import wait_for

VIP, PORT = "192.0.2.1", 80
VIP_ID = f"{VIP}/32 tcp/{PORT}"
CLIENT, ROUTER, PROBER = "10.10.0.2", "10.10.0.1", "10.10.0.3"
SERVERS = {"s1": "10.10.0.11", "s2": "10.10.0.12", "s3": "10.10.0.13"}
WEIGHTS = {"s1": 100, "s2": 50, "s3": 25}
HEALTH_PORT = 8080
TABLE_LENGTH = 1024
FLOWS = 300

Weights = Mapping[str, int]

_VPP_COMMANDS = (
    "create host-interface name eth0",
    f"set interface ip address host-eth0 {ROUTER}/24",
    "set interface state host-eth0 up",
    # Room for the flows of all tests, which VPP remembers for a while. A wrong source address:
    # the agent has to set the right one, and the servers take packets from no other.
    "lb conf ip4-src-address 10.10.0.99 buckets 16384",
)


class Server:
    """A server behind the VIP, in a namespace of its own."""

    def __init__(self, name: str, network: Lan, directory: Path, stack: ExitStack) -> None:
        self._sick = directory / f"{name}.sick"
        address = SERVERS[name]
        host = network.attach(name, [address])
        host.run("ip", "address", "add", VIP, "dev", "lo")
        host.run("ip", "tuntap", "add", "mode", "tun", "name", "tun0")
        host.run("ip", "link", "set", "tun0", "up")
        _set(host, rp_filter=0, arp_announce=2)
        self._program = host.start(
            *(sys.executable, gre_server.__file__, f"--name={name}", f"--sick={self._sick}"),
            *(f"--address={address}", f"--peer={ROUTER}"),
            *(f"--vip={VIP}", f"--port={PORT}", f"--health-port={HEALTH_PORT}"),
        )
        stack.callback(self._program.kill)

    def sicken(self) -> None:
        """Fail health checks; everything else goes on."""
        self._sick.touch()

    def kill(self) -> None:
        """Crash."""
        self._program.kill()

    def recover(self) -> None:
        """Run and be healthy."""
        self._sick.unlink(missing_ok=True)
        if not self._program.alive:
            self._program.start()


class TrafficLab:
    """The network, with a client's flows, and what users do."""

    def __init__(self, binary: Path, directory: Path, network: Lan, stack: ExitStack) -> None:
        self._binary, self._directory, self._stack = binary, directory, stack
        self._next_port = 10_000
        client, router = network.attach("client", [CLIENT]), network.attach("router")
        client.run("ip", "route", "add", VIP, "via", ROUTER)
        self.prober = network.attach("prober", [PROBER])
        self.servers = {name: Server(name, network, directory, stack) for name in SERVERS}
        self.api_socket = stack.enter_context(
            start_vpp(
                binary,
                directory / "v",
                plugins=["af_packet", "ping"],
                commands=_VPP_COMMANDS,
                prefix=router.prefix,
            )
        )
        self._witness = stack.enter_context(VppWitness(self.api_socket))
        self.flows = Flows(client, CLIENT, (VIP, PORT))
        stack.callback(self.flows.drop)

    def operate(self, operation: Operation) -> None:
        """Have this done by these programs from now on."""
        self.operation = operation
        self.reset()

    def reset(self) -> None:
        """Bring everything back to where every test begins: all servers up, in one pool."""
        self.flows.drop()
        for server in self.servers.values():
            server.recover()
        self.apply()
        self.wait_weights(WEIGHTS)

    def apply(
        self,
        *pools: Weights,
        backends: Mapping[str, Mapping[str, object]] | None = None,
        check: Mapping[str, object] | None = None,
        **spec: object,
    ) -> None:
        """Apply everything, with these differences from what every test begins with.

        `pools` are weights by server, in order; `backends` and `check` are further fields of
        Backends, by server, and of the HealthCheck; `spec` those of the Frontend.
        """
        probing: Raw = {"type": "HTTP", "port": HEALTH_PORT, "interval": "100ms", "fall": 2}
        self.operation.apply(
            [
                health_check("web", **probing | dict(check or {})),
                *(
                    backend(name, address, healthCheckRef={"name": "web"}, **extra)
                    for name, address in SERVERS.items()
                    for extra in [(backends or {}).get(name, {})]
                ),
                frontend(
                    "web",
                    address=VIP,
                    port=PORT,
                    flowTableLength=TABLE_LENGTH,
                    pools=[_pool(n, weights) for n, weights in enumerate(pools or [WEIGHTS])],
                    nodeSelector={"kubernetes.io/hostname": self.operation.node},
                    **spec,
                ),
            ]
        )

    def ports(self, number: int = FLOWS) -> range:
        """Return ports that no flow had before: VPP knows nothing of them."""
        first, self._next_port = self._next_port, self._next_port + number
        return range(first, self._next_port)

    def open(self, number: int = FLOWS) -> Answers:
        """Open flows that VPP knows nothing of; every one must be answered by a server."""
        answers = self.flows.open(self.ports(number))
        assert set(answers.values()) <= set(SERVERS), by_server(answers)
        return answers

    def weights(self) -> dict[str, int]:
        """Return the weights that VPP has; AssertionError when it has no VIP."""
        seen = self._witness.see().get(VIP_ID)
        assert seen is not None, f"VPP has no VIP {VIP_ID}"
        names = {address: name for name, address in SERVERS.items()}
        return {names[address]: weight for address, weight in seen.weights.items()}

    def wait_weights(self, expected: Weights) -> None:
        """Return when VPP has exactly these."""

        def as_expected() -> bool:
            weights = self.weights()
            assert weights == expected, str(weights)
            return True

        wait_for(as_expected, f"weights {expected} in VPP")

    def vppctl(self, command: str) -> str:
        """Return what VPP's command line answers."""
        vppctl = self._binary.with_name("vppctl")
        return subprocess.run(
            [vppctl, "-s", self.api_socket.with_name("cli.sock"), command],
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
        ).stdout


def by_server(answers: Answers) -> dict[str, int]:
    """Count answers, for messages of assertions."""
    return {who: list(answers.values()).count(who) for who in sorted(set(answers.values()))}


@contextmanager
def traffic_lab(directory: Path) -> Iterator[TrafficLab]:
    """Build the network around the VPP of VPPLB_TEST_VPP; nobody operates it yet."""
    binary = Path(os.environ["VPPLB_TEST_VPP"])
    with lan(directory) as network, ExitStack() as stack:
        yield TrafficLab(binary, directory, network, stack)


def _pool(number: int, weights: Weights) -> dict[str, Any]:
    members = [{"name": name, "weight": weight} for name, weight in weights.items()]
    return {"name": f"pool{number}", "backends": members}


def _set(host: Namespace, **settings: int) -> None:
    """Set IPv4 settings of all the host's interfaces."""
    for name, value in settings.items():
        files = f"/proc/sys/net/ipv4/conf/*/{name}"
        host.run("sh", "-c", f"for file in {files}; do echo {value} > $file; done")
