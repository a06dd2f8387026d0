"""Decisions by the direct road, between real programs: fast, also without the API server."""

import json
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from cluster.api_proxy import ApiProxy
from cluster.control_plane import ControlPlane
from cluster.main_job import MainJob, main_job
from cluster.stage import NodeStage, ServiceProcess, electing, stage
from lab.http_get import http_get
from lab.servers import CountingHttpServer
from lab.waiting import stays, wait_for
from vpplb.direct.operator_directory import PREFIX

pytestmark = [pytest.mark.slow, pytest.mark.control_plane]

LEASE = "3s"
BACK_AT_WORK = 10.0
"""Seconds in which statuses are true once the API server is back."""
FOUND_AGAIN = 15.0
"""Seconds in which an operator that is there again is connected: by then the Lease has been looked
at four times."""
TWO_POOLS = {"main": ["nginx0", "nginx1"], "spare": ["nginx2"]}
NOISE = 0.25
"""Seconds by which a busy machine makes half of the failovers longer; a request that waits for the
API server waits for longer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectWorld:
    """A stage whose operator and agent reach the API server by a line of their own."""

    stage: NodeStage
    job: MainJob
    operator_line: ApiProxy
    agent_line: ApiProxy

    def road(self) -> str:
        """Return the operator that the agent hears directly, by its Dataplane; empty for none."""
        status = self.stage.kubectl.get("vdp", self.stage.node).get("status", {})
        return str(status.get("direct", {}).get("operator", ""))

    def fail_over(self) -> float:
        """Stop the first of two pools; return the seconds from its last verdict to VPP."""
        return self._measure(CountingHttpServer.stop, {"nginx0": 0, "nginx1": 0, "nginx2": 100})

    def fail_back(self) -> float:
        """Start it again; likewise."""
        return self._measure(CountingHttpServer.start, {"nginx0": 100, "nginx1": 100, "nginx2": 0})

    def _measure(
        self, change: Callable[[CountingHttpServer], None], weights: Mapping[str, int]
    ) -> float:
        began, operator = time.time(), self.stage.operator
        state = "up" if weights["nginx0"] else "down"
        for name in TWO_POOLS["main"]:
            change(self.job.servers[name])
        self.job.wait_weights(weights)
        called = self.stage.tap.changes()[-1].at

        def verdicts() -> list[float]:
            last = [max(operator.transitions(one, state), default=0) for one in TWO_POOLS["main"]]
            return last if min(last) >= began else []

        # The log has them once the decision is on its way.
        return called - max(wait_for(verdicts, "the log"))

    def why_not_ready(self) -> dict[str, str]:
        """Return what of the operator is not ready, and why; empty where it is, or is not there."""
        status, said = http_get(f"{self.stage.operator.http}/readyz")
        why: dict[str, str] = json.loads(said)["notReady"] if status == 503 else {}
        return why

    def away(self) -> ExitStack:
        """Take the API server away from both."""
        both = ExitStack()
        both.enter_context(self.operator_line.away())
        both.enter_context(self.agent_line.away())
        return both


@pytest.fixture
def world(control_plane: ControlPlane, tmp_path: Path) -> Iterator[DirectWorld]:
    with ExitStack() as stack:
        lines = [
            stack.enter_context(ApiProxy(kubeconfig, tmp_path))
            for kubeconfig in (control_plane.operator_kubeconfig, control_plane.agent_kubeconfig)
        ]
        plane = replace(
            control_plane,
            operator_kubeconfig=lines[0].kubeconfig,
            agent_kubeconfig=lines[1].kubeconfig,
        )
        running = stack.enter_context(
            stage(plane, tmp_path, election=electing("operator", duration=LEASE))
        )
        job = stack.enter_context(main_job(running))
        job.deploy()
        made = DirectWorld(stage=running, job=job, operator_line=lines[0], agent_line=lines[1])
        wait_for(lambda: made.road() != "", "the agent hears the operator directly")
        yield made


def test_a_failover_needs_no_api_server(world: DirectWorld) -> None:
    job = world.job
    with world.away():
        time.sleep(4)  # longer than the lease: the operator can no longer renew it
        for _ in range(2):
            job.servers["nginx0"].stop()
            job.wait_weights({"nginx0": 0, "nginx1": 100, "nginx2": 100})
            job.servers["nginx0"].start()
            job.wait_weights({"nginx0": 100})
        job.servers["nginx1"].stop()
        job.wait_weights({"nginx1": 0})
    wait_for(
        lambda: job.kubectl.get("vbe", "nginx1")["status"]["state"] == "down",
        "the status is true",
        timeout=BACK_AT_WORK,
    )


def test_pools_fail_over_and_back_without_the_api_server_as_fast_as_with_it(
    world: DirectWorld,
) -> None:
    job = world.job
    job.kubectl.apply(job.frontend(pools=TWO_POOLS))
    job.wait_weights({"nginx0": 100, "nginx1": 100, "nginx2": 0})
    usual = [one() for one in (world.fail_over, world.fail_back) * 2]
    with world.away():
        time.sleep(4)  # longer than the lease: the operator can no longer renew it
        alone = [one() for one in (world.fail_over, world.fail_back) * 3] + [world.fail_over()]
    assert statistics.median(alone) < statistics.median(usual) + NOISE, (alone, usual)

    def is_true() -> bool:
        states = {name: job.kubectl.get("vbe", name)["status"]["state"] for name in job.servers}
        assert states == {"nginx0": "down", "nginx1": "down", "nginx2": "up"}
        return bool(job.kubectl.get("vfe", "web")["status"]["activePool"] == "spare")

    wait_for(is_true, "the statuses are true", timeout=BACK_AT_WORK)


def test_an_agent_that_restarts_without_the_api_server_goes_on_from_the_operator(
    world: DirectWorld,
) -> None:
    job = world.job
    time.sleep(1.5)  # what the node keeps is on its disk
    with world.away():
        world.stage.agent.program.kill()
        job.servers["nginx0"].stop()
        time.sleep(1)
        assert job.weights()["nginx0"] == 100
        world.stage.agent.program.start()
        job.wait_weights({"nginx0": 0, "nginx1": 100, "nginx2": 100})
    wait_for(
        lambda: http_get(f"{world.stage.agent.http}/readyz")[0] == 200,
        "the agent is ready",
        timeout=30,
    )
    job.servers["nginx0"].start()
    job.wait_weights({"nginx0": 100})


def test_an_operator_that_restarts_without_the_api_server_takes_nothing_away(
    world: DirectWorld,
) -> None:
    job = world.job
    with world.away():
        calls = len(world.stage.tap.calls)
        world.stage.operator.program.kill()
        world.stage.operator.program.start()
        wait_for(lambda: "Cannot connect" in world.why_not_ready().get("lease", ""), "why it waits")
        assert world.why_not_ready()["objects"] == "objects have not been listed yet"
        job.servers["nginx0"].stop()  # of which it cannot know
        stays(lambda: not world.stage.tap.changes(calls), "VPP stays as it is", seconds=3)
        assert not world.stage.tap.changes(calls)
        assert job.weights() == {"nginx0": 100, "nginx1": 100, "nginx2": 100}
    job.wait_weights({"nginx0": 0})
    wait_for(
        lambda: http_get(f"{world.stage.operator.http}/readyz")[0] == 200,
        "the operator is ready",
        timeout=30,
    )
    job.servers["nginx2"].stop()
    job.wait_weights({"nginx2": 0})


def test_an_operator_that_restarts_with_another_certificate_is_heard_directly_again(
    world: DirectWorld,
) -> None:
    """It is at the same address, so that agents meet a certificate that they do not expect."""
    job, agent, operator = world.job, world.stage.agent, world.stage.operator
    [before] = _read_operators(job, world.stage)
    operator.program.kill()
    wait_for(lambda: agent.metric("vpplb_direct_led") == 0, "the agent has lost it")
    operator.program.start()
    operator.wait_ready()
    wait_for(
        lambda: (
            (agent.metric("vpplb_direct_led"), operator.metric("vpplb_direct_agents")) == (1, 1)
        ),
        "the leader is heard directly",
        timeout=FOUND_AGAIN,
    )
    # Where another process has had its name meanwhile, what the one before has said is there too.
    [after] = [
        one
        for one in _read_operators(job, world.stage)
        if one["fingerprint"] != before["fingerprint"]
    ]
    assert after["address"] == before["address"]
    wait_for(lambda: world.road() == after["identity"], "the Dataplane says so")
    job.servers["nginx0"].stop()
    job.wait_weights({"nginx0": 0, "nginx1": 100})
    direct = 'vpplb_decision_to_vpp_seconds_count{road="direct"}'
    wait_for(lambda: operator.metric(direct) > 0, "the operator heard so directly")


def test_what_the_direct_road_decided_is_not_undone_by_an_agents_restart(
    world: DirectWorld,
) -> None:
    """The status is older than what the node has been told directly."""
    job = world.job
    with world.operator_line.away():  # no status is written, and the agent reads the old ones
        job.servers["nginx0"].stop()
        job.wait_weights({"nginx0": 0})
        time.sleep(1.5)
        calls = len(world.stage.tap.calls)
        world.stage.agent.crash()
        stays(lambda: not world.stage.tap.changes(calls), "VPP stays as it is", seconds=3)
        assert job.weights()["nginx0"] == 0


def test_a_standby_takes_over_on_the_connection_that_is_there(
    world: DirectWorld, tmp_path: Path, control_plane: ControlPlane
) -> None:
    job, lease = world.job, _lease_of(world.stage)
    (tmp_path / "second").mkdir()
    second = ServiceProcess(
        "operator",
        control_plane.operator_kubeconfig,
        tmp_path / "second",
        *electing("second", lease, LEASE),
    )
    try:
        second.wait_ready()
        wait_for(lambda: _connected(world.stage.agent) == 2, "the agent is connected to both")
        world.stage.operator.program.stop()
        wait_for(lambda: world.road().startswith("second"), "the second leads", timeout=20)
        job.servers["nginx0"].stop()
        job.wait_weights({"nginx0": 0, "nginx1": 100})
    finally:
        second.program.stop()


def test_a_refused_agent_and_one_without_a_token_have_the_status_road(
    world: DirectWorld,
) -> None:
    """The old road serves: nothing worse."""
    job, agent = world.job, world.stage.agent
    token = next(tmp for tmp in agent.program.log.parent.glob("*.token"))
    token.write_text("not.a.token")
    agent.crash()
    wait_for(lambda: world.road() == "", "the Dataplane says so")
    job.servers["nginx0"].stop()
    job.wait_weights({"nginx0": 0, "nginx1": 100})
    token.unlink()
    agent.crash()
    job.servers["nginx0"].start()
    job.wait_weights({"nginx0": 100})


def _lease_of(running: NodeStage) -> str:
    argv = running.agent.program.argv
    return next(one.partition("=")[2] for one in argv if one.startswith("--lease-name="))


def _read_operators(job: MainJob, running: NodeStage) -> list[dict[str, str]]:
    """Return what the Lease of the election says of operators."""
    lease = job.kubectl.within("kube-system").get("lease", _lease_of(running))
    texts = lease["metadata"].get("annotations", {}).items()
    return [json.loads(text) for name, text in texts if name.startswith(PREFIX)]


def _connected(agent: ServiceProcess) -> int:
    """Count the operators that an agent is connected to."""
    lines = http_get(f"{agent.http}/metrics")[1].splitlines()
    shown = (line for line in lines if line.startswith("vpplb_direct_operator_connected{"))
    return sum(line.endswith(" 1.0") for line in shown)
