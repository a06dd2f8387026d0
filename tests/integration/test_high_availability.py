"""Two operators, of which one leads: hand-over in every way that one can end.

Real processes on a real API server, each behind a proxy that notes its requests, with an agent
and a VPP behind a tap. What a hand-over must not do: change VPP, change a state, write at all.
"""

import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from cluster.api_proxy import ApiProxy, object_writes, writes
from cluster.control_plane import ControlPlane
from cluster.main_job import INTERVAL, MainJob, main_job
from cluster.stage import NodeStage, ServiceProcess, electing, stage
from lab.described_api import validate_events
from lab.event_reader import EventReader
from lab.http_get import http_get
from lab.waiting import stays, wait_for

LEASE = 3.0
"""Duration of the lease, in seconds."""


@dataclass(slots=True)
class RunningOperator:
    """An operator and its line."""

    name: str
    service: ServiceProcess
    line: ApiProxy

    @property
    def role(self) -> str:
        """What it says it is; empty while it says nothing."""
        status, said = http_get(f"{self.service.http}/readyz")
        return str(json.loads(said)["role"]) if status else ""

    @property
    def says_it_leads(self) -> bool:
        """Whether its metric `vpplb_leader` is 1."""
        return "\nvpplb_leader 1.0\n" in http_get(f"{self.service.http}/metrics")[1]

    def written(self, since: float) -> list[str]:
        """Return what it has written of the users' objects since then (`time.monotonic`)."""
        return [f"{one.method} {one.path}" for one in self.line.requests(object_writes, since)]


@dataclass(slots=True)
class OperatorPair:
    """Both operators."""

    stage: NodeStage
    lease: str
    both: tuple[RunningOperator, RunningOperator]

    def roles(self) -> tuple[RunningOperator, RunningOperator]:
        """Return who leads and who stands by, once that is so; who had ended is started first."""
        for one in self.both:
            if not one.service.program.alive:
                one.service.program.start()
                one.service.wait_ready()
        wait_for(lambda: {"leading", "standby"} == {one.role for one in self.both}, "two roles")
        first, second = self.both
        return (first, second) if first.role == "leading" else (second, first)


@contextmanager
def run_pair(plane: ControlPlane, directory: Path) -> Iterator[OperatorPair]:
    """Run both operators, an agent and a VPP."""
    with ExitStack() as stack:
        lines = [stack.enter_context(ApiProxy(plane.operator_kubeconfig, directory)) for _ in "12"]
        planes = [replace(plane, operator_kubeconfig=line.kubeconfig) for line in lines]
        lease = f"pair-{directory.name}"[:60]
        options = [electing(name, lease, f"{LEASE:g}s") for name in ("first", "second")]
        running = stack.enter_context(stage(planes[0], directory, election=options[0]))
        (directory / "second").mkdir()
        second = ServiceProcess("operator", lines[1].kubeconfig, directory / "second", *options[1])
        stack.callback(second.program.stop)
        yield OperatorPair(
            running,
            lease,
            (
                RunningOperator("first", running.operator, lines[0]),
                RunningOperator("second", second, lines[1]),
            ),
        )


@dataclass(slots=True)
class Gap:
    """The longest time, in seconds, in which some server was not probed."""

    longest: float = 0.0
    _last: dict[str, tuple[int, float]] = field(default_factory=dict)

    def look(self, counts: dict[str, int]) -> None:
        now = time.monotonic()
        for name, count in counts.items():
            before, since = self._last.get(name, (-1, now))
            self.longest = max(self.longest, now - since)
            if count != before:
                self._last[name] = (count, now)


@contextmanager
def measured_gap(job: MainJob, names: list[str]) -> Iterator[Gap]:
    """Measure how long these servers are not probed meanwhile, to some ten milliseconds."""
    gap, done = Gap(), threading.Event()

    def watch() -> None:
        while not done.wait(0.01):
            gap.look({name: job.probes(name) for name in names})

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield gap
    finally:
        done.set()
        thread.join()


pytestmark = [pytest.mark.slow, pytest.mark.control_plane]

SLACK = 1.5
"""Seconds that a busy machine may add to what is measured."""


