"""Packets between operator and agent that are dropped without a word, as by a network policy.

The old road serves, and nothing is worse than without the direct one.
"""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from cluster.control_plane import ControlPlane
from cluster.main_job import MainJob, main_job
from cluster.stage import NodeStage, ServiceProcess, electing, stage
from lab.http_get import http_get
from lab.silent_line import SilentLine
from lab.waiting import wait_for
from vpplb.direct.client import HEARTBEAT, ROLE_TIMEOUT
from vpplb.direct.server import SILENT

pytestmark = [pytest.mark.slow, pytest.mark.control_plane]

BY_STATUS = 2.0
"""Seconds from a verdict to VPP by the status road, on a machine that is busy with other things."""
assert min(HEARTBEAT, ROLE_TIMEOUT, SILENT) > BY_STATUS, "nothing waits for the loss to be noticed"


@dataclass(frozen=True, slots=True, kw_only=True)
class SilentWorld:
    """A stage whose agent reaches the operator directly by a line on which packets get lost."""

    stage: NodeStage
    job: MainJob
    line: SilentLine

    def fail(self, backend: str) -> float:
        """Stop a server; return the seconds from its verdict until VPP has no weight for it."""
        before, operator = len(self.stage.tap.calls), self.stage.operator
        self.job.servers[backend].stop()
        self.job.wait_weights({backend: 0})
        called = self.stage.tap.changes(before)[-1].at
        # The log has it once the decision is on its way.
        return called - wait_for(lambda: operator.transitions(backend, "down"), "the log")[-1]

    def road(self) -> str:
        """Return the operator that the agent hears directly, by its Dataplane; empty for none."""
        status = self.stage.kubectl.get("vdp", self.stage.node).get("status", {})
        return str(status.get("direct", {}).get("operator", ""))

    def wait_loss_shown(self) -> None:
        """Return when everything says so that tells of roads, and both programs are ready."""
        agent, operator = self.stage.agent, self.stage.operator
        wait_for(lambda: self.road() == "", "the Dataplane shows no operator")
        wait_for(lambda: metric(agent, "vpplb_direct_led") == 0, "the agent's metrics")
        wait_for(lambda: metric(operator, "vpplb_direct_agents") == 0, "the operator's metrics")
        for one in (agent, operator):
            one.wait_ready()
        said = json.loads(http_get(f"{agent.http}/readyz")[1])
        assert str(said["decisions"]).startswith("by the API server alone: operator"), said


@pytest.fixture
def world(control_plane: ControlPlane, tmp_path: Path) -> Iterator[SilentWorld]:
    election = electing("operator", duration="3s")
    listens = next(one for one in election if one.startswith("--direct-address="))
    with ExitStack() as stack:
        line = stack.enter_context(SilentLine(int(listens.rpartition(":")[2])))
        election.append(f"--direct-advertise=127.0.0.1:{line.port}")
        running = stack.enter_context(stage(control_plane, tmp_path, election=election))
        job = stack.enter_context(main_job(running))
        job.deploy()
        made = SilentWorld(stage=running, job=job, line=line)
        wait_for(lambda: made.road() != "", "the agent hears the operator directly")
        yield made


def test_what_a_connection_swallows_comes_by_the_status_road_before_that_is_noticed(
    world: SilentWorld,
) -> None:
    with world.line.swallowing():
        assert world.fail("nginx0") < BY_STATUS
        world.wait_loss_shown()
        silent = 'vpplb_direct_refused_total{reason="silent"}'
        assert metric(world.stage.operator, silent) == 1
        assert world.fail("nginx1") < BY_STATUS
    wait_for(lambda: world.road() != "", "the direct road is back")
    assert world.job.weights() == {"nginx0": 0, "nginx1": 0, "nginx2": 100}


def test_an_agent_whose_connecting_is_never_answered_has_the_status_road(
    world: SilentWorld,
) -> None:
    agent = world.stage.agent
    with world.line.unanswering():
        agent.crash()
        world.wait_loss_shown()
        assert world.fail("nginx0") < BY_STATUS
        assert metric(agent, "vpplb_direct_operator_messages_total") == 0
    wait_for(lambda: world.road() != "", "the direct road is back")
    wait_for(lambda: metric(agent, "vpplb_direct_led") == 1, "the agent's metrics")


def metric(service: ServiceProcess, name: str) -> float:
    """Return a metric's value, of the first series that has this name; -1 where there is none."""
    for line in http_get(f"{service.http}/metrics")[1].splitlines():
        series, _, value = line.rpartition(" ")
        if series == name or series.startswith(f"{name}{{"):
            return float(value)
    return -1.0
