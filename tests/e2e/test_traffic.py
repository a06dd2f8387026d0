"""TCP flows through a real VPP while the system changes things: who answers, and who is cut.

Three servers of weights 100, 50 and 25 in one pool are where every test begins. A flow is held
open over a change; it "stays" when the same server answers on the same connection afterwards,
and is "cut" when another server, which knows nothing of it, resets it.
"""

import os
import time
from collections.abc import Callable, Iterator

import pytest

from cluster.control_plane import ControlPlane
from cluster.operation import cluster_operation, standalone_operation
from lab.flows import CUT
from lab.traffic_hosts import ROUTER, SERVERS
from lab.traffic_lab import WEIGHTS, TrafficLab, Weights, assert_proportional, on, traffic_lab
from lab.waiting import stays, wait_for

pytestmark = [
    pytest.mark.slow,
    pytest.mark.real_vpp,
    pytest.mark.privileged,
    pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root"),
]


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TrafficLab]:
    """Build network, servers and VPP once."""
    with traffic_lab(tmp_path_factory.mktemp("lab")) as lab:
        yield lab


@pytest.fixture(scope="module", params=["standalone", "cluster"])
def operated(
    request: pytest.FixtureRequest, network: TrafficLab, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TrafficLab]:
    """Run the system in each of the ways it can be run."""
    directory = tmp_path_factory.mktemp(request.param)
    probe = [f"--netns={network.prober.path}"]
    vpp = [f"--vpp-api-socket={network.tap.path}", f"--ipv4-source-address={ROUTER}"]
    if request.param == "standalone":
        running = standalone_operation(directory, probe, vpp)
    else:
        plane: ControlPlane = request.getfixturevalue("control_plane")
        running = cluster_operation(plane, directory, probe, vpp)
    with running as operation:
        network.operate(operation)
        yield network


@pytest.fixture
def lab(operated: TrafficLab) -> TrafficLab:
    """Give the lab with all servers up, and no flow open."""
    operated.reset()
    return operated


one_way = pytest.mark.parametrize("operated", ["standalone"], indirect=True)
"""For what does not depend on how the system is run."""


def test_servers_answer_in_proportion_to_their_weights(lab: TrafficLab) -> None:
    assert_proportional(lab.open(), WEIGHTS)


def test_a_weight_change_moves_no_flow_and_new_flows_follow_it(lab: TrafficLab) -> None:
    flows = lab.open()

    changed = {"s1": 10, "s2": 100, "s3": 100}
    lab.apply(changed)
    lab.wait_weights(changed)

    assert lab.flows.ask() == flows
    assert_proportional(lab.open(), changed)


def test_a_crashed_server_loses_its_flows_and_no_other_does(lab: TrafficLab) -> None:
    flows = lab.open()

    lab.servers["s1"].kill()
    lab.wait_weights(WEIGHTS | {"s1": 0})

    assert lab.flows.ask() == flows | dict.fromkeys(on("s1", flows), CUT)
    # VPP has forgotten them, so their clients get another server by trying again.
    again = lab.flows.open(on("s1", flows))
    assert set(again.values()) == {"s2", "s3"}
    assert lab.flows.ask() == flows | again


@one_way
def test_customers_miss_a_crashed_server_for_no_longer_than_it_takes_to_see(
    lab: TrafficLab,
) -> None:
    with lab.monitored() as outside:
        outside.wait_passing()
        lab.servers["s1"].kill()
        crashed = time.monotonic()
        lab.wait_weights(WEIGHTS | {"s1": 0})
        seen = time.monotonic() - crashed
        outside.wait_passing()
        saw = outside.end()
    # It had 100 of 175 buckets; a connection that was begun to it is lost.
    assert saw["failures"].keys() == {"timeout"}
    assert saw["spells"] == 1
    assert saw["longestSpellMs"] < 1000 * seen + 500


@one_way
def test_customers_notice_nothing_of_a_server_that_is_paused_or_reweighted(
    lab: TrafficLab,
) -> None:
    with lab.monitored() as outside:
        outside.wait_passing()
        lab.apply(backends={"s1": {"paused": True}})
        lab.wait_weights(WEIGHTS | {"s1": 0})
        lab.apply({"s1": 10, "s2": 100, "s3": 100})
        lab.wait_weights({"s1": 10, "s2": 100, "s3": 100})
        outside.wait_passing()
        saw = outside.end()
    assert (saw["failed"], saw["passed"] > 0) == (0, True)


