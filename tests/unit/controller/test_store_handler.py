"""From the API server to decisions and back into statuses and events: all but sockets."""

import asyncio
from collections.abc import Mapping
from ipaddress import ip_network
from typing import Any

import pytest

from data.manifests import Raw, backend, frontend, health_check, manifest
from data.objects import key
from fakes.api_server import FakeApiServer
from in_memory.operator import LocalOperator, identity
from vpplb.kube.api_types import JsonObject
from vpplb.model.decision_order import DecisionOrder
from vpplb.model.names import ObjectKey, ObjectKind
from vpplb.reconcile.backend_decider import SLACK
from vpplb.resources.allowances import NOTHING, AddressAllowances
from vpplb.resources.dataplane_codec import load_order

pytestmark = pytest.mark.looptime


def checked(name: str, address: str, **spec: object) -> Raw:
    return backend(name, address, healthCheckRef={"name": "check"}, **spec)


TWO = [{"name": "main", "backends": [{"name": "a"}]}, {"name": "next", "backends": [{"name": "b"}]}]
WRONG = frontend(port=99999)


async def serving(operator: LocalOperator) -> LocalOperator:
    """Frontend `web` with pools main (a) and next (b), both up, everything told."""
    operator.apply(
        health_check(), checked("a", "10.0.0.1"), checked("b", "10.0.0.2"), frontend(pools=TWO)
    )
    await operator.settle()
    operator.verdict("a", up=True)
    operator.verdict("b", up=True)
    await operator.settle()
    operator.events()
    return operator


async def test_statuses_of_all_kinds_are_written(operator: LocalOperator) -> None:
    operator.carry("web")
    await serving(operator)
    web = operator.status(ObjectKind.FRONTEND)
    assert (web["state"], web["activePool"], web["ready"]) == ("up", "main", "2/2")
    assert web["dataplane"]
    assert operator.status(ObjectKind.BACKEND, "a")["state"] == "up"
    assert operator.status(ObjectKind.HEALTH_CHECK, "check")["backends"] == 2


async def test_a_failover_is_one_event_on_each_of_the_two(operator: LocalOperator) -> None:
    await serving(operator)
    operator.verdict("a", up=False)
    await operator.settle()
    assert [(type_, reason) for type_, reason, _ in operator.events()] == [
        ("Normal", "PoolFailover"),
        ("Warning", "BackendDown"),
    ]
    assert operator.status(ObjectKind.FRONTEND)["activePool"] == "next"


async def test_a_frontend_that_loses_everybody_is_down(operator: LocalOperator) -> None:
    await serving(operator)
    operator.verdict("a", up=False)
    operator.verdict("b", up=False)
    await operator.settle()
    reasons = [reason for _, reason, _ in operator.events()]
    assert reasons == ["FrontendDown", "BackendDown", "BackendDown"]


async def test_a_pause_of_the_user_is_told_as_such(operator: LocalOperator) -> None:
    await serving(operator)
    operator.apply(checked("a", "10.0.0.1", paused=True))
    await operator.settle()
    assert [reason for _, reason, _ in operator.events()] == ["PoolFailover", "BackendPaused"]
    assert operator.status(ObjectKind.BACKEND, "a")["state"] == "paused"


async def test_our_own_writes_that_come_back_change_nothing(operator: LocalOperator) -> None:
    await serving(operator)
    requests = len(operator.server.requests)
    for kind, name in list(operator.server.objects):
        operator.see(kind, name)
    await operator.settle()
    assert len(operator.server.requests) == requests


async def test_a_restart_writes_and_announces_nothing(operator: LocalOperator) -> None:
    await serving(operator)
    requests = len(operator.server.requests)
    again = await operator.restarted()
    assert operator.server.requests[requests:] == []
    assert [one.resume_up for one in again.prober.started] == [True, True]
    await again.stop()


def order(operator: LocalOperator, name: str = "web") -> DecisionOrder:
    return load_order(operator.status(ObjectKind.FRONTEND, name))


