import asyncio
import copy
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest

from data.manifests import backend, frontend, health_check, manifest
from data.objects import key
from fakes.agent_connection import FakeAgentConnection
from fakes.api_server import FakeApiServer
from in_memory.operator import LocalOperator
from in_memory.status_writer import running, see
from lab.scrape import scrape_metrics
from vpplb.controller.direct_publisher import ElectionState
from vpplb.controller.event_reports import LASTING
from vpplb.controller.status_reports import FAILED, REPORTED
from vpplb.direct.messages import ProgrammedReport
from vpplb.kube.api_types import ApiUnreachable
from vpplb.kube.leases.leader_rules import LeaderRole
from vpplb.kube.status_writer import StatusWriter, WritePriority
from vpplb.model.decision_order import DecisionOrder
from vpplb.model.health import ProbeResponse
from vpplb.model.names import ObjectKey, ObjectKind
from vpplb.reconcile.ports import ResponseChange
from vpplb.resources.dataplane_codec import load_dataplane, load_order
from vpplb.resources.statuses import frontend_dataplane

pytestmark = pytest.mark.looptime


async def test_frontends_are_written_before_the_backends_that_made_them_change(
    operator: LocalOperator,
) -> None:
    operator.apply(health_check(), backend(healthCheckRef={"name": "check"}), frontend())
    await operator.settle()
    operator.server.requests.clear()
    operator.verdict("a", up=True)
    await operator.settle()
    assert [name.name for _, name, _ in operator.server.requests if name.name] == ["web", "a"]


@pytest.mark.parametrize(
    ("verdicts", "state", "urgency"),
    [
        ({"a": True, "b": True}, "up", WritePriority.FRONTEND),
        ({"a": True, "b": False}, "up", WritePriority.FRONTEND_DOWN),
        ({"a": False, "b": True}, "up", WritePriority.FRONTEND_DOWN),
        ({"a": False, "b": False}, "down", WritePriority.FRONTEND_DOWN),
        ({}, "unknown", WritePriority.FRONTEND_DOWN),
    ],
)
async def test_a_frontend_that_has_anything_down_goes_before_one_that_has_not(
    operator: LocalOperator,
    monkeypatch: pytest.MonkeyPatch,
    verdicts: dict[str, bool],
    state: str,
    urgency: WritePriority,
) -> None:
    urgencies = urgencies_of_frontends(monkeypatch)
    check = {"healthCheckRef": {"name": "check"}}
    pools = [{"name": "main", "backends": [{"name": "a"}, {"name": "b"}]}]
    operator.apply(health_check(), *(backend(name, "10.0.0.1", **check) for name in "ab"))
    operator.apply(frontend(pools=pools))
    operator.carry("web")
    await operator.settle()
    for name, up in verdicts.items():
        operator.verdict(name, up=up)
    await operator.settle()
    assert operator.status(ObjectKind.FRONTEND)["state"] == state
    assert urgencies[-1] == urgency


async def test_a_frontend_of_which_nothing_is_decided_goes_first(
    operator: LocalOperator, monkeypatch: pytest.MonkeyPatch
) -> None:
    urgencies = urgencies_of_frontends(monkeypatch)
    operator.apply(frontend(port=99999))
    await operator.settle()
    assert operator.reconciler.views == {}
    assert urgencies == [WritePriority.FRONTEND_DOWN]