def test_flows_of_a_server_that_is_down_are_cut_at_once(lab: TrafficLab) -> None:
    flows = lab.open()

    lab.servers["s1"].sicken()  # only its health page: its connections are alive
    lab.wait_weights(WEIGHTS | {"s1": 0})

    assert lab.flows.ask() == flows | dict.fromkeys(on("s1", flows), CUT)


def test_without_flush_on_down_no_flow_is_cut(lab: TrafficLab) -> None:
    weights = WEIGHTS | {"s3": 30}  # another weight shows when the change is in force
    lab.apply(weights, flushOnDown=False)
    lab.wait_weights(weights)
    flows = lab.open()

    lab.servers["s1"].sicken()
    lab.wait_weights(weights | {"s1": 0})

    assert lab.flows.ask() == flows
    assert set(lab.open().values()) == {"s2", "s3"}


def test_a_recovered_server_takes_new_flows_and_no_old_one(lab: TrafficLab) -> None:
    lab.servers["s1"].sicken()
    lab.wait_weights(WEIGHTS | {"s1": 0})
    flows = lab.open()

    lab.servers["s1"].recover()
    lab.wait_weights(WEIGHTS)

    assert lab.flows.ask() == flows
    assert_proportional(lab.open(), WEIGHTS)


def test_pausing_drains_a_server_and_cuts_nothing(lab: TrafficLab) -> None:
    flows = lab.open()

    lab.apply(backends={"s1": {"paused": True}})
    lab.wait_weights(WEIGHTS | {"s1": 0})

    assert lab.flows.ask() == flows
    fresh = lab.open()
    assert set(fresh.values()) == {"s2", "s3"}

    lab.apply()
    lab.wait_weights(WEIGHTS)
    assert lab.flows.ask() == flows | fresh


def test_disabling_cuts_the_flows_of_that_server_alone(lab: TrafficLab) -> None:
    flows = lab.open()

    lab.apply(backends={"s2": {"enabled": False}})
    lab.wait_weights(WEIGHTS | {"s2": 0})

    assert lab.flows.ask() == flows | dict.fromkeys(on("s2", flows), CUT)


def test_disabling_a_drained_server_cuts_what_is_left_of_it(lab: TrafficLab) -> None:
    flows = lab.open()
    lab.apply(backends={"s2": {"paused": True}})
    lab.wait_weights(WEIGHTS | {"s2": 0})
    assert lab.flows.ask() == flows

    lab.apply(backends={"s2": {"paused": True, "enabled": False}})

    cut = flows | dict.fromkeys(on("s2", flows), CUT)
    wait_for(lambda: lab.flows.ask() == cut, "the flows of s2, and no others, are cut")


def test_the_standby_pool_takes_over_when_the_last_server_is_down(lab: TrafficLab) -> None:
    pools = ({"s1": 100, "s2": 50}, {"s3": 100})
    lab.apply(*pools)
    lab.wait_weights({"s1": 100, "s2": 50, "s3": 0})
    flows = lab.open()
    assert_proportional(flows, {"s1": 100, "s2": 50})

    lab.servers["s1"].sicken()
    lab.wait_weights({"s1": 0, "s2": 50, "s3": 0})
    assert lab.flows.ask() == flows | dict.fromkeys(on("s1", flows), CUT)

    lab.servers["s2"].sicken()
    lab.wait_weights({"s1": 0, "s2": 0, "s3": 100})
    assert set(lab.flows.ask().values()) == {CUT}
    standby = lab.flows.open(flows)
    assert set(standby.values()) == {"s3"}

    # Back to the first pool: the standby's flows end where they are.
    lab.servers["s1"].recover()
    lab.wait_weights({"s1": 100, "s2": 0, "s3": 0})
    assert lab.flows.ask() == standby
    assert set(lab.open().values()) == {"s1"}


def test_a_server_that_leaves_takes_its_flows_with_it_and_no_others(lab: TrafficLab) -> None:
    flows = lab.open()

    rest = {"s1": 100, "s2": 50}
    lab.apply(rest)
    lab.wait_weights(rest)
    assert lab.flows.ask() == flows | dict.fromkeys(on("s3", flows), CUT)

    lab.apply()
    lab.wait_weights(WEIGHTS)
    stayed = flows.keys() - on("s3", flows)
    assert lab.flows.ask(stayed) == {port: flows[port] for port in stayed}


