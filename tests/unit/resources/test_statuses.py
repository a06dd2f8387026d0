"""Every reason of every condition that users are promised, and when its time moves."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from data.objects import NOON, backend, frontend, health_check, in_state, key, pool, vip
from in_memory.world import Object, World
from vpplb.model.health import BackendHealth, HealthState
from vpplb.model.names import ObjectKind
from vpplb.model.problem import Problem
from vpplb.model.vip import Encap
from vpplb.plan.decisions import BackendView, HealthCheckView
from vpplb.plan.desired import FrontendView
from vpplb.resources.conditions import StatusCondition, find_condition
from vpplb.resources.frontend import FrontendStatus
from vpplb.resources.node_report import NodeReport
from vpplb.resources.statuses import (
    backend_status,
    frontend_dataplane,
    health_check_status,
    invalid_frontend_status,
    join_problems,
    render_frontend,
)

UP, DOWN = HealthState.UP, HealthState.DOWN
INVALID = Problem(
    kind="Frontend", key=key("web"), reason="Invalid", message="is too long", field="spec.port"
)
Report = Callable[[str], NodeReport]


def carried(_: str) -> NodeReport:
    return NodeReport(desired=("n1",), programmed=("n1",), carrying=("n1",))


def serving(*objects: Object, up: tuple[str, ...] = ("a",), down: tuple[str, ...] = ()) -> World:
    """Return a world of backends a and b and the objects, with these verdicts."""
    world = World()
    world.put(health_check(), backend("a", "10.0.0.1"), backend("b", "10.0.0.2"))
    world.put(*objects or (frontend("web", pool("p", a=10), pool("s", b=10)),))
    for name in up:
        world.verdict(name, up=True)
    for name in down:
        world.verdict(name, up=False)
    return world


def view(world: World, name: str = "web") -> FrontendView:
    return world.reconciler.views[key(name)]


def status(world: World, name: str = "web", report: Report = carried) -> FrontendStatus:
    return render_frontend(view(world, name), report, 3, (), NOON)[0]


def condition(shown: tuple[StatusCondition, ...], of_type: str) -> tuple[str, str]:
    found = find_condition(shown, of_type)
    assert found is not None
    assert found.observed_generation == 3
    assert found.last_transition_time == NOON
    return found.status, found.reason


def message(shown: tuple[StatusCondition, ...], of_type: str) -> str:
    found = find_condition(shown, of_type)
    assert found is not None
    return found.message


# --- Frontend ---------------------------------------------------------------------------------


async def test_a_frontend_that_is_well() -> None:
    world = serving(up=("a", "b"))
    shown = status(world)
    assert (shown.state, shown.active_pool, shown.ready) == ("up", "p", "2/2")
    assert shown.problem is None
    assert [(one.name, one.pool, one.weight, one.effective_weight) for one in shown.backends] == [
        ("a", "p", 10, 10),
        ("b", "s", 10, 0),
    ]
    assert [(one.type, one.status, one.reason) for one in shown.conditions] == [
        ("Accepted", "True", "Accepted"),
        ("ResolvedRefs", "True", "ResolvedRefs"),
        ("Available", "True", "BackendsUp"),
        ("Programmed", "True", "Programmed"),
        ("Degraded", "False", "NotDegraded"),
        ("Ready", "True", "Ready"),
    ]
    assert shown.observed_generation == 3
    assert shown.dataplane == frontend_dataplane(view(world))


async def test_what_to_beware_of_is_the_message_of_accepted_and_refuses_nothing() -> None:
    nat = replace(frontend("web", pool("p", a=1)), encap=Encap.NAT4)
    shown = status(serving(nat, up=("a",)))
    assert condition(shown.conditions, "Accepted") == ("True", "Accepted")
    assert "drops TCP" in message(shown.conditions, "Accepted")
    assert shown.dataplane is not None


async def test_conflict_is_the_reason_of_the_younger_which_has_no_dataplane() -> None:
    web, old = frontend("web", pool("p", a=1)), frontend("old", pool("p", a=1), age=5)
    world = serving(web, old)
    shown = status(world)
    assert condition(shown.conditions, "Accepted") == ("False", "Conflict")
    assert "Frontend default/old, which is older" in message(shown.conditions, "Accepted")
    assert shown.dataplane is None
    assert condition(shown.conditions, "Programmed") == ("False", "Pending")
    assert condition(status(world, "old").conditions, "Accepted") == ("True", "Accepted")


async def test_mixed_families_are_refused_but_what_fits_is_served() -> None:
    web = frontend("web", pool("p", a=1, six=1), encap=Encap.GRE4)
    shown = status(serving(backend("six", "fd00::1"), web))
    assert condition(shown.conditions, "Accepted") == ("False", "MixedFamilies")
    assert shown.dataplane is not None
    assert [one.name for one in shown.backends] == ["a"]


async def test_a_newer_version_that_is_wrong_is_said_beside_what_is_in_force() -> None:
    world = serving()
    world.store.put_invalid(ObjectKind.FRONTEND, key("web"), [INVALID])
    world.reconcile()
    shown = status(world)
    assert condition(shown.conditions, "Accepted") == ("False", "Invalid")
    assert message(shown.conditions, "Accepted") == "spec.port: is too long"
    assert shown.dataplane is not None
    assert shown.state == "up"


def test_a_frontend_that_was_never_understood_has_no_state() -> None:
    shown = invalid_frontend_status([INVALID], 3, (), NOON)
    assert condition(shown.conditions, "Accepted") == ("False", "Invalid")
    assert condition(shown.conditions, "Ready") == ("False", "NotAccepted")
    assert shown.problem == "Invalid"
    assert (shown.state, shown.dataplane, shown.observed_generation) == (None, None, 3)


async def test_what_resolves_is_served() -> None:
    shown = status(serving(frontend("web", pool("p", a=1, nobody=1))))
    assert condition(shown.conditions, "ResolvedRefs") == ("False", "BackendNotFound")
    said = message(shown.conditions, "ResolvedRefs")
    assert said == "spec.pools[0].backends[1].name: there is no Backend default/nobody"
    assert (shown.state, shown.ready) == ("up", "1/1")


@pytest.mark.parametrize(
    ("up", "down", "available", "state", "pool"),
    [
        (("a", "b"), (), ("True", "BackendsUp"), "up", "p"),
        (("b",), ("a",), ("True", "BackendsUp"), "up", "s"),
        ((), (), ("Unknown", "NoVerdict"), "unknown", None),
        ((), ("a", "b"), ("False", "NoBackendUp"), "down", None),
        ((), ("a",), ("False", "NoBackendUp"), "down", None),
    ],
)
async def test_available_says_whether_anybody_serves(
    up: tuple[str, ...],
    down: tuple[str, ...],
    available: tuple[str, str],
    state: str,
    pool: str | None,
) -> None:
    shown = status(serving(up=up, down=down))
    assert condition(shown.conditions, "Available") == available
    assert (shown.state, shown.active_pool) == (state, pool)


@pytest.mark.parametrize(
    ("report", "programmed", "said"),
    [
        (
            NodeReport(),
            ("False", "NoNodes"),
            "no node with an agent is selected, so nobody carries it",
        ),
        (
            NodeReport(desired=("n1", "n2"), programmed=("n1",)),
            ("False", "Pending"),
            "1 of 2 nodes have the newest state, not n2",
        ),
        (
            NodeReport(desired=tuple(f"n{number}" for number in range(9))),
            ("False", "Pending"),
            "0 of 9 nodes have the newest state, not n0, n1, n2, n3, n4, and 4 more",
        ),
        (
            NodeReport(desired=("n1", "n2"), programmed=("n1",), failed=(("n2", "no memory"),)),
            ("False", "NodeFailed"),
            "1 of 2 nodes have the newest state; n2: no memory",
        ),
        (
            NodeReport(desired=("n2",), away=("n2",), leaving=("n1",)),
            ("False", "Pending"),
            "0 of 1 nodes have the newest state (n1 carries it until then), not n2",
        ),
        (
            NodeReport(desired=("n1", "n2"), programmed=("n1", "n2")),
            ("True", "Programmed"),
            "2 of 2 nodes have the newest state",
        ),
    ],
)
async def test_programmed_says_how_far_it_has_got_on_the_nodes(
    report: NodeReport, programmed: tuple[str, str], said: str
) -> None:
    shown = status(serving(), report=lambda _: report)
    assert condition(shown.conditions, "Programmed") == programmed
    assert message(shown.conditions, "Programmed") == said
    assert shown.nodes is not None
    assert (shown.nodes.programmed, shown.nodes.desired) == (
        len(report.programmed),
        len(report.desired),
    )


@pytest.mark.parametrize(
    ("report", "holding"),
    [
        (NodeReport(), False),
        (NodeReport(desired=("n2",)), True),
        (NodeReport(desired=("n2",), away=("n2",)), True),
        (NodeReport(desired=("n2",), failed=(("n2", "no memory"),)), True),
        (NodeReport(desired=("n2",), programmed=("n2",)), False),
        (NodeReport(desired=("n2", "n3"), programmed=("n2",)), True),
        (NodeReport(desired=("n2", "n3"), programmed=("n2",), away=("n3",)), False),
        (NodeReport(desired=("n2", "n3"), programmed=("n2",), failed=(("n3", "no"),)), False),
    ],
)
async def test_nodes_that_leave_wait_for_one_that_has_it_and_for_all_that_can(
    report: NodeReport, holding: bool
) -> None:
    shown = status(serving(), report=lambda _: report)
    assert shown.nodes is not None
    assert bool(shown.nodes.holding) == holding
    assert ("holding" in shown.nodes.model_dump(exclude_none=True)) == holding


@pytest.mark.parametrize(
    ("report", "available", "state"),
    [
        (NodeReport(), ("False", "NoNodes"), "down"),
        (NodeReport(desired=("n1",)), ("False", "NotCarried"), "down"),
        (NodeReport(desired=("n1",), unsure=("n1",)), ("Unknown", "NodesUnsure"), "unknown"),
        (NodeReport(desired=("n1",), carrying=("n1",)), ("True", "BackendsUp"), "up"),
        (NodeReport(desired=("n2",), leaving=("n1",), carrying=("n1",)), None, "up"),
    ],
)
async def test_a_frontend_that_no_node_carries_is_not_up_whatever_its_backends_are(
    report: NodeReport, available: tuple[str, str] | None, state: str
) -> None:
    shown = status(serving(up=("a", "b")), report=lambda _: report)
    assert condition(shown.conditions, "Available") == (available or ("True", "BackendsUp"))
    assert shown.state == state
    assert condition(shown.conditions, "Ready")[0] == ("Unknown" if state == "unknown" else "False")
    down = status(serving(up=(), down=("a", "b")), report=lambda _: report)
    assert condition(down.conditions, "Available") == ("False", "NoBackendUp")


# --- what keeps a frontend from serving as it should ---------------------------------------------

THREE = frontend("web", pool("p", a=10, c=10), pool("s", b=10))


@pytest.mark.parametrize(
    ("up", "down", "problem", "said"),
    [
        (("a", "b", "c"), (), None, "nothing keeps it from serving as configured"),
        (("a", "b"), ("c",), "BackendsDown", "1 of 3 backends are not up: c is down"),
        (("a", "c"), ("b",), "BackendsDown", "1 of 3 backends are not up: b is down"),
        (
            ("b",),
            ("a", "c"),
            "FailedOver,BackendsDown",
            "pool s serves in place of p; 2 of 3 backends are not up: a is down, c is down",
        ),
        (
            (),
            ("a", "b", "c"),
            "NoBackendUp,BackendsDown",
            "3 of 3 backends are not up: a is down, b is down, c is down",
        ),
        ((), (), "NoVerdict", "nothing keeps it from serving as configured"),
    ],
)
async def test_a_later_pool_and_backends_that_are_not_up_are_degradations_of_either_pool(
    up: tuple[str, ...], down: tuple[str, ...], problem: str | None, said: str
) -> None:
    shown = status(serving(backend("c", "10.0.0.3"), THREE, up=up, down=down))
    assert shown.problem == problem
    assert message(shown.conditions, "Degraded") == said


async def test_who_is_out_by_somebodys_will_is_no_degradation() -> None:
    away = (
        replace(backend("a", "10.0.0.1"), paused=True),
        replace(backend("c", "10.0.0.3"), enabled=False),
    )
    spare = frontend("web", pool("z", a=0), pool("s", b=10, a=10, c=10))
    shown = status(serving(*away, spare, up=("b",)))
    assert (shown.problem, shown.active_pool) == (None, "s")


async def test_a_failover_names_whom_somebody_has_taken_out_of_the_first_pool() -> None:
    paused = replace(backend("c", "10.0.0.3"), paused=True)
    shown = status(serving(paused, THREE, up=("b",), down=("a",)))
    assert (shown.problem, shown.active_pool) == ("FailedOver,BackendsDown", "s")
    assert message(shown.conditions, "Degraded") == (
        "pool s serves in place of p (c is paused); 1 of 3 backends are not up: a is down"
    )


async def test_nodes_are_behind_after_5_s_and_at_once_where_vpp_refuses() -> None:
    decided = view(serving(up=("a", "b")))
    waiting = NodeReport(desired=("n1", "n2"), programmed=("n1",), carrying=("n1",), away=("n2",))
    first, judged = render_frontend(decided, lambda _: waiting, 3, (), NOON)
    assert (first.problem, judged.is_unsettled) == (None, True)
    soon, judged = render_frontend(
        decided, lambda _: waiting, 3, first.conditions, NOON + timedelta(seconds=4)
    )
    assert (soon.problem, judged.is_unsettled) == (None, True)
    late, judged = render_frontend(
        decided, lambda _: waiting, 3, soon.conditions, NOON + timedelta(seconds=5)
    )
    assert (late.problem, judged.is_unsettled) == ("NodesBehind", False)
    assert message(late.conditions, "Degraded") == "not the newest state on n2 (not heard)"
    refusing = replace(waiting, failed=(("n2", "no memory"),))
    refused, judged = render_frontend(decided, lambda _: refusing, 3, (), NOON)
    assert (refused.problem, judged.is_unsettled) == ("NodesBehind", False)
    assert message(refused.conditions, "Degraded") == "not the newest state on n2 (no memory)"


async def test_a_lost_direct_road_is_the_least_of_degradations() -> None:
    roadless = replace(carried(""), roadless=("n1",))
    shown = status(serving(down=("b",)), report=lambda _: roadless)
    assert shown.problem == "BackendsDown,DirectRoadLost"
    alone = status(serving(up=("a", "b")), report=lambda _: roadless)
    assert condition(alone.conditions, "Degraded") == ("True", "DirectRoadLost")
    assert condition(alone.conditions, "Ready") == ("True", "Degraded")


@pytest.mark.parametrize(
    ("objects", "report", "ready"),
    [
        ((), NodeReport(desired=("n1",), carrying=("n1",)), ("False", "NotProgrammed")),
        ((), NodeReport(), ("False", "NotAvailable")),
        ((frontend("web", pool("p", a=1, nobody=1)),), carried(""), ("False", "NotResolved")),
        (
            (frontend("web", pool("p", a=1)), frontend("old", pool("p", a=1), age=5)),
            carried(""),
            ("False", "NotAccepted"),
        ),
    ],
)
async def test_ready_says_which_condition_is_not_true(
    objects: tuple[Object, ...], report: NodeReport, ready: tuple[str, str]
) -> None:
    shown = status(serving(*objects, up=("a",)), report=lambda _: report)
    assert condition(shown.conditions, "Ready") == ready


async def test_nodes_are_asked_for_the_revision_that_is_shown() -> None:
    asked: list[str] = []

    def report(revision: str) -> NodeReport:
        asked.append(revision)
        return NodeReport()

    shown = status(serving(), report=report)
    assert shown.dataplane is not None
    assert asked == [shown.dataplane["revision"]]


async def test_weights_that_a_small_table_flattens_are_a_degradation() -> None:
    web = frontend("web", pool("p", a=100, b=50), table_length=4)
    shown = status(serving(web, up=("a", "b")))
    assert condition(shown.conditions, "Degraded") == ("True", "WeightsFlattened")
    assert "a table of 4 buckets" in message(shown.conditions, "Degraded")


async def test_a_suspected_prober_is_a_degradation_and_comes_before_flattened_weights() -> None:
    web = frontend("web", pool("p", a=100, b=50), table_length=4)
    suspect = replace(view(serving(web, up=("a", "b"))), suspect=True)
    shown = render_frontend(suspect, carried, 3, (), NOON)[0]
    assert condition(shown.conditions, "Degraded") == ("True", "ProberSuspect")
    said = message(shown.conditions, "Degraded")
    assert "the prober itself is suspected; weights stay as they were; with a table of 4" in said


async def test_each_condition_keeps_its_time_until_its_status_changes() -> None:
    world = serving(up=("a", "b"))
    first = status(world).conditions
    world.verdict("a", up=False)
    later = NOON + timedelta(minutes=1)
    second = render_frontend(view(world), carried, 4, first, later)[0].conditions
    assert message(second, "Available") != message(first, "Available")
    assert {one.last_transition_time for one in second if one.type != "Degraded"} == {NOON}
    assert {one.observed_generation for one in second} == {4}
    world.verdict("b", up=False)
    third = render_frontend(view(world), carried, 4, second, later)[0].conditions
    times = {one.type: one.last_transition_time for one in third}
    assert {times.pop(one) for one in ("Available", "Degraded", "Ready")} == {later}
    assert set(times.values()) == {NOON}


async def test_conditions_of_others_are_left_alone() -> None:
    theirs = StatusCondition(type="Theirs", status="True", reason="X", last_transition_time=NOON)
    shown = render_frontend(view(serving()), carried, 3, (theirs,), NOON)[0]
    assert shown.conditions[0] == theirs


async def test_two_frontends_on_one_address_have_each_their_own_dataplane() -> None:
    both = (
        frontend("web", pool("p", a=1)),
        frontend("api", pool("p", b=1), on=vip(port=443)),
    )
    world = serving(*both)
    web, api = (frontend_dataplane(view(world, name)) for name in ("web", "api"))
    assert web is not None
    assert api is not None
    assert (web["port"], api["port"]) == (80, 443)
    assert web["revision"] != api["revision"]


# --- Backend ----------------------------------------------------------------------------------


def missing_check() -> Problem:
    return Problem(
        kind="Backend",
        key=key("a"),
        reason="HealthCheckNotFound",
        message="there is no HealthCheck default/check",
        field="spec.healthCheckRef.name",
    )


@pytest.mark.parametrize(
    ("problems", "frontends", "accepted"),
    [
        ((), 1, ("True", "Accepted")),
        ((), 0, ("True", "Unreferenced")),
        ((missing_check(),), 1, ("False", "HealthCheckNotFound")),
        ((missing_check(),), 0, ("False", "HealthCheckNotFound")),
        ((INVALID,), 1, ("False", "Invalid")),
    ],
)
def test_accepted_says_what_is_wrong_with_a_backend(
    problems: tuple[Problem, ...], frontends: int, accepted: tuple[str, str]
) -> None:
    names = frozenset(key(f"f{n}") for n in range(frontends))
    view = BackendView(health=in_state(UP), problems=problems, frontends=names)
    shown = backend_status(view, 3, (), NOON)
    assert condition(shown.conditions, "Accepted") == accepted
    assert (shown.frontends, shown.observed_generation) == (frontends, 3)


@pytest.mark.parametrize(
    ("state", "healthy"),
    [
        (HealthState.UP, ("True", "Up")),
        (HealthState.DOWN, ("False", "Down")),
        (HealthState.UNKNOWN, ("Unknown", "Unknown")),
        (HealthState.PAUSED, ("Unknown", "Paused")),
        (HealthState.DISABLED, ("Unknown", "Disabled")),
    ],
)
def test_healthy_follows_the_state(state: HealthState, healthy: tuple[str, str]) -> None:
    shown = backend_status(BackendView(health=in_state(state)), 3, (), NOON)
    assert condition(shown.conditions, "Healthy") == healthy
    assert shown.state is state


@pytest.mark.parametrize(
    ("state", "problems", "frontends", "ready"),
    [
        (HealthState.UP, (), 1, ("True", "Ready")),
        (HealthState.DOWN, (), 1, ("False", "NotHealthy")),
        (HealthState.UNKNOWN, (), 1, ("Unknown", "Unknown")),
        (HealthState.PAUSED, (), 1, ("True", "Ready")),
        (HealthState.DISABLED, (), 1, ("True", "Ready")),
        (HealthState.UNKNOWN, (), 0, ("True", "Ready")),
        (HealthState.UP, (missing_check(),), 1, ("False", "NotAccepted")),
    ],
)
def test_a_backend_is_ready_when_it_is_as_somebody_wants_it(
    state: HealthState, problems: tuple[Problem, ...], frontends: int, ready: tuple[str, str]
) -> None:
    names = frozenset(key(f"f{n}") for n in range(frontends))
    view = BackendView(health=in_state(state), problems=problems, frontends=names)
    shown = backend_status(view, 3, (), NOON)
    assert condition(shown.conditions, "Ready") == ready
    assert shown.problem == (problems[0].reason if problems else None)


def test_healthy_says_what_was_seen() -> None:
    health = BackendHealth(state=DOWN, code="L7STS", detail="503 Service Unavailable")
    shown = backend_status(BackendView(health=health), 3, (), NOON)
    assert message(shown.conditions, "Healthy") == "L7STS: 503 Service Unavailable"
    assert (shown.code, shown.detail) == ("L7STS", "503 Service Unavailable")


# --- HealthCheck ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("problems", "accepted"), [((), ("True", "Accepted")), ((INVALID,), ("False", "Invalid"))]
)
def test_a_health_check_says_who_uses_it_and_whether_it_is_right(
    problems: tuple[Problem, ...], accepted: tuple[str, str]
) -> None:
    shown = health_check_status(HealthCheckView(problems=problems, backends=2), 3, (), NOON)
    assert condition(shown.conditions, "Accepted") == accepted
    assert (shown.backends, shown.observed_generation) == (2, 3)


def test_problems_are_one_line() -> None:
    anywhere = Problem(kind="Frontend", key=key("web"), reason="Invalid", message="is missing")
    assert join_problems([INVALID, anywhere]) == "spec.port: is too long; is missing"
    assert join_problems([]) == ""
