"""Two operators, of which one leads: hand-over in every way that one can end.

Real processes on a real API server, each behind a proxy that notes its requests, with an agent
and a VPP behind a tap. What a hand-over must not do: change VPP, change a state, write at all.
"""

import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from cluster.api_proxy import writes
from cluster.control_plane import ControlPlane
from cluster.main_job import INTERVAL, MainJob, main_job
from integration.pair import LEASE, OperatorPair, RunningOperator, measured_gap
from integration.pair import pair as run_pair
from lab.http_get import http_get
from lab.waiting import stays, wait_for

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


@contextmanager
def neutral(job: MainJob, successor: RunningOperator) -> Iterator[None]:
    """Make sure that the hand-over within changes nothing, and that the successor is at work."""
    before, mark, since = statuses(job), len(job.stage.tap.calls), time.monotonic()
    yield
    probes = {name: job.probes(name) for name in SERVING}
    wait_for(lambda: all(job.probes(n) > probes[n] + 3 for n in SERVING), "the successor probes")
    assert job.stage.tap.changes(mark) == []
    assert statuses(job) == before
    assert successor.written(since) == []


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
    with measured_gap(job, SERVING) as gap, neutral(job, standby):
        os.kill(leader.service.program.pid, signal.SIGTERM)
        took = wait_leads(standby)
        assert wait_exit(leader) == 0
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
    since, before = time.monotonic(), statuses(job)
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
    with leader.line.frozen():
        with measured_gap(job, SERVING) as gap, neutral(job, standby):
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
