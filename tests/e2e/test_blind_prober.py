"""The prober's network is cut while traffic goes on: nobody is taken out, and it ends by itself.

Twelve servers behind a VIP; the prober alone loses its network, in one way or another, while
traffic goes to them as before.

    prober ──┐
             ├── Ethernet ──── twelve servers, addresses of one host
             ┘
    standalone (probes from the prober's namespace) ──── a simulated VPP

What the prober sees is real: sockets, in network namespaces. The traffic is the simulator's,
which sends each flow where VPP would.
"""

import json
import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from cluster.operation import Operation, standalone_operation
from data.manifests import Raw, backend, frontend, health_check
from lab.flows import CUT, SILENT
from lab.http_get import http_get
from lab.namespaces import Lan, Namespace, lan
from lab.servers import CountingHttpServer
from lab.simulated_vpp import LoopThread, changing_calls, run_in_thread
from lab.traffic_hosts import ROUTER
from lab.traffic_lab import WEIGHTS, TrafficLab, assert_proportional, traffic_lab
from lab.waiting import stays, wait_for
from vpplb.simulator.flows import TCP, FiveTuple
from vpplb.simulator.server import VppSimulator

VIP, PORT, HEALTH_PORT = "192.0.2.1", 80, 8080
CLIENT, PROBER = "198.51.100.7", "10.10.0.3"
SERVERS = {f"s{n:02}": f"10.10.0.{n}" for n in range(11, 23)}
WAYS = ("its interface is down", "its packets go nowhere")
"""How a prober may lose its network: its own host tells it, or nobody does."""

Flows = dict[int, str | None]
"""The server of each flow, by the client's port."""


class ShownDecisions:
    """What a program that decides shows of it."""

    def __init__(self, http: str) -> None:
        self._http = http

    def states(self) -> set[str]:
        """Return the states that the backends are in."""
        return {one["status"]["state"] for one in self._objects("backends")}

    def degraded(self, name: str = "web") -> str:
        """Return the reason of a frontend's condition Degraded."""
        [found] = [one for one in self._objects("frontends") if one["metadata"]["name"] == name]
        conditions = {one["type"]: one["reason"] for one in found["status"]["conditions"]}
        return str(conditions["Degraded"])

    def suspected(self) -> bool:
        """Return whether the metric says that the prober is suspected."""
        _, metrics = http_get(f"{self._http}/metrics")
        return "vpplb_prober_suspect 1.0" in metrics.splitlines()

    def wait_states(self, *expected: str) -> None:
        """Return when the backends are in these states and no other."""
        wait_for(lambda: self.states() == set(expected), f"backends are {expected}")

    def wait_degraded(self, expected: str) -> None:
        """Return when the frontend is degraded for this reason."""
        wait_for(lambda: self.degraded() == expected, f"Degraded is {expected}")

    def _objects(self, kind: str) -> Sequence[Any]:
        status, body = http_get(f"{self._http}/api/v1/{kind}")
        assert status == 200, body
        found = json.loads(body)["items"]
        assert isinstance(found, list)
        return found


@contextmanager
def blinded(network: Lan, prober: Namespace, way: str) -> Iterator[None]:
    """Cut the prober off in one of the WAYS."""
    cut: AbstractContextManager[None] = (
        network.down(prober) if way == WAYS[0] else network.unplugged(prober.name)
    )
    with cut:
        yield


