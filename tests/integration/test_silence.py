"""Where nobody probes any more: what people, agents and statuses say, and that it ends."""

import os
import subprocess
from collections.abc import Iterator

import pytest
from click.testing import CliRunner

from cluster.control_plane import ControlPlane
from cluster.main_job import MainJob, main_job
from cluster.stage import VPPLB, NodeStage, electing
from cluster.stage import stage as run_stage
from lab.http_get import http_get
from lab.waiting import PATIENCE, wait_for
from vpplb.agent import silence_marker
from vpplb.agent.operator_observer import LOOK_EVERY, SILENT_AFTER
from vpplb.agent.silence_marker import BEGIN_AFTER, SPREAD
from vpplb.cli.kubectl.group import cli
from vpplb.cli.verbs.silence import ELECTION

pytestmark = [pytest.mark.slow, pytest.mark.control_plane]

SUMS = ("Available", "Programmed", "Degraded", "Ready")
SILENT = SILENT_AFTER + 3 * LOOK_EVERY + PATIENCE
MARKED = BEGIN_AFTER + SPREAD + 3 * silence_marker.LOOK_EVERY + PATIENCE


@pytest.fixture(scope="module")
def silent_stage(
    control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[NodeStage]:
    """Run an operator by the lease that people look at, an agent and a VPP."""
    election = electing("operator", ELECTION, "2s")
    with run_stage(control_plane, tmp_path_factory.mktemp("stage"), election=election) as running:
        yield running
    control_plane.kubectl.within("kube-system")("delete", "lease", ELECTION)


@pytest.fixture
def job(silent_stage: NodeStage) -> Iterator[MainJob]:
    with main_job(silent_stage) as made:
        yield made


def test_an_operator_that_is_gone_is_told_by_everybody_and_so_is_the_next_one(
    control_plane: ControlPlane, silent_stage: NodeStage, job: MainJob
) -> None:
    stage, namespace = silent_stage, job.kubectl.namespace

    def heard() -> tuple[str, str]:
        found = job.condition(f"vdp/{stage.node}", "OperatorHeard")
        return found[0], found[1]

    def plugin(*arguments: str) -> str:
        env = {"KUBECONFIG": str(control_plane.kubeconfig), "COLUMNS": "200"}
        env["VPPLB_KUBECTL"] = str(control_plane.kubectl.binary)
        return CliRunner(env=env).invoke(cli, [*arguments, "-n", namespace]).output

    job.deploy()
    job.wait_condition("vfe/web", "Ready", "True", "Ready")
    wait_for(lambda: heard() == ("True", "Direct"), "the agent hears its operator")
    assert "Stale" not in plugin("status")

    stage.operator.program.kill()
    wait_for(lambda: "Stale: up as of " in plugin("status"), "the plugin says so")
    assert "nobody has probed since" in plugin("backends")
    wait_for(lambda: heard() == ("False", "NobodyLeads"), "the agent says so", timeout=SILENT)
    assert "\nvpplb_operator_heard 0.0\n" in http_get(f"{stage.agent.http}/metrics")[1]
    default = job.kubectl.within("default")
    wait_for(lambda: stage.node in default("get", "events", "-o", "name"), "an event says so")

    def ready() -> str:
        return job.condition("vfe/web", "Ready")[1]

    wait_for(lambda: ready() == "Stale", "kubectl shows it by the agent's mark", timeout=MARKED)
    told = (*(("vfe/web", one) for one in SUMS), ("vbe/nginx0", "Healthy"))
    for target, of_type in told:
        status, reason, said = job.condition(target, of_type)
        assert (status, reason) == ("Unknown", "Stale")
        assert "nobody has probed since" in said
    for kind in ("vfe", "vbe"):
        assert "Stale: as of " in job.kubectl("get", kind)
    retired = subprocess.run(
        [VPPLB, "retire", f"--namespace={namespace}"],
        env={**os.environ, "KUBECONFIG": str(control_plane.kubeconfig)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert retired.stdout == "nobody probes any more: 0 statuses say so now\n"
    weights = job.weights()
    assert set(weights.values()) == {100}

    stage.operator.program.start()
    stage.operator.wait_ready()
    job.wait_condition("vfe/web", "Ready", "True", "Ready")
    job.wait_condition("vbe/nginx0", "Healthy", "True", "Up")
    wait_for(lambda: "Stale" not in job.kubectl("get", "vfe,vbe"), "nothing is old any more")
    events = ("get", "events", "-o", "jsonpath={.items[*].reason}")
    wait_for(lambda: "ServedAgain" in job.kubectl(*events), "an event says so")
    assert job.weights() == weights
    wait_for(lambda: heard() == ("True", "Direct"), "the agent hears it", timeout=SILENT)
