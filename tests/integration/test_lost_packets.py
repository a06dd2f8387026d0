"""Packets between operator and agent that are dropped without a word, as by a network policy.

The old road serves, and nothing is worse than without the direct one.
"""

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from cluster.control_plane import ControlPlane
from cluster.main_job import MainJob, main_job
from cluster.stage import NodeStage, electing, stage
from lab.dropped_packets import dropping
from lab.http_get import http_get
from lab.silent_line import SilentLine
from lab.waiting import wait_for
from vpplb.direct.client import HEARTBEAT, RETRY, ROLE_TIMEOUT
from vpplb.direct.server import SILENT

pytestmark = [pytest.mark.slow, pytest.mark.control_plane]

BY_STATUS = 2.0
"""Seconds from a verdict to VPP by the status road, on a machine that is busy with other things."""
MOMENT = 0.1 + 0.4
"""The same where the operator believes that all have heard it directly, of a Frontend that was at
rest: the status waits for a tenth of a second, and the machine is busy."""
AT_REST = 4.0
"""Seconds after which a Frontend's status has all its writes in hand again."""
HEALED = ROLE_TIMEOUT + RETRY[1] + 5.0
"""Seconds from the end of a loss until decisions come directly again: an attempt that has begun
ends, and the next one is made; and the machine is busy."""
assert min(HEARTBEAT, ROLE_TIMEOUT, SILENT) > BY_STATUS, "nothing waits for the loss to be noticed"


@dataclass(frozen=True, slots=True, kw_only=True)
class LossyWorld:
    """A stage whose agent hears the operator directly at `port`, until packets get lost."""

    stage: NodeStage
    job: MainJob
    port: int

    def fail(self, backend: str) -> float:
        """Stop a server; return the seconds from its verdict until VPP has no weight for it."""
        self.job.servers[backend].stop()
        return self._measure(backend, "down", 0)

    def recover(self, backend: str) -> float:
        """Start it again; return the seconds from its verdict until VPP has its weight."""
        self.job.servers[backend].start()
        return self._measure(backend, "up", 100)

    def _measure(self, backend: str, state: str, weight: int) -> float:
        before, operator = len(self.stage.tap.calls), self.stage.operator
        known = len(operator.transitions(backend, state))
        self.job.wait_weights({backend: weight})
        called = self.stage.tap.changes(before)[-1].at
        # The log has it once the decision is on its way.
        return called - wait_for(lambda: operator.transitions(backend, state)[known:], "the log")[0]

    def road(self) -> str:
        """Return the operator that the agent hears directly, by its Dataplane; empty for none."""
        status = self.stage.kubectl.get("vdp", self.stage.node).get("status", {})
        return str(status.get("direct", {}).get("operator", ""))

    def wait_loss_shown(self) -> None:
        """Return when everything says so that tells of roads, and both programs are ready."""
        agent, operator = self.stage.agent, self.stage.operator
        wait_for(lambda: self.road() == "", "the Dataplane shows no operator")
        wait_for(lambda: agent.metric("vpplb_direct_led") == 0, "the agent's metrics")
        wait_for(lambda: operator.metric("vpplb_direct_agents") == 0, "the operator's metrics")
        for one in (agent, operator):
            one.wait_ready()
        said = json.loads(http_get(f"{agent.http}/readyz")[1])
        assert str(said["decisions"]).startswith("by the API server alone: operator"), said

    def wait_healed(self) -> None:
        """Return when the leader is heard directly, and hears of a failover that way.

        Not of the first one where the connection has lived on: TCP sends again what was lost, ever
        later, and the agent's own status may be there before.
        """
        agent, operator = self.stage.agent, self.stage.operator
        wait_for(
            lambda: (
                (agent.metric("vpplb_direct_led"), operator.metric("vpplb_direct_agents")) == (1, 1)
            ),
            "the direct road is back",
            timeout=HEALED,
        )
        direct = 'vpplb_decision_to_vpp_seconds_count{road="direct"}'
        before = operator.metric(direct)

        def hears_directly() -> bool:
            self.fail("nginx2")
            self.recover("nginx2")
            return operator.metric(direct) > before

        wait_for(hears_directly, "the operator heard so directly")


