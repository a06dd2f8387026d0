"""An operator that stands by while another works, and then goes on where that one ended."""

import asyncio

import pytest

from data.manifests import backend, frontend, health_check, manifest
from data.objects import key
from fakes.api_http import served
from fakes.api_server import FakeApiServer
from in_memory.operator import LocalOperator
from lab.scrape import scrape_metrics
from vpplb.controller.app import Operator, OperatorOptions
from vpplb.kube.client import KubeClient
from vpplb.model.health import HealthState
from vpplb.model.names import OWN_KINDS, ObjectKind

pytestmark = pytest.mark.looptime

TWO = [{"name": "main", "backends": [{"name": "a"}, {"name": "b"}]}]


def look(standby: LocalOperator) -> None:
    """Let an operator see everything as it is on the server now."""
    order = list(OWN_KINDS)
    for kind, name in sorted(standby.server.objects, key=lambda at: order.index(at[0])):
        standby.see(kind, name)


async def lead_and_follow() -> tuple[LocalOperator, LocalOperator]:
    """Return a leader that has written something, and a standby that saw it before and after."""
    leader = LocalOperator()
    leader.reconciler.set_synced(1)
    standby = LocalOperator(leader.server)
    check = {"healthCheckRef": {"name": "check"}}
    leader.apply(
        health_check(),
        backend("a", "192.0.2.1", **check),
        backend("b", "192.0.2.2", **check),
        frontend(pools=TWO),
    )
    look(standby)
    await leader.settle()
    leader.verdict("a", up=True)
    leader.verdict("b", up=True)
    await leader.settle()
    look(standby)
    return leader, standby


async def take_over(leader: LocalOperator, standby: LocalOperator) -> None:
    await leader.stop()
    look(standby)
    leader.events()
    standby.server.requests.clear()
    standby.clock.time = leader.clock.time
    standby.reconciler.set_synced(1)
    await standby.settle()


async def test_an_hour_in_which_nothing_happens_costs_no_write() -> None:
    leader, standby = await lead_and_follow()
    leader.events()
    leader.server.requests.clear()
    for _ in range(6):
        await asyncio.sleep(600)
        leader.clock.advance(600)
        look(leader)  # everything is listed again
        leader.reconciler.request_run()
    await leader.settle()
    assert leader.server.requests == []
    assert leader.events() == []
    await leader.stop()
    await standby.stop()


async def test_a_standby_writes_and_probes_nothing() -> None:
    leader, standby = await lead_and_follow()
    leader.server.requests.clear()
    leader.events()
    standby.apply(
        manifest("Dataplane", "n1", {}) | {"status": {"programmed": {"default/web": "r"}}}
    )
    standby.delete(ObjectKind.DATAPLANE, "n1")
    await standby.settle()
    assert standby.server.requests == []
    assert standby.events() == []
    assert standby.prober.started == []
    await leader.stop()
    await standby.stop()


async def test_the_next_leader_goes_on_from_the_newest_status_and_writes_nothing() -> None:
    leader, standby = await lead_and_follow()
    leader.verdict("b", up=False)
    await leader.settle()
    before = {
        kind: leader.status(kind, name)
        for kind, name in ((ObjectKind.BACKEND, "b"), (ObjectKind.FRONTEND, "web"))
    }
    await take_over(leader, standby)
    assert standby.server.requests == []
    assert standby.events() == []
    assert before == {
        ObjectKind.BACKEND: standby.status(ObjectKind.BACKEND, "b"),
        ObjectKind.FRONTEND: standby.status(ObjectKind.FRONTEND),
    }
    resumed = {one.backend.name: one.resume_up for one in standby.prober.started}
    assert resumed == {"a": True, "b": False}
    await standby.stop()


async def test_what_a_user_changed_in_the_last_moment_is_decided_by_the_next_leader() -> None:
    leader, standby = await lead_and_follow()
    leader.store(backend("a", "192.0.2.1", healthCheckRef={"name": "check"}, paused=True))
    await take_over(leader, standby)
    assert standby.status(ObjectKind.BACKEND, "a")["state"] == "paused"
    assert [reason for _, reason, _ in standby.events()] == ["BackendPaused"]
    await standby.stop()


async def test_what_was_announced_by_the_last_leader_is_not_announced_again() -> None:
    leader, standby = await lead_and_follow()
    for name in ("a", "b"):
        leader.verdict(name, up=False)
    await leader.settle()
    assert ("Warning", "FrontendDown", "no backend can serve") in leader.events()
    await take_over(leader, standby)
    assert standby.events() == []
    for name in ("a", "b"):
        standby.verdict(name, up=True)
    await standby.settle()
    assert "FrontendUp" in [reason for _, reason, _ in standby.events()]
    await standby.stop()


async def test_the_echo_of_an_older_write_changes_nothing_once_something_is_decided() -> None:
    leader, standby = await lead_and_follow()
    await standby.stop()
    old = dict(leader.server.objects[ObjectKind.BACKEND, key("a")])
    leader.verdict("a", up=False)
    leader.cache.apply_event(ObjectKind.BACKEND, "MODIFIED", old)
    await leader.settle()
    assert leader.status(ObjectKind.BACKEND, "a")["state"] == "down"
    leader.reconciler.close()
    leader.cache.apply_event(
        ObjectKind.BACKEND, "MODIFIED", old
    )  # while it writes what is still due
    assert leader.reconciler.get_health(key("a")).state is HealthState.DOWN
    await leader.stop()


async def test_a_standby_shows_what_the_leader_has_written_and_counts_nothing_as_its_own() -> None:
    leader, standby = await lead_and_follow()
    leader.verdict("b", up=False)
    await leader.settle()
    events = standby.stream.last_id
    look(standby)
    assert standby.shown(ObjectKind.BACKEND, "b") == leader.status(ObjectKind.BACKEND, "b")
    assert standby.shown(ObjectKind.FRONTEND, "web") == leader.status(ObjectKind.FRONTEND)
    assert standby.stream.last_id != events
    assert not any(line.startswith("vpplb_backend_state{") for line in metrics(standby))
    assert any(line.startswith("vpplb_backend_state{") for line in metrics(leader))
    await leader.stop()
    await standby.stop()


def metrics(operator: LocalOperator) -> list[str]:
    return scrape_metrics(operator.registry).splitlines()


@pytest.mark.looptime(False)  # it listens
async def test_nodes_whose_agents_tell_the_namespace_of_the_release_alone_are_its_own() -> None:
    options = OperatorOptions(identity="op", lease_namespace="lb", release="lb/vpplb")
    async with served(FakeApiServer()) as access:
        nodes = Operator(options, KubeClient(access))._core.nodes
    for name, release in (("bare", "lb"), ("named", "lb/vpplb"), ("other", "edge")):
        told = {"annotations": {"vpplb.dev/release": release}}
        nodes.put_node(name, manifest("Dataplane", name, {}) | {"metadata": told})
    assert nodes.list_agents().keys() == {"bare", "named"}
