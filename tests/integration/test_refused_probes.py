"""Where an operator may not probe: said in words by a real API server, and not a packet sent."""

import re
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import ANY

import pytest

from cluster.control_plane import ControlPlane, fresh_namespace
from cluster.kubectl import Kubectl
from cluster.stage import ServiceProcess, electing
from data.manifests import backend, frontend, health_check
from lab.namespaces import Namespace
from lab.waiting import wait_for

pytestmark = [pytest.mark.slow, pytest.mark.control_plane, pytest.mark.privileged]

METADATA = "169.254.169.254"
"""Where most clouds tell a machine its credentials, a link-local address."""
DENIED = {"azure": "168.63.129.16", "alibaba": "100.100.100.200", "nat64": "64:ff9b::a9fe:a9fe"}
"""Where others do, and the former by way of NAT64: by Backends' names."""
SERVER = "10.77.0.1"
COUNTED = (SERVER, METADATA, *DENIED.values())


@pytest.fixture
def prober(tmp_path: Path) -> Iterator[Namespace]:
    """Give a network in which all these addresses answer, and packets to each are counted."""
    with Namespace("prober", tmp_path) as made:
        counters = " ".join(
            f"{'ip6' if ':' in address else 'ip'} daddr {address} counter;" for address in COUNTED
        )
        chain = f"chain sent {{ type filter hook output priority 0; {counters} }};"
        for address in COUNTED:
            made.run("ip", "address", "add", address, "dev", "lo")
        made.run("nft", f"table inet seen {{ {chain} }}")
        with made.start("python3", "-m", "http.server", "80", "--bind", "::"):
            yield made


def count_packets(prober: Namespace) -> dict[str, int]:
    """Return how many packets went to each address."""
    listed = prober.run("nft", "list", "table", "inet", "seen")
    found = re.findall(r"ip6? daddr (\S+) counter packets (\d+)", listed)
    return {address: int(packets) for address, packets in found}


@pytest.fixture
def shop(control_plane: ControlPlane, prober: Namespace, tmp_path: Path) -> Iterator[Kubectl]:
    """Give a namespace of an operator as it is by default, but that it probes from there."""
    operator = ServiceProcess(
        "operator",
        control_plane.operator_kubeconfig,
        tmp_path,
        *electing("operator"),
        f"--netns={prober.path}",
    )
    try:
        operator.wait_ready()
        with fresh_namespace(control_plane) as kubectl:
            yield kubectl
    finally:
        operator.program.stop()


def test_nobody_can_even_store_a_server_of_a_link_local_address(shop: Kubectl) -> None:
    assert "spec.address" in (said := shop.refusal(backend("metadata", METADATA)))
    assert "must not be link-local" in said


def test_an_operator_sends_no_packet_to_where_clouds_tell_credentials(
    shop: Kubectl, prober: Namespace
) -> None:
    http = {"healthCheckRef": {"name": "http"}}
    servers = {"near": SERVER, **DENIED}
    pools = [{"name": "main", "backends": [{"name": name} for name in servers]}]
    check = health_check("http", type="HTTP", port=80, interval="100ms", timeout="1s")
    backends = [backend(name, address, **http) for name, address in servers.items()]
    shop.apply([check, *backends, frontend(pools=pools)])

    for name in DENIED:
        shop.wait(
            f"vbe/{name}", 'jsonpath={.status.conditions[?(@.type=="Accepted")].status}=False'
        )
        conditions = shop.get("vbe", name)["status"]["conditions"]
        (accepted,) = (one for one in conditions if one["type"] == "Accepted")
        assert accepted["reason"] == "ProbeDenied"
        assert accepted["message"].endswith("(--probe-allow, --probe-deny), so nothing is probed")
    shop.wait("vbe/near", "jsonpath={.status.state}=up")
    before = count_packets(prober)[SERVER]
    wait_for(lambda: count_packets(prober)[SERVER] > before + 50, "the other is probed on")
    assert count_packets(prober) == dict.fromkeys(COUNTED, 0) | {SERVER: ANY}
