"""The stage of the end-to-end tests: programs started once, a main job a test."""

import os
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from cluster.binaries import Missing
from cluster.control_plane import ControlPlane
from cluster.main_job import MainJob, main_job
from cluster.stage import NodeStage
from cluster.stage import stage as run_stage
from cluster.three_nodes import Cluster
from cluster.three_nodes import cluster as run_cluster

# The same tests on a real VPP have an id of their own, so that a report says which it was.
_VPP = "real-vpp" if os.environ.get("VPPLB_TEST_VPP") else "simulator"


_FAILED = pytest.StashKey[str]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Remember in a test's module which of its tests failed first."""
    report = yield
    module = item.getparent(pytest.Module)
    if module is not None and report.failed:
        module.stash.setdefault(_FAILED, item.name)
    return report


@pytest.fixture
def in_order(request: pytest.FixtureRequest) -> None:
    """Fail at once when an earlier test of a module, whose tests build on each other, failed."""
    module = request.node.getparent(pytest.Module)
    if first := module.stash.get(_FAILED, None):
        pytest.fail(f"not tried, since {first} failed")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """Give a real cluster of three nodes, with nothing of ours on it."""
    try:
        with run_cluster() as running:
            yield running
    except Missing as missing:  # as for the control plane: CI takes a skip for a failure
        pytest.skip(f"no cluster: {missing}")


@pytest.fixture(scope="session")
def image_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder for the image of this tree, which is made once."""
    return tmp_path_factory.mktemp("image")


@pytest.fixture(scope="module", params=[_VPP])
def stage(
    control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[NodeStage]:
    """Run operator, agent and VPP, once for a module."""
    with run_stage(control_plane, tmp_path_factory.mktemp("stage")) as running:
        yield running


@pytest.fixture
def job(stage: NodeStage) -> Iterator[MainJob]:
    """Give a frontend's worth of resources and servers, nothing applied yet."""
    with main_job(stage) as made:
        yield made
