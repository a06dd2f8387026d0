"""What all tests share: the control plane, the cluster, and that nothing is skipped silently."""

import asyncio
import gc
import os
import signal
from collections import defaultdict
from collections.abc import Generator, Iterator
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings
from looptime._internal import loops as looptime_loops
from looptime._internal import plugin as looptime_plugin

from data.examples import QUICK, WHOLE
from vpplb.cli.collector import tune_collector

if TYPE_CHECKING:  # else each process of a run without a cluster would import all that it takes
    from cluster.control_plane import ControlPlane
    from cluster.kubectl import Kubectl

IN_CI = os.environ.get("CI", "").lower() not in ("", "0", "false")


def pytest_configure(config: pytest.Config) -> None:
    """Say that there is no event loop (looptime asks in every test, which would make one)."""
    # A shell lets what it runs in the background ignore Ctrl-C, and so would programs of the tests.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    # Servers of tests are on this machine; what refuses them without the flag sees to that itself.
    os.environ["VPPLB_ALLOW_LOOPBACK"] = "true"
    asyncio.get_event_loop_policy().set_event_loop(None)
    tune_collector()
    settings.register_profile("whole", WHOLE)
    settings.register_profile("quick", QUICK)
    settings.load_profile(config.getoption("--hypothesis-profile") or "whole")
    # To tell which fixtures make event loops, looptime looks through all of pytest-asyncio at
    # each fixture of each test, for longer than most tests take. No test has a loop of its own.
    looptime_plugin._should_patch = _is_of_asyncio
    # In each step of a loop looptime goes through what its threads do. Of a weak set that takes
    # half of the step, also when nothing is in it.
    vars(looptime_loops)["weakref"] = SimpleNamespace(WeakSet=_FuturesOfThreads)


class _FuturesOfThreads(set[asyncio.Future[Any]]):
    """What a loop's threads have not done yet."""

    def add(self, future: asyncio.Future[Any]) -> None:
        super().add(future)
        future.add_done_callback(self.discard)


def _is_of_asyncio(fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest) -> bool:
    return fixturedef.func.__module__ == "pytest_asyncio.plugin"


def pytest_itemcollected(item: pytest.Item) -> None:
    """Let loop time leap after two looks at the sockets in which nothing came, not after 43.

    What is sent within one thread is there at the first look.
    """
    if item.get_closest_marker("looptime"):
        item.add_marker(pytest.mark.looptime(noop_cycles=1))


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Keep what is collected out of the search for garbage: it all stays until the end."""
    gc.disable()
    collected = yield
    gc.freeze()
    gc.enable()
    return collected


REAL_CLOCK = ("integration", "e2e")
"""Folders of tests that wait for programs: on a busy machine one of them may wait too short."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what only a real VPP can run, unless one is given; in CI, allow a second try."""
    if IN_CI:
        tests = config.rootpath / "tests"
        folders = tuple(tests / folder for folder in REAL_CLOCK)
        for item in items:
            is_slow = any(item.path.is_relative_to(folder) for folder in folders)
            # What builds on a test before it does not find that as it was.
            if is_slow and "in_order" not in getattr(item, "fixturenames", ()):
                item.add_marker(pytest.mark.flaky(reruns=1))
    if os.environ.get("VPPLB_TEST_VPP"):
        return
    chosen = [item for item in items if "real_vpp" not in item.keywords]
    if left_out := [item for item in items if "real_vpp" in item.keywords]:
        config.hook.pytest_deselected(items=left_out)
        items[:] = chosen


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn a skip into a failure where CI=true: there, everything has to run."""
    report = yield
    if IN_CI and report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid}: with CI=true nothing may be skipped: {reason}"
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say last what passed only at the second try, what could not be run here, and why."""
    if again := terminalreporter.stats.get("rerun", []):
        terminalreporter.section("SECOND TRY", sep="-", yellow=True)
        for report in again:
            terminalreporter.line(f"{report.nodeid} failed at first:", yellow=True)
            terminalreporter.line(report.longreprtext)
    reasons: dict[str, int] = defaultdict(int)
    for report in terminalreporter.stats.get("skipped", []):
        if isinstance(report.longrepr, tuple):
            reasons[report.longrepr[2].removeprefix("Skipped: ")] += 1
    if left_out := len(terminalreporter.stats.get("deselected", [])):
        reasons["without VPPLB_TEST_VPP=/path/to/vpp, or by the options -k and -m"] += left_out
    if reasons:
        terminalreporter.section("NOT RUN", sep="-", yellow=True)
        for reason, count in sorted(reasons.items()):
            terminalreporter.line(f"{count} not run: {reason}")


@pytest.fixture(scope="session")
def control_plane(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> "Iterator[ControlPlane]":
    """Give a real API server with CRDs and roles, one for the whole run."""
    from cluster.binaries import Missing
    from cluster.control_plane import control_plane as run_control_plane

    capture = request.config.pluginmanager.getplugin("capturemanager")

    def say(text: str) -> None:
        with capture.global_and_fixture_disabled():
            print(f"\n{text}", flush=True)  # noqa: T201 (told while it takes long)

    try:
        with run_control_plane(tmp_path_factory.mktemp("control-plane"), say) as plane:
            yield plane
    except Missing as missing:  # said as "not run" at the end, and a failure where CI is set
        pytest.skip(f"no control plane: {missing}")


@pytest.fixture
def namespace(control_plane: "ControlPlane") -> "Iterator[Kubectl]":
    """Give kubectl, as administrator, in a namespace that is this test's alone."""
    from cluster.control_plane import fresh_namespace

    with fresh_namespace(control_plane) as kubectl:
        yield kubectl