class BlindLab:
    """The network, the simulated VPP, and `vpplb standalone` where one runs."""

    def __init__(self, directory: Path, network: Lan, stack: ExitStack) -> None:
        self._directory = directory
        self.network = network
        self.prober = network.attach("prober", [PROBER])
        self._hosts = network.attach("servers", list(SERVERS.values()))
        self._simulator = VppSimulator(directory / "vpp.sock")
        self._loop: LoopThread = stack.enter_context(run_in_thread(self._simulator))
        self._listener: socket.socket | None = None
        self._runs = 0
        stack.callback(self.stop_servers)

    def start_servers(self) -> None:
        """Have all servers accept connections (the kernel does, where nobody else is needed)."""
        if self._listener is None:
            self._listener = self._hosts.inside(
                lambda: socket.create_server(("0.0.0.0", HEALTH_PORT), backlog=4096)
            )

    def stop_servers(self) -> None:
        """Have all servers refuse."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    @contextmanager
    def operated(self, *options: str, fall: int) -> Iterator[Operation]:
        """Run the program with these options and all servers up, until VPP has them."""
        self.start_servers()
        self._runs += 1
        directory = self._directory / f"run{self._runs}"
        directory.mkdir()
        probe = [f"--netns={self.prober.path}", *options]
        vpp = [f"--vpp-api-socket={self._simulator.api_socket}"]
        with standalone_operation(directory, probe, vpp) as operation:
            operation.apply(_manifests(fall))
            shown(operation).wait_states("up")
            wait_for(lambda: set(self.weights().values()) == {100}, "all servers are in VPP")
            yield operation

    def weights(self) -> dict[str, int]:
        """Return the weights in VPP, by server."""
        names = {int(ip_address(address)): name for name, address in SERVERS.items()}

        def read() -> dict[str, int]:
            servers = self._simulator.lb.servers
            rows = [servers[index] for index in servers if servers[index].used]
            return {names[row.address]: row.weight for row in rows if row.address in names}

        return self._loop.call(read)

    def changes(self) -> int:
        """Return how often VPP was told to change something."""
        return self._loop.call(lambda: len(changing_calls(self._simulator)))

    def flows(self, ports: range) -> Flows:
        """Send a packet of each flow; return the servers they went to."""

        def forward(port: int) -> str | None:
            flow = FiveTuple(ip_address(CLIENT), ip_address(VIP), TCP, port, PORT)
            return str(self._simulator.lb.forward_packet(flow))

        return self._loop.call(lambda: {port: forward(port) for port in ports})


def shown(operation: Operation) -> ShownDecisions:
    """Return what the program shows."""
    return ShownDecisions(operation.services["standalone"].http)


@contextmanager
def blind_lab(directory: Path) -> Iterator[BlindLab]:
    """Build the network; nobody operates it yet."""
    with lan(directory) as network, ExitStack() as stack:
        yield BlindLab(directory, network, stack)


def _manifests(fall: int) -> list[Raw]:
    members = [{"name": name} for name in SERVERS]
    return [
        health_check(
            "fast", type="TCP", port=HEALTH_PORT, interval="200ms", timeout="400ms", fall=fall
        ),
        *(
            backend(name, address, healthCheckRef={"name": "fast"})
            for name, address in SERVERS.items()
        ),
        frontend("web", address=VIP, port=PORT, pools=[{"name": "main", "backends": members}]),
    ]


pytestmark = [
    pytest.mark.slow,
    pytest.mark.privileged,
    pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root"),
]

OPEN, NEW = range(10_000, 10_200), range(20_000, 20_200)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BlindLab]:
    """Build the network once."""
    with blind_lab(tmp_path_factory.mktemp("blind")) as lab:
        yield lab


@pytest.mark.parametrize(("way", "fall"), [(WAYS[0], 3), (WAYS[1], 1)])
def test_a_blind_prober_changes_nothing_and_nor_does_its_recovery(
    lab: BlindLab, way: str, fall: int
) -> None:
    with lab.operated(fall=fall) as operation:
        seen, told, flows = shown(operation), lab.changes(), lab.flows(OPEN)
        with blinded(lab.network, lab.prober, way):
            seen.wait_states("down")
            seen.wait_degraded("ProberSuspect")
            assert seen.suspected()
            assert lab.flows(OPEN) == flows
            assert len(set(lab.flows(NEW).values())) == len(SERVERS)
        seen.wait_states("up")
        seen.wait_degraded("NotDegraded")
        assert not seen.suspected()
        assert lab.flows(OPEN) == flows
        assert lab.changes() == told


def test_nor_does_a_crash_of_the_program_meanwhile(lab: BlindLab) -> None:
    with lab.operated(fall=2) as operation:
        service = operation.services["standalone"]
        seen, told = shown(operation), lab.changes()
        with blinded(lab.network, lab.prober, WAYS[1]):
            seen.wait_states("down")
            stays(lab.weights, "weights", seconds=0.2)  # and the states are written down
            service.crash()
            seen.wait_degraded("ProberSuspect")
            assert seen.states() == {"down"}
        seen.wait_states("up")
        seen.wait_degraded("NotDegraded")
        assert lab.changes() == told


def test_nor_does_a_program_that_starts_blind(lab: BlindLab) -> None:
    with lab.operated(fall=2) as operation:
        service = operation.services["standalone"]
        seen, told = shown(operation), lab.changes()
        service.program.stop()
        with blinded(lab.network, lab.prober, WAYS[1]):
            service.program.start()
            service.wait_ready()
            seen.wait_states("down")
            seen.wait_degraded("ProberSuspect")
        seen.wait_states("up")
        assert lab.changes() == told


def test_servers_that_refuse_are_taken_out_however_many(lab: BlindLab) -> None:
    with lab.operated(fall=2) as operation:
        lab.stop_servers()
        wait_for(lambda: set(lab.weights().values()) == {0}, "all weights are 0")
        seen = shown(operation)
        seen.wait_degraded("BackendsDown")
        assert not seen.suspected()


def test_without_the_guard_silence_takes_all_out(lab: BlindLab) -> None:
    with lab.operated("--no-blind-guard", fall=2) as operation:
        with blinded(lab.network, lab.prober, WAYS[1]):
            wait_for(lambda: set(lab.weights().values()) == {0}, "all weights are 0")
            assert set(lab.flows(OPEN).values()) == {"None"}
            assert not shown(operation).suspected()
        wait_for(lambda: set(lab.weights().values()) == {100}, "all servers are back")


# --- real traffic through a real VPP ------------------------------------------------------------

BYSTANDERS = {f"b{n}": f"10.10.0.{n}" for n in range(21, 30)}


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TrafficLab]:
    """Build the lab of traffic, and nine servers more, that make up the numbers."""
    with traffic_lab(tmp_path_factory.mktemp("lab")) as lab:
        host = lab.network.attach("bystanders", list(BYSTANDERS.values()))
        server = CountingHttpServer(address="0.0.0.0", port=HEALTH_PORT)
        host.inside(server.start)
        members = [{"name": name} for name in BYSTANDERS]
        lab.bystanders = (
            *(backend(n, at, healthCheckRef={"name": "web"}) for n, at in BYSTANDERS.items()),
            frontend("rest", address="192.0.2.2", pools=[{"name": "main", "backends": members}]),
        )
        yield lab
        server.stop()


@contextmanager
def operated(network: TrafficLab, directory: Path, *options: str) -> Iterator[ShownDecisions]:
    """Run `vpplb standalone` with these options; give what it shows, once all is well."""
    probe = [f"--netns={network.prober.path}", *options]
    vpp = [f"--vpp-api-socket={network.tap.path}", f"--ipv4-source-address={ROUTER}"]
    with standalone_operation(directory, probe, vpp) as operation:
        network.operate(operation)
        seen = shown(operation)
        seen.wait_states("up")
        yield seen


@pytest.mark.real_vpp
@pytest.mark.parametrize("way", WAYS)
def test_flows_through_vpp_go_on_and_new_ones_come_while_the_prober_is_blind(
    network: TrafficLab, tmp_path: Path, way: str
) -> None:
    with operated(network, tmp_path) as seen:
        flows, told = network.open(), len(network.tap.calls)
        with blinded(network.network, network.prober, way):
            seen.wait_states("down")
            seen.wait_degraded("ProberSuspect")
            assert network.flows.ask() == flows
            meanwhile = network.open()
            assert_proportional(meanwhile, WEIGHTS)
        seen.wait_states("up")
        seen.wait_degraded("NotDegraded")
        assert network.flows.ask() == {**flows, **meanwhile}
        assert network.tap.changes(told) == []


@pytest.mark.real_vpp
def test_without_the_guard_a_blind_prober_cuts_all_flows(
    network: TrafficLab, tmp_path: Path
) -> None:
    with operated(network, tmp_path, "--no-blind-guard"):
        flows = network.open()
        with blinded(network.network, network.prober, WAYS[1]):
            wait_for(lambda: set(network.weights().values()) == {0}, "all weights are 0")
            cut = network.flows.ask(patience=1.0)
            assert cut.keys() == flows.keys()
            assert set(cut.values()) <= {CUT, SILENT}