async def test_the_next_operator_goes_on_with_a_later_order_once_something_changes(
    operator: LocalOperator,
) -> None:
    await serving(operator)
    before = order(operator)
    again = await operator.restarted()
    assert order(again) == before
    again.verdict("a", up=False)
    await again.settle()
    assert order(again) == DecisionOrder(before.term + 1, 1)
    await again.stop()


async def test_a_newer_version_that_is_not_understood_leaves_what_runs(
    operator: LocalOperator,
) -> None:
    await serving(operator)
    dataplane = operator.status(ObjectKind.FRONTEND)["dataplane"]
    operator.apply(WRONG)
    await operator.settle()
    assert operator.condition(ObjectKind.FRONTEND, "web", "Accepted") == ("False", "Invalid")
    assert operator.status(ObjectKind.FRONTEND)["dataplane"] == dataplane
    assert operator.status(ObjectKind.FRONTEND)["observedGeneration"] == 2
    assert [reason for _, reason, _ in operator.events()] == ["NotAccepted"]
    operator.apply(frontend(pools=TWO))
    await operator.settle()
    assert operator.condition(ObjectKind.FRONTEND, "web", "Accepted") == ("True", "Accepted")


async def test_a_frontend_that_the_next_operator_does_not_understand_keeps_its_dataplane(
    operator: LocalOperator,
) -> None:
    await serving(operator)
    before = operator.status(ObjectKind.FRONTEND)
    operator.store(WRONG)
    again = await operator.restarted()
    assert again.condition(ObjectKind.FRONTEND, "web", "Accepted") == ("False", "Invalid")
    kept = ("state", "activePool", "backends", "dataplane", "nodes")
    assert {name: again.status(ObjectKind.FRONTEND).get(name) for name in kept} == {
        name: before.get(name) for name in kept
    }
    again.apply(frontend(pools=TWO))
    await again.settle()
    again.verdict("a", up=True)
    await again.settle()
    assert again.status(ObjectKind.FRONTEND)["dataplane"] == before["dataplane"]
    await again.stop()


async def test_a_backend_that_the_next_operator_does_not_understand_keeps_its_history(
    operator: LocalOperator,
) -> None:
    await serving(operator)
    before = operator.status(ObjectKind.BACKEND, "a")["transitions"]
    operator.store(checked("a", "nonsense"))
    again = await operator.restarted()
    assert again.condition(ObjectKind.BACKEND, "a", "Accepted") == ("False", "Invalid")
    assert again.status(ObjectKind.BACKEND, "a")["transitions"] == before
    again.apply(checked("a", "10.0.0.1"))
    await again.settle()
    assert again.status(ObjectKind.BACKEND, "a")["state"] == "up"
    await again.stop()


@pytest.mark.parametrize("kind", [ObjectKind.FRONTEND, ObjectKind.BACKEND, ObjectKind.HEALTH_CHECK])
async def test_what_is_wrong_from_the_start_is_told(
    operator: LocalOperator, kind: ObjectKind
) -> None:
    wrong = {
        ObjectKind.FRONTEND: WRONG,
        ObjectKind.BACKEND: backend("web", "nonsense"),
        ObjectKind.HEALTH_CHECK: health_check("web", type="TCP"),
    }[kind]
    operator.apply(wrong)
    await operator.settle()
    assert operator.condition(kind, "web", "Accepted") == ("False", "Invalid")


async def test_a_deleted_frontend_is_written_no_more(operator: LocalOperator) -> None:
    await serving(operator)
    operator.delete(ObjectKind.FRONTEND, "web")
    await operator.settle()
    assert operator.reconciler.views == {}
    assert operator.status(ObjectKind.BACKEND, "a")["frontends"] == 0
    assert operator.condition(ObjectKind.BACKEND, "a", "Accepted")[1] == "Unreferenced"


async def test_a_deleted_health_check_is_told_on_the_backend_which_goes_on_serving(
    operator: LocalOperator,
) -> None:
    operator.carry("web")
    await serving(operator)
    operator.delete(ObjectKind.HEALTH_CHECK, "check")
    await operator.settle()
    assert operator.condition(ObjectKind.BACKEND, "a", "Accepted") == (
        "False",
        "HealthCheckNotFound",
    )
    assert operator.status(ObjectKind.FRONTEND)["state"] == "up"
    assert operator.events() == []