async def test_what_nodes_have_programmed_is_shown_before_the_backends_that_are_due(
    operator: LocalOperator,
) -> None:
    check, names = {"healthCheckRef": {"name": "check"}}, [f"b{n:03}" for n in range(200)]
    operator.apply(health_check(), *(backend(name, "10.0.0.1", **check) for name in names))
    operator.apply(frontend(pools=[{"name": "main", "backends": [{"name": names[0]}]}]))
    operator.apply(frontend("all", address="198.51.100.2", pools=of_all(names)))
    await operator.settle()
    operator.server.latency = 0.1
    for name in names:
        operator.verdict(name, up=True)
    await asyncio.sleep(0.35)
    dataplane = operator.status(ObjectKind.FRONTEND)["dataplane"]
    assert isinstance(dataplane, dict)
    connected = [{"type": "Connected", "status": "True", "reason": "Connected"}]
    status = {"conditions": connected, "programmed": {"default/web": dataplane["revision"]}}
    operator.apply(manifest("Dataplane", "n1", {}) | {"status": status})
    asked = len(operator.server.requests)
    await asyncio.sleep(0.2)
    assert operator.condition(ObjectKind.FRONTEND, "web", "Programmed")[0] == "True"
    assert len(operator.server.requests) - asked < 20
    assert operator.status(ObjectKind.BACKEND, names[-1])["state"] == "unknown"


def of_all(names: list[str]) -> list[dict[str, object]]:
    """Return one pool of these backends."""
    return [{"name": "main", "backends": [{"name": name} for name in names]}]


