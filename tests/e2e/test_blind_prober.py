"""The prober's network is cut while traffic goes on: nobody is taken out, and it ends by itself.

Twelve servers behind a VIP; the prober alone loses its network, in one way or another.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cluster.operation import standalone_operation
from data.manifests import backend, frontend
from e2e.blind_lab import (
    HEALTH_PORT,
    SERVERS,
    WAYS,
    BlindLab,
    ShownDecisions,
    blind_lab,
    blinded,
    shown,
)
from lab.flows import CUT, SILENT
from lab.servers import CountingHttpServer
from lab.traffic_hosts import ROUTER
from lab.traffic_lab import WEIGHTS, TrafficLab, assert_proportional, traffic_lab
from lab.waiting import stays, wait_for

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
        assert shown(operation).degraded() == "NotDegraded"


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
