"""What tests of several modules need, once for a module where starting it is dear."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from cluster.api import Api, proxied
from cluster.control_plane import ControlPlane
from cluster.main_job import MainJob, main_job
from cluster.stage import NodeStage
from cluster.stage import stage as run_stage

if TYPE_CHECKING:  # else Playwright would be loaded for tests without a browser, too
    from playwright.sync_api import Browser

    from lab.dashboard_server import DashboardServer
    from lab.dashboard_window import OpenPage


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


@pytest.fixture(scope="module")
def browser() -> "Iterator[Browser]":
    """Run Chromium, once for a module."""
    from lab.dashboard_window import open_browser

    with open_browser() as running:
        yield running


@pytest.fixture
def dashboard() -> "Iterator[DashboardServer]":
    """Serve the dashboard, of four frontends and a node that tests make up."""
    from lab.dashboard_server import DashboardServer
    from lab.dashboard_window import VIPS, make_objects

    server = DashboardServer(*make_objects())
    server.vips = {"lb-1": VIPS}
    with server:
        yield server


@pytest.fixture
def shown(dashboard: "DashboardServer", browser: "Browser") -> "Iterator[OpenPage]":
    """Give a page that shows it."""
    from lab.dashboard_window import open_page

    with open_page(dashboard, browser) as page:
        yield page