@pytest.fixture(scope="module")
def pair(
    control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[OperatorPair]:
    with run_pair(control_plane, tmp_path_factory.mktemp("pair")) as running:
        yield running


@pytest.fixture(scope="module")
def job(pair: OperatorPair) -> Iterator[MainJob]:
    """Give a main job of which nginx2 is down, so that there is something to be held."""
    with main_job(pair.stage) as made:
        made.deploy()
        made.servers["nginx2"].stop()
        made.wait_weights({"nginx2": 0})
        made.wait_state("nginx2", "down")
        time.sleep(1)  # what the node says of it is written, and the last events
        yield made


SERVING = ["nginx0", "nginx1"]


def statuses(job: MainJob) -> dict[str, Any]:
    """Return the status and the events' reasons of all objects, by kind and name."""
    objects = [*job.kubectl.list("vfe"), *job.kubectl.list("vbe"), *job.kubectl.list("vhc")]
    shown = {f"{one['kind']}/{one['metadata']['name']}": one["status"] for one in objects}
    return shown | {"events": sorted(one["reason"] for one in job.kubectl.list("events"))}


def settled(job: MainJob) -> dict[str, Any]:
    """Return all statuses once nobody is about to write another.

    The node's own is the last: a successor decides anew, with a new order, what it contradicts.
    """

    def programmed() -> bool:
        shown = job.kubectl.get("vdp", job.stage.node)["status"]["programmed"]
        revision = job.kubectl.field("vfe", "web", ".status.dataplane.revision")
        return bool(shown.get(f"{job.kubectl.namespace}/web") == revision)

    def still() -> dict[str, Any]:
        before = statuses(job)
        time.sleep(1)
        return before if statuses(job) == before else {}

    wait_for(programmed, "the node has written what it has")
    return wait_for(still, "statuses are at rest")


@contextmanager
def neutral(job: MainJob, successor: RunningOperator) -> Iterator[None]:
    """Make sure that the hand-over within changes nothing, and that the successor is at work."""
    before, mark, since = settled(job), len(job.stage.tap.calls), time.monotonic()
    yield
    probes = {name: job.probes(name) for name in SERVING}
    wait_for(lambda: all(job.probes(n) > probes[n] + 3 for n in SERVING), "the successor probes")
    assert job.stage.tap.changes(mark) == []
    assert statuses(job) == before
    assert successor.written(since) == []


def told_leaders(reader: EventReader) -> set[str]:
    """Return whom events say to lead, by names without what a process adds."""
    told = [one.data["leader"] for one in reader.events if one.type == "operator"]
    return {name.partition("_")[0] for name in told}


def wait_leads(operator: RunningOperator) -> float:
    """Return how many seconds passed until it led."""
    start = time.monotonic()
    wait_for(lambda: operator.role == "leading", f"{operator.name} leads", every=0.02)
    return time.monotonic() - start


def wait_exit(operator: RunningOperator) -> int:
    """Return the exit code."""
    program = operator.service.program
    wait_for(lambda: not program.alive, f"{operator.name} has ended")
    return program.stop()


def test_one_leads_and_the_other_is_ready_and_shows_what_is_and_does_nothing(
    pair: OperatorPair, job: MainJob
) -> None:
    leader, standby = pair.roles()
    assert (leader.says_it_leads, standby.says_it_leads) == (True, False)
    since = time.monotonic()
    probes = {name: job.probes(name) for name in SERVING}
    time.sleep(10 * INTERVAL)  # real servers are probed in real time
    for name in SERVING:
        assert 5 <= job.probes(name) - probes[name] <= 12
    # It writes where agents find it, into the lease, and nothing else.
    assert {one.path.rpartition("/")[2] for one in standby.line.requests(writes)} <= {pair.lease}
    _, said = http_get(f"{standby.service.http}/api/v1/backends")
    states = {one["metadata"]["name"]: one["status"]["state"] for one in json.loads(said)["items"]}
    assert states == {"nginx0": "up", "nginx1": "up", "nginx2": "down"}
    renewals = [one.method for one in leader.line.requests(writes, since)]
    assert set(renewals) == {"PATCH"}
    assert leader.written(since) == []
    assert len(renewals) <= 10 * INTERVAL / (LEASE * 2 / 15) + 1


def test_sigterm_hands_over_within_a_second_and_changes_nothing(
    pair: OperatorPair, job: MainJob
) -> None:
    leader, standby = pair.roles()
    with (
        EventReader(f"{standby.service.http}/api/v1/events") as reader,
        measured_gap(job, SERVING) as gap,
        neutral(job, standby),
    ):
        os.kill(leader.service.program.pid, signal.SIGTERM)
        took = wait_leads(standby)
        assert wait_exit(leader) == 0
        wait_for(lambda: standby.name in told_leaders(reader), "whoever follows events is told")
    validate_events(standby.service.http, reader.events)
    assert took <= 1.0 + SLACK
    assert gap.longest <= 1.0 + INTERVAL + SLACK
    print(f"SIGTERM: led after {took:.2f} s, longest gap in probing {gap.longest:.2f} s")  # noqa: T201 (measured)


def test_a_crash_hands_over_within_the_lease_and_changes_nothing(
    pair: OperatorPair, job: MainJob
) -> None:
    leader, standby = pair.roles()
    with measured_gap(job, SERVING) as gap, neutral(job, standby):
        leader.service.program.kill()
        took = wait_leads(standby)
    assert took <= LEASE + SLACK
    assert gap.longest <= LEASE + SLACK
    print(f"crash: led after {took:.2f} s, longest gap in probing {gap.longest:.2f} s")  # noqa: T201 (measured)


def test_a_leader_that_was_stopped_and_goes_on_later_writes_nothing_and_ends(
    pair: OperatorPair, job: MainJob
) -> None:
    leader, standby = pair.roles()
    with neutral(job, standby):
        os.kill(leader.service.program.pid, signal.SIGSTOP)
        wait_leads(standby)
    # Something that it would write, were it to believe that it still leads.
    job.kubectl.patch("vbe", "nginx0", {"spec": {"paused": True}})
    job.wait_state("nginx0", "paused")
    job.wait_weights({"nginx0": 0})
    before, since = settled(job), time.monotonic()
    os.kill(leader.service.program.pid, signal.SIGCONT)
    assert wait_exit(leader) == 1
    assert f"the lease is held by {standby.name}" in leader.service.program.tail()
    assert leader.written(since) == []
    assert statuses(job) == before
    job.kubectl.patch("vbe", "nginx0", {"spec": {"paused": False}})
    job.wait_weights({"nginx0": 100})
    job.wait_state("nginx0", "up")


def test_a_leader_that_is_cut_off_stops_writing_before_the_other_begins_and_ends_on_return(
    pair: OperatorPair, job: MainJob
) -> None:
    leader, standby = pair.roles()
    with ExitStack() as cut_off:
        with measured_gap(job, SERVING) as gap, neutral(job, standby):
            cut_off.enter_context(leader.line.frozen())
            wait_for(lambda: leader.role == "suspended", "writes are held back")
            assert standby.role == "standby"
            assert not leader.says_it_leads
            assert http_get(f"{leader.service.http}/readyz")[0] == 503
            wait_leads(standby)
        assert gap.longest <= 1.0 + SLACK  # both probe, since neither can know of the other
        job.servers["nginx1"].stop()
        job.wait_weights({"nginx1": 0})
        since = time.monotonic()
    assert wait_exit(leader) == 1
    assert leader.written(since) == []
    job.servers["nginx1"].start()
    job.wait_weights({"nginx1": 100})
    job.wait_state("nginx1", "up")


def test_a_deleted_lease_is_made_anew_and_nobody_else_leads(
    pair: OperatorPair, job: MainJob
) -> None:
    leader, standby = pair.roles()
    leases = job.kubectl.within("kube-system")

    def holder() -> str:
        held = {one["metadata"]["name"]: one["spec"] for one in leases.list("lease")}
        return str(held.get(pair.lease, {}).get("holderIdentity", ""))

    with neutral(job, leader):
        leases("delete", "lease", pair.lease)
        wait_for(lambda: holder().startswith(f"{leader.name}_"), "the lease is there again")
        stays(lambda: (leader.role, standby.role), "roles", seconds=LEASE / 2)


def test_a_single_operator_rides_out_a_server_that_is_away_for_long(
    pair: OperatorPair, job: MainJob
) -> None:
    leader, standby = pair.roles()
    standby.service.program.stop()
    with leader.line.away():
        wait_for(lambda: leader.role == "suspended", "writes are held back")
        job.servers["nginx1"].stop()
        with measured_gap(job, ["nginx0"]) as gap:
            time.sleep(LEASE)
        assert gap.longest <= INTERVAL + SLACK
        job.wait_weights({"nginx1": 0})  # by the direct road
        assert job.kubectl.field("vbe", "nginx1", ".status.state") == "up"
    start = time.monotonic()
    wait_for(
        lambda: job.kubectl.field("vbe", "nginx1", ".status.state") == "down", "it is shown too"
    )
    print(f"back: converged after {time.monotonic() - start:.2f} s")  # noqa: T201 (measured)
    assert leader.role == "leading"
    assert leader.service.program.alive
    job.servers["nginx1"].start()
    job.wait_weights({"nginx1": 100})
