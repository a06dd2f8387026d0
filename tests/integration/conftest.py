"""One operator, agent and VPP for all tests of a module that need them: starting them is dear."""

from collections.abc import Iterator

import pytest

from cluster.api import Api, proxied
from cluster.control_plane import ControlPlane
from cluster.main_job import MainJob, main_job
from cluster.stage import NodeStage
from cluster.stage import stage as run_stage


@pytest.fixture(scope="session")
def proxy(control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """Give the API server by quick calls, as its administrator."""
    with proxied(control_plane.kubectl, tmp_path_factory.mktemp("proxy") / "log") as api:
        yield api


@pytest.fixture(scope="module")
def stage(
    control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[NodeStage]:
    """Run operator, agent and VPP, once for a module."""
    with run_stage(control_plane, tmp_path_factory.mktemp("stage")) as running:
        yield running


@pytest.fixture(scope="module")
def job(stage: NodeStage) -> Iterator[MainJob]:
    """Give a namespace with servers, once for a module, nothing applied yet."""
    with main_job(stage) as made:
        yield made


@pytest.fixture(scope="module")
def api(proxy: Api, job: MainJob) -> Iterator[Api]:
    """Give the API server by quick calls, in the job's namespace."""
    with proxy.within(job.kubectl.namespace) as api:
        yield api
