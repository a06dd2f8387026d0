"""A network in which TCP flows go through a VIP of a real VPP while the system changes things.

    client ──┐              ┌── server s1, s2, s3: GRE server, VIP on lo
             ├── Ethernet ──┤
    VPP ─────┘              └── prober: where the health checks come from

Requests go client → VPP → (GRE) → server, answers directly from the server to the client. What
the agent says to VPP is noted by a tap between them.
"""

import os
import socket
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from ipaddress import IPv4Address, ip_address
from math import sqrt
from pathlib import Path
from typing import Any

from cluster.operation import Operation
from data.manifests import Raw, backend, frontend, health_check
from lab.flows import Answers, Flows
from lab.namespaces import Lan, Namespace, lan
from lab.outside import OutsideMonitor, monitor_outside
from lab.simulated_vpp import CHANGING
from lab.traffic_hosts import (
    CLIENT,
    CLIENT6,
    HEALTH_PORT,
    PORT,
    PROBER,
    ROUTER,
    ROUTER6,
    SERVERS,
    SERVERS6,
    STICKY_BUCKETS,
    VIP,
    VIP6,
    Router,
    TrafficServer,
)
from lab.vpp_tap import VppTap
from lab.vpp_witness import VppWitness
from lab.waiting import stays, wait_for
from vpplb.model.vip import Encap, IPAddress, LbConf, VipId
from vpplb.plan import maglev_table
from vpplb.simulator.flows import TCP, FiveTuple
from vpplb.simulator.lb import LoadBalancerState
from vpplb.simulator.rows import NewVip, VipKey, VppRetval


class ShadowVpp:
    """One TCP VIP with GRE4, beginning with `weights`, then following the calls noted by `tap`.

    From then on there may be changes of weights only: anything else is an AssertionError.
    """

    def __init__(
        self,
        tap: VppTap,
        vip: VipId,
        weights: Mapping[IPAddress, int],
        *,
        table_length: int,
        conf: LbConf,
    ) -> None:
        self._tap, self._followed = tap, len(tap.calls)
        self._key = VipKey(int(vip.prefix.network_address), 128, TCP, vip.port)
        self._target = vip.prefix.network_address
        self._lb = LoadBalancerState(time.monotonic)
        self._lb.set_settings(
            *(conf.ipv4_source, conf.ipv6_source), conf.sticky_buckets_per_core, conf.flow_timeout
        )
        _accept(self._lb.add_vip(self._key, NewVip(encap=Encap.GRE4, table_length=table_length)))
        for address, weight in weights.items():
            _accept(self._lb.add_server(self._key, int(address), weight))

    def forward(self, source: IPAddress, ports: Iterable[int]) -> dict[int, IPAddress | None]:
        """Return the server of a packet from each port, after all that the agent said until now.

        As in the real VPP, a flow is remembered from its first packet on.
        """
        self._follow()
        port = self._key.port
        return {
            each: self._lb.forward_packet(FiveTuple(source, self._target, TCP, each, port))
            for each in ports
        }

    def _follow(self) -> None:
        calls = self._tap.calls[self._followed :]
        self._followed += len(calls)
        for call in calls:
            if call.name not in CHANGING:
                continue
            assert call.weight_set is not None, f"not a change of weight: {call.name}"
            address, weight, flush = call.weight_set
            server = int(IPv4Address(address))
            _accept(self._lb.set_weight(self._key, server, weight, flush=flush))


def _accept(answer: VppRetval) -> None:
    assert answer is VppRetval.OK, answer


VIP_ID = f"{VIP}/32 tcp/{PORT}"
WEIGHTS = {"s1": 100, "s2": 50, "s3": 25}
"""What every test begins with."""
TABLE_LENGTH = 1024
FLOWS = 300
SAVED = 0.3
"""Seconds after which the programs have written down what they know; a crash forgets the rest."""

Weights = Mapping[str, int]
_NAMES = {at[name]: name for at in (SERVERS, SERVERS6) for name in at}