# --- where probes may not go --------------------------------------------------------------------


def denying(*prefixes: str) -> AddressAllowances:
    return AddressAllowances(probe_deny=tuple(map(ip_network, prefixes)))


def weights(operator: LocalOperator) -> list[int]:
    backends = operator.status(ObjectKind.FRONTEND)["backends"]
    assert isinstance(backends, list)
    return [one["effectiveWeight"] for one in backends]


def is_denied(operator: LocalOperator, name: str) -> bool:
    found = operator.condition(ObjectKind.BACKEND, name, "Accepted")
    return found == ("False", "ProbeDenied")


async def test_a_new_backend_where_probes_may_not_go_is_never_probed_and_gets_no_traffic() -> None:
    operator = LocalOperator(allowed=denying("10.0.0.1/32"))
    operator.reconciler.set_synced(1)
    operator.apply(
        health_check(), checked("a", "10.0.0.1"), checked("b", "10.0.0.2"), frontend(pools=TWO)
    )
    await operator.settle()
    assert set(operator.prober.running) == {key("b")}
    operator.verdict("b", up=True)
    await asyncio.sleep(2 * SLACK)  # for so long the first pool is waited for
    assert is_denied(operator, "a")
    assert not is_denied(operator, "b")
    assert weights(operator) == [0, 100]
    operator.apply(checked("a", "10.0.0.3"))
    await operator.settle()
    assert set(operator.prober.running) == {key("a"), key("b")}
    assert not is_denied(operator, "a")
    await operator.stop()


async def test_what_served_when_probes_were_forbidden_serves_on_and_is_probed_no_more(
    operator: LocalOperator,
) -> None:
    operator.carry("web")
    await serving(operator)
    new = await operator.restarted(denying("10.0.0.0/8"))
    assert new.prober.running == {}
    assert is_denied(new, "a")
    assert is_denied(new, "b")
    assert (new.status(ObjectKind.FRONTEND)["state"], weights(new)) == ("up", [100, 0])
    await new.stop()


async def test_a_server_on_loopback_is_not_probed_once_that_is_allowed_no_more(
    operator: LocalOperator,
) -> None:
    """It is there from before, so something stands in for it; what stands in is not probed."""
    operator.apply(health_check(), checked("a", "127.0.0.1"), frontend())
    await operator.settle()
    operator.verdict("a", up=True)
    await operator.settle()
    new = await operator.restarted(NOTHING)
    assert new.prober.running == {}
    assert weights(new) == [100]
    await new.stop()


# --- nodes --------------------------------------------------------------------------------------


async def test_a_node_that_has_programmed_the_newest_makes_it_so(operator: LocalOperator) -> None:
    await serving(operator)
    assert operator.condition(ObjectKind.FRONTEND, "web", "Programmed") == ("False", "NoNodes")
    connected = [{"type": "Connected", "status": "True", "reason": "Connected"}]
    operator.apply(manifest("Dataplane", "n1", {}) | {"status": {"conditions": connected}})
    await operator.settle()
    assert operator.condition(ObjectKind.FRONTEND, "web", "Programmed") == ("False", "Pending")
    dataplane = operator.status(ObjectKind.FRONTEND)["dataplane"]
    assert isinstance(dataplane, dict)
    status = {"conditions": connected, "programmed": {"default/web": dataplane["revision"]}}
    operator.apply(manifest("Dataplane", "n1", {}) | {"status": status})
    await operator.settle()
    assert operator.condition(ObjectKind.FRONTEND, "web", "Programmed") == ("True", "Programmed")
    operator.delete(ObjectKind.DATAPLANE, "n1")
    await operator.settle()
    assert operator.condition(ObjectKind.FRONTEND, "web", "Programmed") == ("False", "NoNodes")