def urgencies_of_frontends(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return the priorities by which frontends are submitted, of which there will be more."""
    urgencies: list[int] = []
    submit = StatusWriter.submit_status

    def noted(
        self: StatusWriter,
        kind: ObjectKind,
        key: ObjectKey,
        render: Any,
        priority: int,
        **since: Any,
    ) -> None:
        if kind == ObjectKind.FRONTEND:
            urgencies.append(priority)
        submit(self, kind, key, render, priority, **since)

    monkeypatch.setattr(StatusWriter, "submit_status", noted)
    return urgencies


async def test_what_was_deleted_meanwhile_is_neither_written_nor_announced(
    operator: LocalOperator,
) -> None:
    operator.apply(backend(), frontend())
    operator.delete(ObjectKind.BACKEND, "a")
    operator.delete(ObjectKind.FRONTEND, "web")
    await operator.settle()
    assert operator.server.requests == []


async def test_a_frontend_that_is_made_anew_is_announced_anew(operator: LocalOperator) -> None:
    operator.apply(backend(), frontend())
    await operator.settle()
    operator.delete(ObjectKind.FRONTEND, "web")
    await operator.settle()
    operator.events()
    operator.apply(frontend())
    await operator.settle()
    assert [reason for _, reason, _ in operator.events()] == ["FrontendUp", "BackendUp"]


async def test_events_name_the_object_by_its_uid(operator: LocalOperator) -> None:
    operator.apply(backend(), frontend())
    await operator.settle()
    regarding = {event["reason"]: event["regarding"] for event in operator.server.events}
    assert regarding["FrontendUp"] == {
        "apiVersion": "vpplb.dev/v1alpha1",
        "kind": "Frontend",
        "namespace": "default",
        "name": "web",
        "uid": "uid-web",
    }


async def test_objects_applied_in_any_order_announce_no_reference_to_nothing(
    operator: LocalOperator,
) -> None:
    operator.apply(frontend())
    await operator.settle()
    operator.apply(backend(healthCheckRef={"name": "check"}))
    await operator.settle()
    operator.apply(health_check())
    await operator.settle()
    assert operator.events() == []


async def test_references_to_nothing_that_last_are_announced_once_over_restarts(
    operator: LocalOperator,
) -> None:
    operator.apply(frontend(), backend("b", healthCheckRef={"name": "check"}))
    await asyncio.sleep(2 * LASTING)
    await operator.settle()
    assert {(kind, reason) for kind, reason, _ in operator.events()} == {
        ("Warning", "BackendNotFound"),
        ("Warning", "HealthCheckNotFound"),
    }
    again = await operator.restarted()
    await asyncio.sleep(2 * LASTING)
    await again.settle()
    assert again.events() == []
    await again.stop()


async def test_a_node_concerns_only_frontends_that_are_there(operator: LocalOperator) -> None:
    status = {"programmed": {"default/gone": "r1"}}
    operator.apply(manifest("Dataplane", "n1", {}))
    operator.apply(manifest("Dataplane", "n1", {}) | {"status": status})
    await operator.settle()
    assert operator.server.requests == []
    assert key("gone") not in operator.reconciler.views


async def test_a_suspicion_is_one_event_on_the_first_frontend_and_a_metric(
    operator: LocalOperator,
) -> None:
    names = "abcdefghijkl"
    check = {"healthCheckRef": {"name": "check"}}
    pools = [{"name": "main", "backends": [{"name": name} for name in names]}]
    operator.apply(health_check(), *(backend(n, f"10.0.0.{ord(n)}", **check) for n in names))
    operator.apply(frontend("web", pools=pools), frontend("api", port=443, pools=pools))
    await operator.settle()
    for name in names:
        operator.verdict(name, up=True)
    await operator.settle()
    operator.events()
    for one in operator.prober.running.values():
        operator.reconciler.on_response_change(
            ResponseChange(one.backend, one.generation, ProbeResponse.SILENT)
        )
    await operator.settle()
    [(event_type, reason, note)] = operator.events()
    assert (event_type, reason) == ("Warning", "ProberSuspect")
    assert note == (
        "12 of 12 backends that were up fell silent at once: the prober itself is suspected,"
        " the weights of 2 frontends stay as they were"
    )
    assert "vpplb_prober_suspect 1.0" in scrape_metrics(operator.registry)
    degraded = {n: operator.condition(ObjectKind.FRONTEND, n, "Degraded") for n in ("api", "web")}
    assert set(degraded.values()) == {("True", "ProberSuspect")}

    for one in operator.prober.running.values():
        operator.reconciler.on_response_change(
            ResponseChange(one.backend, one.generation, ProbeResponse.PASSED)
        )
    await operator.settle()
    assert operator.events() == []
    assert "vpplb_prober_suspect 0.0" in scrape_metrics(operator.registry)
    assert operator.condition(ObjectKind.FRONTEND, "web", "Degraded") == ("False", "NotDegraded")


# --- what waits, and what does not ----------------------------------------------------------------

NODES = ("n1", "n2", "n3")
"""The nodes whose agents are connected where all are."""
HUNDRED = (*NODES, *(f"n{number:03}" for number in range(97)))


@asynccontextmanager
async def operator_of(
    frontends: int, *, reached: bool, writes_per_second: float = 0.0
) -> AsyncIterator[LocalOperator]:
    """Give an operator of so many frontends with two backends each, all up and all written.

    `reached`: all nodes hear directly of what is decided.
    """
    operator = LocalOperator(writes_per_second=writes_per_second)
    operator.reconciler.set_synced(1)
    if reached:
        operator.core.publisher.set_election(ElectionState(role=LeaderRole.LEADING))
        for node in NODES:
            operator.apply(manifest("Dataplane", node, {}))
            publisher = operator.core.publisher
            publisher.on_connect(FakeAgentConnection(node, publisher))
    operator.apply(health_check())
    for n in range(frontends):
        names = [f"{n}-a", f"{n}-b"]
        check = {"healthCheckRef": {"name": "check"}}
        operator.apply(
            *(backend(name, f"10.0.{n}.{1 + name.endswith('b')}", **check) for name in names)
        )
        operator.apply(frontend(f"web{n}", address=f"198.51.100.{n}", pools=of_all(names)))
    await operator.settle()
    for n in range(frontends):
        for which in "ab":
            operator.verdict(f"{n}-{which}", up=True)
    while operator.pending:
        await operator.settle()
    await asyncio.sleep(10)
    operator.server.requests.clear()
    operator.server.times.clear()
    yield operator
    await operator.stop()


def count_writes(operator: LocalOperator, name: str) -> int:
    return [at.name for _, at, _ in operator.server.requests].count(name)


def programmed(operator: LocalOperator, node: str, frontend: str) -> None:
    """Let a node say that it has the newest of a frontend, which the operator may have to write."""
    view = operator.reconciler.views[key(frontend)]
    dataplane = frontend_dataplane(view)
    assert dataplane is not None
    connected = [{"type": "Connected", "status": "True", "reason": "Connected"}]
    has = {f"default/{frontend}": dataplane["revision"]}
    status = {"conditions": connected, "programmed": has}
    operator.apply(manifest("Dataplane", node, {}) | {"status": status})


async def test_a_frontend_that_an_agent_waits_for_is_written_at_once_and_its_backend_soon() -> None:
    async with operator_of(1, reached=False) as operator:
        operator.verdict("0-a", up=False)
        await asyncio.sleep(0.01)
        assert count_writes(operator, "web0") == 1
        assert count_writes(operator, "0-a") == 0
        await asyncio.sleep(FAILED)
        assert operator.status(ObjectKind.BACKEND, "0-a")["state"] == "down"


async def test_a_frontend_that_all_nodes_have_heard_of_is_written_once_with_what_they_have() -> (
    None
):
    async with operator_of(1, reached=True) as operator:
        for node in ("n1", "n2", "n3"):
            programmed(operator, node, "web0")
        await asyncio.sleep(10)
        operator.server.requests.clear()
        operator.verdict("0-a", up=False)
        await asyncio.sleep(0.005)
        for node in ("n1", "n2", "n3"):
            programmed(operator, node, "web0")
            await asyncio.sleep(0.005)
        assert count_writes(operator, "web0") == 0
        await asyncio.sleep(REPORTED)
        assert operator.condition(ObjectKind.FRONTEND, "web0", "Programmed")[0] == "True"
        assert operator.status(ObjectKind.FRONTEND, "web0")["ready"] == "1/2"
        await asyncio.sleep(5)
        assert count_writes(operator, "web0") == 1


@pytest.mark.parametrize("reached", [True, False])
async def test_many_reports_of_a_frontend_are_few_writes_and_right_soon_after_the_last(
    reached: bool,
) -> None:
    async with operator_of(1, reached=reached) as operator:
        for node in HUNDRED:
            operator.apply(manifest("Dataplane", node, {}))
        await asyncio.sleep(10)
        operator.server.requests.clear()
        for node in HUNDRED:
            programmed(operator, node, "web0")
            await asyncio.sleep(0.0004)
        await asyncio.sleep(0.04)
        assert operator.condition(ObjectKind.FRONTEND, "web0", "Programmed")[0] == "True"
        assert count_writes(operator, "web0") <= 3


async def test_what_the_last_of_many_nodes_says_is_shown_in_fifty_milliseconds() -> None:
    """Whatever the others have said before, and also where the frontend changes each second."""
    async with operator_of(1, reached=True) as operator:
        agents = {}
        for node in HUNDRED:
            operator.apply(manifest("Dataplane", node, {}))
            agents[node] = FakeAgentConnection(node, operator.core.publisher)
            operator.core.publisher.on_connect(agents[node])
            report(operator, agents[node], whole=True)
        await asyncio.sleep(10)
        for turn in range(8):
            operator.server.requests.clear()
            operator.verdict("0-a", up=bool(turn % 2))
            for node in HUNDRED:
                await asyncio.sleep(0.0016)
                report(operator, agents[node])
            await asyncio.sleep(0.04)
            assert operator.condition(ObjectKind.FRONTEND, "web0", "Programmed")[0] == "True"
            counts = operator.status(ObjectKind.FRONTEND, "web0")["nodes"]
            assert isinstance(counts, dict)
            assert counts["summary"] == "100/100"
            await asyncio.sleep(0.8)
            assert count_writes(operator, "web0") <= 2, "what is decided, and that all have it"


def report(
    operator: LocalOperator, connection: FakeAgentConnection, *, whole: bool = False
) -> None:
    """Let a node say directly that it has the newest of the frontend."""
    dataplane = frontend_dataplane(operator.reconciler.views[key("web0")])
    assert dataplane is not None
    has = {key("web0"): str(dataplane["revision"])}
    operator.core.publisher.on_message(connection, ProgrammedReport(whole=whole, programmed=has))


@pytest.mark.parametrize(("reached", "most"), [(True, 13), (False, 100)])
async def test_a_flapping_backend_costs_a_write_a_second_unless_an_agent_waits_for_it(
    reached: bool, most: int
) -> None:
    async with operator_of(1, reached=reached) as operator:
        programmed(operator, "n1", "web0")
        for number in range(100):
            operator.verdict("0-a", up=bool(number % 2))
            await asyncio.sleep(0.005)
            programmed(operator, "n1", "web0")
            await asyncio.sleep(0.095)
        await asyncio.sleep(2)
        assert 10 <= count_writes(operator, "0-a") <= 13
        assert most - 3 <= count_writes(operator, "web0") <= most + 3
        assert operator.status(ObjectKind.FRONTEND, "web0")["ready"] == "2/2"


async def test_a_mass_failure_costs_a_bounded_number_of_writes_a_second() -> None:
    rate = 10.0
    async with operator_of(40, reached=True, writes_per_second=rate) as operator:
        began = asyncio.get_running_loop().time()
        for n in range(40):
            operator.verdict(f"{n}-a", up=False)
        await asyncio.sleep(30)
        made = zip(operator.server.times, operator.server.requests, strict=True)
        times = [at - began for at, (verb, *_) in made if verb == "replace_status"]
        assert len(times) == 80, "each once"
        assert all(n <= rate + rate * (at + 0.1) for n, at in enumerate(times, 1))
        assert times[-1] == pytest.approx((80 - rate) / rate, abs=1)


# --- a status is a level: compared whenever it is seen, whoever wrote it ----------------------

THE_THREE = [
    (ObjectKind.FRONTEND, "web"),
    (ObjectKind.BACKEND, "a"),
    (ObjectKind.HEALTH_CHECK, "check"),
]


async def serving(operator: LocalOperator) -> None:
    operator.apply(health_check(), backend(healthCheckRef={"name": "check"}), frontend())
    await operator.settle()
    operator.verdict("a", up=True)
    await operator.settle()
    operator.server.requests.clear()


def overwrite(
    operator: LocalOperator, kind: ObjectKind, name: str, status: Mapping[str, object]
) -> None:
    """Write a status as a restore tool does, and let the operator see it."""
    before = operator.server.objects[kind, key(name)]
    operator.server.store(kind, key(name), {**before, "status": dict(status)})
    operator.see(kind, key(name))


def old_status(kind: ObjectKind, status: Mapping[str, object]) -> dict[str, object]:
    """Return a status of an outage."""
    old: dict[str, Any] = copy.deepcopy(dict(status))
    if kind == ObjectKind.FRONTEND:
        old["state"] = "down"
        old["dataplane"]["servers"][0]["weight"] = 0
        old["dataplane"]["revision"] = "0123456789ab"
    elif kind == ObjectKind.BACKEND:
        old |= {"state": "down", "code": "L4CON"}
    else:
        old["backends"] = 7
    return old


@pytest.mark.parametrize(("kind", "name"), THE_THREE)
async def test_an_old_status_that_comes_back_is_put_right(
    operator: LocalOperator, kind: ObjectKind, name: str
) -> None:
    await serving(operator)
    good = operator.status(kind, name)
    overwrite(operator, kind, name, old_status(kind, good))
    await operator.settle()
    assert operator.status(kind, name) == good


async def test_a_status_with_a_later_order_than_ours_is_put_right_by_a_later_one_still(
    operator: LocalOperator,
) -> None:
    """For nodes have taken it, and take nothing older any more."""
    await serving(operator)
    good = operator.status(ObjectKind.FRONTEND, "web")
    later: dict[str, Any] = old_status(ObjectKind.FRONTEND, good)
    later["dataplane"].update(term=77, sequence=5)
    overwrite(operator, ObjectKind.FRONTEND, "web", later)
    await operator.settle()
    shown = operator.status(ObjectKind.FRONTEND, "web")
    assert load_order(good).term == 1
    assert load_order(shown) == DecisionOrder(78, 1)
    assert load_dataplane(shown) == load_dataplane(good)


@pytest.mark.parametrize(("kind", "name"), THE_THREE)
async def test_a_status_that_was_wiped_comes_back(
    operator: LocalOperator, kind: ObjectKind, name: str
) -> None:
    await serving(operator)
    good = operator.status(kind, name)
    overwrite(operator, kind, name, {})
    await operator.settle()
    assert operator.status(kind, name) == good


async def test_a_forged_verdict_is_not_resumed_from_at_the_next_restart(
    operator: LocalOperator,
) -> None:
    operator.carry("web")
    await serving(operator)
    forged = old_status(ObjectKind.BACKEND, operator.status(ObjectKind.BACKEND, "a"))
    overwrite(operator, ObjectKind.BACKEND, "a", forged)
    await operator.settle()
    after = await operator.restarted()
    assert after.status(ObjectKind.BACKEND, "a")["state"] == "up"
    assert after.status(ObjectKind.FRONTEND)["state"] == "up"
    await after.stop()


async def test_an_object_that_is_seen_again_and_again_costs_no_write(
    operator: LocalOperator,
) -> None:
    await serving(operator)
    for _ in range(3):
        for kind, name in THE_THREE:
            operator.see(kind, key(name))
        await operator.settle()
    assert operator.server.requests == []


async def test_what_an_older_crd_drops_of_a_status_is_not_written_for_ever(
    operator: LocalOperator,
) -> None:
    operator.server.prunes = frozenset({"code"})
    await serving(operator)
    for _ in range(3):
        operator.see(ObjectKind.BACKEND, key("a"))
        operator.reconciler.store.dirty.backends.add(key("a"))
        operator.reconciler.request_run()
        await operator.settle()
    assert operator.server.requests == []


async def test_a_foreign_write_that_is_seen_while_ours_is_under_way_is_compared_after_it() -> None:
    server = FakeApiServer()
    async with running(server) as writer:
        see(writer, server, ["b"])
        server.latency = 0.5
        writer.submit_status(ObjectKind.BACKEND, key("b"), lambda: {"state": "up"})
        await asyncio.sleep(0.1)
        made = server.objects[ObjectKind.BACKEND, key("b")]
        newer = {**made["metadata"], "resourceVersion": "999999"}
        old = writer.cache.get(ObjectKind.BACKEND, key("b"))
        foreign = {"metadata": newer, "status": {"state": "old"}}
        writer.cache.apply_event(ObjectKind.BACKEND, "MODIFIED", foreign)
        new = writer.cache.get(ObjectKind.BACKEND, key("b"))
        assert new is not None
        assert not writer.note_change(ObjectKind.BACKEND, old, new)
        await writer.drain(10)
    assert [verb for verb, *_ in server.requests] == ["replace_status", "replace_status", "get"]
    assert server.status(ObjectKind.BACKEND, key("b")) == {"state": "up"}


async def test_the_echo_of_a_write_whose_answer_was_lost_is_nobody_elses(
    operator: LocalOperator, caplog: pytest.LogCaptureFixture
) -> None:
    await serving(operator)
    operator.verdict("a", up=False)
    operator.server.refuse = lambda _: ApiUnreachable("cut off")
    await operator.settle()
    made = operator.server.objects[ObjectKind.BACKEND, key("a")]
    operator.server.store(ObjectKind.BACKEND, key("a"), {**made, "status": {"state": "down"}})
    operator.see(ObjectKind.BACKEND, key("a"))
    operator.server.refuse = lambda _: None
    await asyncio.sleep(30)
    assert operator.status(ObjectKind.BACKEND, "a")["code"] == "L4CON"
    assert "put right" not in caplog.text