@contextmanager
def lossy_world(
    plane: ControlPlane, directory: Path, election: Sequence[str], port: int
) -> Iterator[LossyWorld]:
    with stage(plane, directory, election=election) as running, main_job(running) as job:
        job.deploy()
        made = LossyWorld(stage=running, job=job, port=port)
        wait_for(lambda: made.road() != "", "the agent hears the operator directly")
        yield made


@pytest.fixture
def election() -> list[str]:
    return electing("operator", duration="3s")


def port_of(election: Sequence[str]) -> int:
    listens = next(one for one in election if one.startswith("--direct-address="))
    return int(listens.rpartition(":")[2])


@pytest.fixture
def world(control_plane: ControlPlane, election: list[str], tmp_path: Path) -> Iterator[LossyWorld]:
    """Give one whose agent reaches the operator's own port."""
    with lossy_world(control_plane, tmp_path, election, port_of(election)) as made:
        yield made


@pytest.fixture
def line(election: list[str]) -> Iterator[SilentLine]:
    with SilentLine(port_of(election)) as made:
        yield made


@pytest.fixture
def relayed(
    control_plane: ControlPlane, election: list[str], line: SilentLine, tmp_path: Path
) -> Iterator[LossyWorld]:
    """Give one whose agent reaches the operator by a line, which goes on acknowledging."""
    advertised = [*election, f"--direct-advertise=127.0.0.1:{line.port}"]
    with lossy_world(control_plane, tmp_path, advertised, line.port) as made:
        yield made


def test_what_a_connection_swallows_comes_by_the_status_road_before_that_is_noticed(
    relayed: LossyWorld, line: SilentLine
) -> None:
    with line.swallowing():
        assert relayed.fail("nginx0") < BY_STATUS
        relayed.wait_loss_shown()
        silent = 'vpplb_direct_refused_total{reason="silent"}'
        assert relayed.stage.operator.metric(silent) == 1
        assert relayed.fail("nginx1") < BY_STATUS
    wait_for(lambda: relayed.road() != "", "the direct road is back")
    assert relayed.job.weights() == {"nginx0": 0, "nginx1": 0, "nginx2": 100}


def test_an_agent_whose_connecting_is_never_answered_has_the_status_road(
    relayed: LossyWorld, line: SilentLine
) -> None:
    agent = relayed.stage.agent
    with line.unanswering():
        agent.crash()
        relayed.wait_loss_shown()
        assert relayed.fail("nginx0") < BY_STATUS
        assert agent.metric("vpplb_direct_operator_messages_total") == 0
    wait_for(lambda: relayed.road() != "", "the direct road is back")
    wait_for(lambda: agent.metric("vpplb_direct_led") == 1, "the agent's metrics")


# --- dropped by a firewall, acknowledged by nobody -----------------------------------------------


@pytest.mark.privileged
def test_what_a_firewall_drops_comes_a_moment_later_until_that_is_noticed(
    world: LossyWorld,
) -> None:
    operator = world.stage.operator
    time.sleep(AT_REST)
    with dropping(world.port):
        assert world.fail("nginx0") < MOMENT
        assert operator.metric("vpplb_direct_agents") == 1, "nobody has noticed"
        for change in (
            world.fail,
            world.recover,
        ) * 3:  # it goes on changing, and may not be at rest
            assert change("nginx1") < BY_STATUS
    world.wait_healed()


@pytest.mark.privileged
def test_a_firewall_that_goes_on_dropping_costs_the_direct_road_and_it_heals_by_itself(
    world: LossyWorld,
) -> None:
    with dropping(world.port):
        world.wait_loss_shown()
        assert world.fail("nginx0") < BY_STATUS
    world.wait_healed()
    assert world.job.weights() == {"nginx0": 0, "nginx1": 100, "nginx2": 100}