async def test_an_agent_that_is_lost_or_found_is_an_event_of_its_node(
    operator: LocalOperator,
) -> None:
    await serving(operator)
    operator.carry("web")
    await operator.settle()
    assert operator.events() == []
    gone = {"type": "Connected", "status": "Unknown", "reason": "AgentGone"}
    operator.apply(manifest("Dataplane", "n1", {}) | {"status": {"conditions": [gone]}})
    operator.carry("web")
    await operator.settle()
    assert [reason for _, reason, _ in operator.events()] == ["AgentLost", "AgentFound"]


async def test_a_status_is_of_the_generation_that_was_decided_on(operator: LocalOperator) -> None:
    """A version that is seen but not yet decided on must not be said to be in force."""
    await serving(operator)
    edited = frontend(pools=TWO, flushOnDown=False)
    operator.store(edited)
    operator.see(ObjectKind.FRONTEND, key("web"))
    render = operator.core.reports.statuses._renderer.render
    early = render(ObjectKind.FRONTEND, key("web"))
    assert early is not None
    assert early["observedGeneration"] == 1
    await operator.settle()
    assert operator.status(ObjectKind.FRONTEND)["observedGeneration"] == 2


async def test_a_closed_operator_takes_no_verdict(operator: LocalOperator) -> None:
    await serving(operator)
    operator.reconciler.close()
    operator.verdict("a", up=False)
    await operator.settle()
    assert operator.reconciler.get_health(key("a")).state.value == "up"
    assert operator.events() == []


async def test_what_is_made_anew_unnoticed_gets_its_status_all_the_same(
    operator: LocalOperator,
) -> None:
    await serving(operator)
    operator.server.objects.clear()
    operator.store(health_check())
    operator.store(checked("a", "10.0.0.1"))
    operator.store(frontend(pools=TWO))
    for kind, name in operator.server.objects:
        operator.server.objects[kind, name]["metadata"]["uid"] = "another"
        operator.see(kind, name)
    operator.carry("web")
    await operator.settle()
    assert operator.status(ObjectKind.BACKEND, "a")["state"] == "up"
    assert operator.status(ObjectKind.HEALTH_CHECK, "check")["backends"] == 2
    assert operator.status(ObjectKind.FRONTEND)["state"] == "up"
    assert [one.backend.name for one in operator.prober.started] == ["a", "b"]


async def test_a_mended_frontend_that_served_all_along_is_not_announced_again(
    operator: LocalOperator,
) -> None:
    await serving(operator)
    operator.store(WRONG)
    again = await operator.restarted()
    assert [reason for _, reason, _ in again.events()] == ["NotAccepted"]
    again.apply(frontend(pools=TWO))
    await again.settle()
    assert again.events() == []
    await again.stop()


async def test_the_next_operator_announces_no_refusal_a_second_time(
    operator: LocalOperator,
) -> None:
    operator.apply(frontend("old"), frontend("web"))
    await operator.settle()
    assert [reason for _, reason, _ in operator.events()] == ["NotAccepted"]
    again = await operator.restarted()
    assert again.events() == []
    await again.stop()


async def test_the_status_of_a_node_before_all_is_listed_takes_nothing_away() -> None:
    first = LocalOperator()
    first.reconciler.set_synced(1)
    await serving(first)
    before = first.status(ObjectKind.FRONTEND)
    await first.stop()
    second = LocalOperator(first.server)
    second.see(ObjectKind.FRONTEND, key("web"))
    programmed = {"status": {"programmed": {"default/web": "r1"}}}
    second.apply(manifest("Dataplane", "n1", {}))
    second.apply(manifest("Dataplane", "n1", {}) | programmed)
    await second.settle()
    assert second.status(ObjectKind.FRONTEND) == before
    await second.stop()


async def test_a_status_that_comes_back_is_not_parsed_as_if_a_user_had_edited_it(
    operator: LocalOperator, monkeypatch: pytest.MonkeyPatch
) -> None:
    await serving(operator)
    parsed: list[str] = []
    monkeypatch.setattr(
        "vpplb.controller.store_handler.read_frontend", lambda _: parsed.append("web")
    )
    monkeypatch.setattr("vpplb.controller.store_handler.read_backend", lambda _: parsed.append("a"))
    operator.verdict("a", up=False)
    await operator.settle()
    operator.see(ObjectKind.BACKEND, key("a"))
    operator.see(ObjectKind.FRONTEND, key("web"))
    assert parsed == []