def test_restarting_the_programs_one_by_one_changes_nothing(lab: TrafficLab) -> None:
    flows = lab.open()
    told = len(lab.tap.calls)
    for name, service in lab.operation.services.items():
        service.program.stop()
        assert lab.flows.ask() == flows, f"without {name}"
        service.program.start()
        service.wait_ready()

        stays(lab.weights, f"weights after the start of {name}", seconds=0.5)
        assert lab.flows.ask() == flows, f"with {name} again"
    assert lab.tap.changes(told) == []


def test_a_crash_of_all_programs_changes_nothing(lab: TrafficLab) -> None:
    flows = lab.open()
    lab.await_saved()
    told = len(lab.tap.calls)
    services = list(lab.operation.services.values())
    for service in services:
        service.program.kill()
    # VPP goes on by itself, for new flows too.
    meanwhile = lab.open()
    assert_proportional(meanwhile, WEIGHTS)
    for service in reversed(services):  # whoever programs VPP comes before whoever decides
        service.program.start()
    for service in services:
        service.wait_ready()

    stays(lab.weights, "weights after the start of all", seconds=0.5)
    assert lab.flows.ask() == {**flows, **meanwhile}
    assert lab.tap.changes(told) == []


def test_a_flush_is_neither_lost_nor_repeated_by_a_restart(lab: TrafficLab) -> None:
    flows = lab.open()
    lab.await_saved()
    *_, programmer = lab.operation.services.values()
    programmer.program.kill()
    lab.servers["s1"].sicken()
    assert lab.flows.ask() == flows  # the only way to VPP is closed
    programmer.program.start()
    lab.wait_weights(WEIGHTS | {"s1": 0})
    assert lab.flows.ask() == flows | dict.fromkeys(on("s1", flows), CUT)

    lab.servers["s1"].recover()
    lab.wait_weights(WEIGHTS)
    fresh = lab.open()
    lab.await_saved()
    programmer.crash()
    stays(lab.weights, "weights after a restart", seconds=0.5)
    assert lab.flows.ask(fresh) == fresh


@one_way
def test_flows_survive_a_restart_of_vpp(lab: TrafficLab) -> None:
    flows = lab.open()

    lab.router.stop()
    lab.router.start()
    wait_for(lambda: lab.weights() == WEIGHTS, "VPP is as before")

    # It remembers none of them, but has the same table as before.
    assert lab.flows.ask() == flows


def test_editing_the_health_check_interrupts_nothing(lab: TrafficLab) -> None:
    flows = lab.open()
    told = len(lab.tap.calls)

    weights = WEIGHTS | {"s3": 30}  # another weight shows when the change is in force
    lab.apply(weights, check={"type": "TCP", "interval": "50ms", "timeout": "500ms"})
    lab.wait_weights(weights)
    lab.servers["s1"].sicken()  # to which the new check is blind
    stays(lab.weights, "weights after an edit of the check", seconds=1.0)

    assert [call.weight_set for call in lab.tap.changes(told)] == [(SERVERS["s3"], 30, False)]
    assert lab.flows.ask() == flows


@one_way
def test_the_simulator_predicts_the_server_of_every_flow(lab: TrafficLab) -> None:
    shadow = lab.shadow()
    flows = lab.open()
    assert flows == shadow.answers(flows)

    for change, weights in _CHANGES:
        change(lab)
        lab.wait_weights(weights)
        now = shadow.answers(flows)
        stayed = {port: who if now[port] == who else CUT for port, who in flows.items()}
        assert lab.flows.ask() == stayed
        flows = {**flows, **lab.flows.open(on(CUT, stayed)), **lab.open(100)}
        assert flows == shadow.answers(flows)


_CHANGES: tuple[tuple[Callable[[TrafficLab], None], Weights], ...] = (
    (lambda lab: lab.servers["s1"].kill(), WEIGHTS | {"s1": 0}),
    (lambda lab: lab.servers["s1"].recover(), WEIGHTS),
    (lambda lab: lab.apply(backends={"s2": {"paused": True}}), WEIGHTS | {"s2": 0}),
    (lambda lab: lab.apply({"s1": 7, "s2": 99, "s3": 100}), {"s1": 7, "s2": 99, "s3": 100}),
    (lambda lab: lab.apply(backends={"s3": {"enabled": False}}), WEIGHTS | {"s3": 0}),
)
