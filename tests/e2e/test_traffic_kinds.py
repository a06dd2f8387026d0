"""Flows through VIPs of other kinds than TCP on IPv4, on a real VPP: GRE6, UDP, sticky."""

import os
from collections.abc import Iterator

import pytest

from cluster.operation import standalone_operation
from lab.flows import CUT
from lab.traffic_hosts import ROUTER, ROUTER6, SERVERS, VIP, VIP6
from lab.traffic_lab import WEIGHTS, TrafficLab, assert_proportional, on, traffic_lab
from lab.waiting import wait_for

pytestmark = [
    pytest.mark.slow,
    pytest.mark.real_vpp,
    pytest.mark.privileged,
    pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root"),
]


@pytest.fixture(scope="module")
def operated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TrafficLab]:
    """Build network, servers and VPP, and run the system, once."""
    with traffic_lab(tmp_path_factory.mktemp("lab")) as lab:
        probe = [f"--netns={lab.prober.path}"]
        sources = [f"--ipv4-source-address={ROUTER}", f"--ipv6-source-address={ROUTER6}"]
        vpp = [f"--vpp-api-socket={lab.tap.path}", *sources]
        with standalone_operation(tmp_path_factory.mktemp("run"), probe, vpp) as operation:
            lab.operate(operation)
            yield lab


@pytest.fixture
def lab(operated: TrafficLab) -> TrafficLab:
    """Give the lab with all servers up, and no flow open."""
    operated.reset()
    return operated


@pytest.mark.parametrize(("address", "protocol"), [(VIP, "UDP"), (VIP6, "TCP"), (VIP6, "UDP")])
def test_flows_of_every_kind_stay_with_their_server_until_it_is_disabled(
    lab: TrafficLab, address: str, protocol: str
) -> None:
    with lab.beside(address, protocol) as other:
        flows = other.flows.open(lab.ports())
        assert_proportional(flows, WEIGHTS)

        changed = {"s1": 10, "s2": 100, "s3": 100}
        other.reweigh(changed)
        assert other.flows.ask(flows) == flows
        assert_proportional(other.flows.open(lab.ports()), changed)

        other.reweigh(changed, disabled=["s2"])
        now = other.flows.ask(flows)
        assert {p: who for p, who in now.items() if flows[p] != "s2"} == {
            p: who for p, who in flows.items() if who != "s2"
        }
        moved = {now[port] for port in on("s2", flows)}
        assert moved == {CUT} if protocol == "TCP" else {"s1", "s3"}


def test_all_flows_of_a_client_go_to_one_server_where_the_vip_is_sticky(lab: TrafficLab) -> None:
    def home(flows: int) -> str:
        """The server of all of them, if it is one."""
        servers = set(lab.open(flows).values())
        return servers.pop() if len(servers) == 1 else ""

    lab.apply(srcIPSticky=True)
    first = wait_for(lambda: home(50), "one server for all")
    assert home(200) == first

    lab.apply(srcIPSticky=True, backends={first: {"enabled": False}})
    lab.wait_weights(WEIGHTS | {first: 0})
    assert home(200) in SERVERS.keys() - {first}