class Recording(FakeApiServer):
    """Knows which statuses it took for objects made anew."""

    def __init__(self) -> None:
        super().__init__()
        self.anew: dict[ObjectKind, list[Any]] = {ObjectKind.BACKEND: [], ObjectKind.FRONTEND: []}

    async def replace_status(
        self, kind: ObjectKind, key: ObjectKey, version: int, status: Mapping[str, object]
    ) -> JsonObject:
        answer = await FakeApiServer.replace_status(self, kind, key, version, status)
        if answer["metadata"]["uid"] == "anew":
            self.anew[kind].append(answer["status"])
        return answer


async def test_what_is_made_anew_never_gets_a_status_that_was_decided_for_the_old() -> None:
    """Though the watch is late, and only the answers to our writes tell of it."""
    server = Recording()
    operator = LocalOperator(server)
    operator.reconciler.set_synced(1)
    await serving(operator)
    for raw in (checked("a", "10.0.0.99"), frontend(address="198.51.100.99", pools=TWO)):
        del server.objects[identity(raw)]
        operator.store(raw)["metadata"]["uid"] = "anew"
    operator.verdict("a", up=False)
    await operator.settle()
    assert [status["state"] for status in server.anew[ObjectKind.BACKEND]] == ["unknown"]
    assert {status["dataplane"]["prefix"] for status in server.anew[ObjectKind.FRONTEND]} == {
        "198.51.100.99/32"
    }
    servers = [
        one["address"] for one in server.anew[ObjectKind.FRONTEND][-1]["dataplane"]["servers"]
    ]
    assert sorted(servers) == ["10.0.0.2", "10.0.0.99"]
    await operator.stop()


# --- objects of other versions ------------------------------------------------------------------


async def rolled_back(operator: LocalOperator, *objects: Raw) -> LocalOperator:
    """Return the operator that starts when these objects are stored."""
    for raw in objects:
        operator.store(raw)
    return await operator.restarted()


async def test_fields_of_a_newer_crd_are_passed_over_and_told(operator: LocalOperator) -> None:
    await serving(operator)
    again = await rolled_back(
        operator,
        frontend(pools=TWO, panicThreshold=0),
        checked("a", "10.0.0.1", slowStart="0s"),
        manifest("HealthCheck", "check", {"type": "TCP", "port": 80, "jitter": 10}),
    )
    for kind, name, field in (
        (ObjectKind.FRONTEND, "web", "spec.panicThreshold"),
        (ObjectKind.BACKEND, "a", "spec.slowStart"),
        (ObjectKind.HEALTH_CHECK, "check", "spec.jitter"),
    ):
        accepted = condition_of(again.status(kind, name), "Accepted")
        assert (accepted["status"], accepted["reason"]) == ("True", "Accepted")
        assert f"{field}: is not known to this version and is ignored" in accepted["message"]
    assert len(again.prober.running) == 2
    again.verdict("a", up=False)
    await again.settle()
    assert again.status(ObjectKind.FRONTEND)["activePool"] == "next"
    await again.stop()


async def test_a_default_of_each_entry_of_a_pool_is_told_once(operator: LocalOperator) -> None:
    pools = [{"name": "main", "backends": [{"name": f"b{n}", "zone": "a"} for n in range(99)]}]
    operator.apply(frontend(pools=pools))
    await operator.settle()
    message = condition_of(operator.status(ObjectKind.FRONTEND), "Accepted")["message"]
    assert message.count("is not known") == 1


async def test_a_failure_is_decided_on_though_the_frontend_is_not_understood(
    operator: LocalOperator,
) -> None:
    await serving(operator)
    again = await rolled_back(operator, frontend(pools=TWO, encap="VXLAN"))
    assert again.condition(ObjectKind.FRONTEND, "web", "Accepted") == ("False", "Invalid")
    again.verdict("a", up=False)
    await again.settle()
    assert again.status(ObjectKind.FRONTEND)["activePool"] == "next"
    again.apply(checked("b", "10.0.0.2", paused=True))
    await again.settle()
    assert [one["weight"] for one in servers(again)] == [0, 0]
    assert again.condition(ObjectKind.FRONTEND, "web", "Accepted") == ("False", "Invalid")
    await again.stop()