class TrafficLab:
    """The network, with a client's flows, and what users do."""

    def __init__(self, binary: Path, directory: Path, network: Lan, stack: ExitStack) -> None:
        self._next_port = 10_000
        self.network = network
        self.bystanders: tuple[Raw, ...] = ()
        """Objects that are there besides, whatever is applied."""
        client = self.client = network.attach("client", [CLIENT, CLIENT6])
        client.run("ip", "route", "add", VIP, "via", ROUTER)
        client.run("ip", "route", "add", VIP6, "via", ROUTER6)
        self.prober = network.attach("prober", [PROBER])
        self.servers = {name: TrafficServer(name, network, directory, stack) for name in SERVERS}
        self.router = Router(binary, directory / "v", network.attach("router"))
        stack.callback(self.router.stop)
        self.tap = stack.enter_context(VppTap(directory / "tap.sock", self.router.socket))
        self._witness = stack.enter_context(VppWitness(self.router.socket))
        self.flows = Flows(client, CLIENT, (VIP, PORT))
        stack.callback(self.flows.drop)

    def operate(self, operation: Operation) -> None:
        """Have this done by these programs from now on."""
        self.operation = operation
        self._applied: list[Raw] = []
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
        wanted = [
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
            *self.bystanders,
        ]
        if wanted != self._applied:
            self.operation.apply(wanted)
            self._applied = wanted

    @contextmanager
    def beside(self, address: str, protocol: str) -> Iterator["Beside"]:
        """Have another VIP of the same servers, at this address and protocol, meanwhile."""
        beside, before = Beside(self, self.client, address, protocol), self.bystanders
        try:
            beside.reweigh(WEIGHTS)
            # VPP drops what is for a neighbour that it does not know yet; datagrams stay lost.
            wait_for(lambda: beside.answered() == set(SERVERS), "every server answers")
            yield beside
        finally:
            beside.flows.drop()
            self.bystanders = before

    def ports(self, number: int = FLOWS) -> range:
        """Return ports that no flow had before: VPP knows nothing of them."""
        first, self._next_port = self._next_port, self._next_port + number
        return range(first, self._next_port)

    def open(self, number: int = FLOWS) -> Answers:
        """Open flows that VPP knows nothing of; every one must be answered by a server."""
        answers = self.flows.open(self.ports(number))
        assert set(answers.values()) <= set(SERVERS), by_server(answers)
        return answers

    def monitored(self) -> AbstractContextManager[OutsideMonitor]:
        """Watch the VIP meanwhile, from the client."""
        log = self.router.socket.parent / "monitor.log"
        return monitor_outside(f"{VIP}:{PORT}", log, prefix=self.client.prefix)

    def await_saved(self) -> None:
        """Return when the programs have written down what they know."""
        stays(self.weights, "weights while nothing happens", seconds=SAVED)

    def shadow(self) -> "Shadow":
        """Return a simulated VPP that is as the real one and follows it."""
        return Shadow(self.tap, self.weights())

    def weights(self, of: str = VIP_ID) -> dict[str, int]:
        """Return the weights that VPP has for a VIP; AssertionError when it has none."""
        seen = self._witness.see().get(of)
        assert seen is not None, f"VPP has no VIP {of}"
        return {_NAMES[address]: weight for address, weight in seen.weights.items()}

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


class Beside:
    """Another VIP of the same servers, of another protocol or family, and flows to it."""

    def __init__(self, lab: TrafficLab, client: Namespace, address: str, protocol: str) -> None:
        ipv6 = ":" in address
        self._lab, self._spec = lab, {"address": address, "protocol": protocol, "port": PORT}
        self._servers = SERVERS6 if ipv6 else SERVERS
        self._id = f"{address}/{128 if ipv6 else 32} {protocol.lower()}/{PORT}"
        self.flows = Flows(
            client,
            CLIENT6 if ipv6 else CLIENT,
            (address, PORT),
            socket.SOCK_DGRAM if protocol == "UDP" else socket.SOCK_STREAM,
        )

    def answered(self) -> set[str]:
        """Return who answers on some new flows."""
        return set(self.flows.open(self._lab.ports(50), 0.5).values())

    def reweigh(self, weights: Weights, disabled: Collection[str] = ()) -> None:
        """Give the servers these weights, some of them disabled; return when VPP has them."""
        self._lab.bystanders = (
            *(
                backend(f"{name}-beside", address, enabled=name not in disabled)
                for name, address in self._servers.items()
            ),
            frontend(
                "beside",
                **self._spec,
                flowTableLength=TABLE_LENGTH,
                pools=[_pool(0, {f"{name}-beside": weight for name, weight in weights.items()})],
            ),
        )
        self._lab.apply()
        expected = {**weights, **dict.fromkeys(disabled, 0)}

        def programmed() -> bool:
            return self._lab.weights(self._id) == expected

        wait_for(programmed, f"weights {expected} of {self._id} in VPP")


class Shadow:
    """What the simulator says, in terms of flows."""

    def __init__(self, tap: VppTap, weights: Weights) -> None:
        self._names = {ip_address(address): name for name, address in SERVERS.items()}
        self._vpp = ShadowVpp(
            tap,
            VipId.parse_text(VIP_ID),
            {address: weights[name] for address, name in self._names.items()},
            table_length=TABLE_LENGTH,
            conf=LbConf(sticky_buckets_per_core=STICKY_BUCKETS),
        )

    def answers(self, ports: Iterable[int]) -> Answers:
        """Return the server of a packet from each port, now."""
        chosen = self._vpp.forward(ip_address(CLIENT), ports)
        return {port: self._names[server] for port, server in chosen.items() if server}


def on(server: str, flows: Answers) -> set[int]:
    """Return the flows that a server answers, by port."""
    return {port for port, who in flows.items() if who == server}


def assert_proportional(flows: Answers, weights: Weights) -> None:
    """Assert that servers have the flows that the exact table gives them.

    Hashes of 5-tuples are as good as random: within four standard deviations.
    """
    addressed = {ip_address(SERVERS[name]): weight for name, weight in weights.items()}
    buckets = maglev_table.count_buckets(addressed, TABLE_LENGTH)
    for name in weights:
        share = buckets[ip_address(SERVERS[name])] / TABLE_LENGTH
        expected = len(flows) * share
        tolerance = 4 * sqrt(len(flows) * share * (1 - share))
        assert abs(len(on(name, flows)) - expected) <= tolerance, f"{by_server(flows)}, {weights}"


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
