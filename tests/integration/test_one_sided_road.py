"""Where one of operator and agent has the direct road off: the old one, and nothing worse."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from cluster.control_plane import ControlPlane
from cluster.main_job import MainJob, main_job
from cluster.stage import NodeStage, electing, stage
from lab.http_get import http_get
from lab.waiting import wait_for
from vpplb.agent.operator_observer import LOOK_EVERY, LOST_AFTER

pytestmark = [pytest.mark.slow, pytest.mark.control_plane]

OFF = "--no-direct"
JUDGED = LOST_AFTER + 3 * LOOK_EVERY
"""Seconds in which an agent has made up its mind on a leader that it does not hear directly."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OneSidedWorld:
    """A stage with a job, and why the agent says that it has no direct road."""

    stage: NodeStage
    job: MainJob
    why: str

    def dataplane(self) -> dict[str, Any]:
        status: dict[str, Any] = self.stage.kubectl.get("vdp", self.stage.node)["status"]
        return status

    def heard(self) -> tuple[str, str]:
        """Return what the node says of operators: status and reason; empty before it says it."""
        found = {one["type"]: one for one in self.dataplane()["conditions"]}.get("OperatorHeard")
        return (found["status"], found["reason"]) if found else ("", "")


@pytest.fixture(params=["operator", "agent"])
def world(
    request: pytest.FixtureRequest, control_plane: ControlPlane, tmp_path: Path
) -> Iterator[OneSidedWorld]:
    election, agent_args = electing("operator"), list[str]()
    if request.param == "operator":
        election.append(OFF)
        why = "names no operator of "
    else:
        agent_args.append(OFF)
        why = OFF
    with (
        stage(control_plane, tmp_path, election=election, agent_args=agent_args) as running,
        main_job(running) as job,
    ):
        job.deploy()
        yield OneSidedWorld(stage=running, job=job, why=why)


def test_a_failover_goes_by_the_status_and_nothing_is_called_trouble(world: OneSidedWorld) -> None:
    job, agent, operator = world.job, world.stage.agent, world.stage.operator
    wait_for(lambda: world.heard() != ("", ""), "the agent's judgement", timeout=JUDGED)
    assert world.heard() == ("True", "LeaseRenewed")

    job.servers["nginx0"].stop()
    job.wait_weights({"nginx0": 0, "nginx1": 100, "nginx2": 100})
    job.servers["nginx0"].start()
    job.wait_weights({"nginx0": 100})
    job.wait_condition("vfe/web", "Degraded", "False", "NotDegraded")

    for one in (agent, operator):
        status, said = http_get(f"{one.http}/readyz")
        assert status == 200, said
        assert json.loads(said).get("notReady", {}) == {}
    decisions = json.loads(http_get(f"{agent.http}/readyz")[1])["decisions"]
    assert decisions.startswith("by the API server alone: ")
    assert world.why in decisions

    shown = world.dataplane()
    assert "direct" not in shown
    assert not shown.get("errors")
    assert {one["type"] for one in shown["conditions"] if one["status"] != "True"} == set()
    assert "DirectRoadLost" not in job.events("Frontend", "web")
    assert agent.metric("vpplb_operator_heard") == 1
    assert agent.metric("vpplb_direct_led") < 1
    assert operator.metric("vpplb_direct_agents") < 1