@pytest.mark.parametrize(
    "odd",
    [
        {"address": "10.0.0.1", "healthCheckRef": "check"},
        {"address": {"ip": "10.0.0.1"}, "healthCheckRef": {"name": "check"}},
        {"address": "not-an-address", "healthCheckRef": {"name": "check"}},
        {"addresses": ["10.0.0.1"]},
        None,
    ],
)
async def test_a_backend_that_is_not_understood_keeps_its_place_and_its_verdict(
    operator: LocalOperator, odd: dict[str, object] | None
) -> None:
    await serving(operator)
    before = servers(operator)
    again = await rolled_back(operator, manifest("Backend", "a", odd))
    assert servers(again) == before
    assert again.condition(ObjectKind.BACKEND, "a", "Accepted") == ("False", "Invalid")
    again.apply(manifest("Backend", "a", {**(odd or {}), "paused": True}))
    await again.settle()
    assert again.status(ObjectKind.BACKEND, "a")["state"] == "paused"
    assert [one["weight"] for one in servers(again)] == [0, 100]
    await again.stop()


async def test_a_switch_that_is_not_understood_stays_where_it_was(operator: LocalOperator) -> None:
    await serving(operator)
    operator.apply(checked("a", "10.0.0.1", paused=True), checked("b", "10.0.0.2", enabled=False))
    await operator.settle()
    again = await rolled_back(
        operator,
        checked("a", "10.0.0.1", paused={"until": "noon"}),
        checked("b", "10.0.0.2", enabled="later"),
    )
    assert again.status(ObjectKind.BACKEND, "a")["state"] == "paused"
    assert again.status(ObjectKind.BACKEND, "b")["state"] == "disabled"
    await again.stop()


async def test_a_check_that_is_not_understood_leaves_the_last_verdicts_in_force(
    operator: LocalOperator,
) -> None:
    await serving(operator)
    operator.verdict("b", up=False)
    await operator.settle()
    before = servers(operator)
    again = await rolled_back(operator, manifest("HealthCheck", "check", {"type": "GRPC"}))
    assert servers(again) == before
    assert again.condition(ObjectKind.HEALTH_CHECK, "check", "Accepted") == ("False", "Invalid")
    accepted = condition_of(again.status(ObjectKind.BACKEND, "a"), "Accepted")
    assert (accepted["reason"], accepted["message"]) == (
        "Invalid",
        "spec.healthCheckRef.name: HealthCheck default/check is not understood, so nothing is"
        " probed",
    )
    assert again.prober.running == {}
    await again.stop()


@pytest.mark.parametrize("status", [None, {}, {"state": 7, "backends": [None, {}], "dataplane": 1}])
@pytest.mark.parametrize("spec", [None, {}, [], "text", 7, {"address": None, "pools": [None]}])
@pytest.mark.parametrize("kind", ["Frontend", "Backend", "HealthCheck", "Dataplane"])
async def test_no_stored_object_holds_up_another(
    operator: LocalOperator, kind: str, spec: object, status: object
) -> None:
    odd = manifest(kind, "odd", spec, uid="u", generation=1, resourceVersion="7")
    operator.cache.apply_event(ObjectKind(kind), None, odd | {"status": status})
    operator.carry("web")
    await serving(operator)
    assert operator.status(ObjectKind.FRONTEND)["state"] == "up"


def servers(operator: LocalOperator) -> list[dict[str, Any]]:
    dataplane = operator.status(ObjectKind.FRONTEND)["dataplane"]
    assert isinstance(dataplane, dict)
    return list(dataplane["servers"])


def condition_of(status: Mapping[str, object], of_type: str) -> dict[str, str]:
    conditions = status["conditions"]
    assert isinstance(conditions, list)
    return next(one for one in conditions if one["type"] == of_type)
