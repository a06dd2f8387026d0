"""Nothing is done for nothing, at 300 backends; `benchmarks/bench_scale.py` is the same at 10,000.

Events of the start are left out: they go on for a while, since their rate is bounded.
"""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from cluster.control_plane import ControlPlane
from cluster.fleet import Fleet, create
from cluster.kubectl import Kubectl
from cluster.scale import Scale, scale
from lab.servers import CountingHttpServer
from lab.waiting import NODE_AT_REST
from vpplb.kube.client import KubeClient

pytestmark = [pytest.mark.slow, pytest.mark.control_plane]


@pytest.fixture
async def run(
    control_plane: ControlPlane, namespace: Kubectl, tmp_path: Path
) -> AsyncIterator[Scale]:
    """Give a system that has just programmed 300 backends of 30 frontends."""
    with CountingHttpServer(address="0.0.0.0") as server:
        fleet = Fleet(
            frontends=30,
            doomed=3,
            port=server.port,
            doomed_port=server.port,
            namespace=namespace.namespace,
        )
        async with await KubeClient.from_config(control_plane.kubeconfig) as client:
            await create(client, fleet, lambda text: None)
        async with scale(control_plane, fleet, tmp_path) as running:
            await running.known()
            await running.programmed()
            yield running


async def test_neither_time_nor_a_crash_makes_for_a_transition_a_call_or_a_write(
    run: Scale,
) -> None:
    await run.quiet(NODE_AT_REST, events=False)
    acts: dict[str, Callable[[], object]] = {
        "time goes by": lambda: None,
        "the operator crashes": lambda: run.restart_operator(run.stage.operator.program.kill),
        "the agent crashes": run.stage.agent.crash,
    }
    for what, act in acts.items():
        unrest = await run.unrest(act, NODE_AT_REST)
        assert (unrest.transitions, unrest.calls) == (0, 0), what
        assert unrest.writes.keys() <= {"events"}, f"{what}: {unrest}"
