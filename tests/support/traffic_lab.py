"""A network in which TCP flows go through a VIP of a real VPP while the system changes things.

    client ──┐              ┌── server s1, s2, s3: GRE server, VIP on lo
             ├── Ethernet ──┤
    VPP ─────┘              └── prober: where the health checks come from

Requests go client → VPP → (GRE) → server, answers directly from the server to the client. What
the agent says to VPP is noted by a tap between them.
"""

import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from support import gre_server
from support.flows import Answers, Flows
from support.manifests import Raw, backend, frontend, health_check
from support.netlab import Lan, Namespace, lan
from support.operation import Operation
from support.real_vpp import start_vpp, vppctl
from support.shadow_vpp import ShadowVpp
from support.vpp_tap import VppTap
from support.vpp_witness import VppWitness
from support.waiting import stays, wait_for
from vpplb.model.vip import LbConf, VipId

VIP, PORT = "192.0.2.1", 80
VIP_ID = f"{VIP}/32 tcp/{PORT}"
SAVED = 1.0
"""Seconds after which a state has been written for the next start: a crash may forget younger ones."""
STICKY_BUCKETS = 65536
"""Room for the flows of all tests, which VPP remembers for a while: four flows a bucket."""
CLIENT, ROUTER, PROBER = "10.10.0.2", "10.10.0.1", "10.10.0.3"
SERVERS = {"s1": "10.10.0.11", "s2": "10.10.0.12", "s3": "10.10.0.13"}
WEIGHTS = {"s1": 100, "s2": 50, "s3": 25}
HEALTH_PORT = 8080
TABLE_LENGTH = 1024
FLOWS = 300

Weights = Mapping[str, int]

_VPP_COMMANDS = {
    "create host-interface name eth0": "host-eth0",
    f"set interface ip address host-eth0 {ROUTER}/24": "",
    "set interface state host-eth0 up": "",
    # A wrong source address: the agent has to set the right one, and the servers take packets
    # from no other.
    f"lb conf ip4-src-address 10.10.0.99 buckets {STICKY_BUCKETS}": "",
}


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


class Router:
    """The real VPP, with its one interface, in a namespace of its own.

    `socket` leads to its API socket, but only once VPP is configured: no agent comes before.
    """

    def __init__(self, binary: Path, directory: Path, host: Namespace) -> None:
        self._binary, self._directory, self._host = binary, directory, host
        self._running: AbstractContextManager[Path] | None = None
        self.socket = directory / "configured.sock"
        self.start()

    def start(self) -> None:
        """Start it without a VIP."""
        self._running = start_vpp(
            self._binary,
            self._directory,
            plugins=["af_packet", "ping"],
            prefix=self._host.prefix,
        )
        api_socket = self._running.__enter__()
        for command, answer in _VPP_COMMANDS.items():
            assert vppctl(self._binary, api_socket, command) == answer, command
        self.socket.symlink_to(api_socket)

    def stop(self) -> None:
        """End it, if it runs."""
        self.socket.unlink(missing_ok=True)
        if self._running is not None:
            self._running.__exit__(None, None, None)
            self._running = None


class TrafficLab:
    """The network, with a client's flows, and what users do."""

    def __init__(self, binary: Path, directory: Path, network: Lan, stack: ExitStack) -> None:
        self._next_port = 10_000
        client = network.attach("client", [CLIENT])
        client.run("ip", "route", "add", VIP, "via", ROUTER)
        self.prober = network.attach("prober", [PROBER])
        self.servers = {name: Server(name, network, directory, stack) for name in SERVERS}
        self.router = Router(binary, directory / "v", network.attach("router"))
        stack.callback(self.router.stop)
        self.tap = stack.enter_context(VppTap(directory / "tap.sock", self.router.socket))
        self._witness = stack.enter_context(VppWitness(self.router.socket))
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

    def await_saved(self) -> None:
        """Return when the programs have written down what they know."""
        stays(self.weights, "weights while nothing happens", seconds=SAVED)

    def shadow(self) -> "Shadow":
        """Return a simulated VPP that is as the real one and follows it."""
        return Shadow(self.tap, self.weights())

    def weights(self) -> dict[str, int]:
        """Return the weights that VPP has; AssertionError when it has no VIP."""
        seen = self._witness.see().get(VIP_ID)
        assert seen is not None, f"VPP has no VIP {VIP_ID}"
        names = {address: name for name, address in SERVERS.items()}
        return {names[address]: weight for address, weight in seen.weights.items()}

    def wait_weights(self, expected: Weights) -> None:
        """Return when VPP has exactly these.

        Meanwhile every open flow is busy: one that is sent to another server, even for an
        instant, is cut for good.
        """

        def as_expected() -> bool:
            self.flows.ask()
            weights = self.weights()
            assert weights == expected, str(weights)
            return True

        wait_for(as_expected, f"weights {expected} in VPP")


class Shadow:
    """What the simulator says, in terms of flows."""

    def __init__(self, tap: VppTap, weights: Weights) -> None:
        self._names = {ip_address(address): name for name, address in SERVERS.items()}
        self._vpp = ShadowVpp(
            tap,
            VipId.parse(VIP_ID),
            {address: weights[name] for address, name in self._names.items()},
            table_length=TABLE_LENGTH,
            conf=LbConf(sticky_buckets_per_core=STICKY_BUCKETS),
        )

    def answers(self, ports: Iterable[int]) -> Answers:
        """Return the server of a packet from each port, now."""
        chosen = self._vpp.forward(ip_address(CLIENT), ports)
        return {port: self._names[server] for port, server in chosen.items() if server}


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
