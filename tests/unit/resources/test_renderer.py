"""Statuses as of now, and what a status tells the program that comes next."""

from dataclasses import replace
from datetime import timedelta
from ipaddress import ip_address

import pytest

from data.manifests import Raw
from data.objects import NOON, backend, frontend, health_check, key, pool, vip
from in_memory.world import World
from vpplb.model.decision_order import UNORDERED
from vpplb.model.health import HealthState
from vpplb.model.names import ObjectKey, ObjectKind
from vpplb.model.problem import Problem
from vpplb.plan.desired import DecisionContent, PreviousDecision
from vpplb.resources.renderer import Selector, StatusRenderer, load_conditions, load_previous
from vpplb.resources.statuses import NodeReport
from vpplb.standalone.local_statuses import LocalObjects

INVALID = Problem(kind="", key=key("web"), reason="Invalid", message="is too long", field="spec.x")
BEFORE: Raw = {
    "state": "up",
    "dataplane": {"revision": "kept"},
    "conditions": [
        {
            "type": "Accepted",
            "status": "True",
            "reason": "Accepted",
            "lastTransitionTime": "2025-01-01T00:00:00Z",
        }
    ],
    "observedGeneration": 6,
}


class RenderedWorld:
    """A renderer on a world, with a clock of its own."""

    def __init__(self) -> None:
        self.world, self.now, self.objects = World(), NOON, LocalObjects()
        self.asked: list[tuple[ObjectKey, Selector, str]] = []
        self.renderer = StatusRenderer(
            self.objects, self.world.decided, self._report, lambda: self.now
        )

    def _report(self, name: ObjectKey, selector: Selector, revision: str) -> NodeReport:
        self.asked.append((name, selector, revision))
        return NodeReport()

    def seen(self, kind: ObjectKind, name: str, generation: int = 1, status: object = None) -> None:
        raw = {"metadata": {"name": name, "generation": generation}, "status": status}
        self.objects.put_object(ObjectKind(kind), key(name), raw)

    def render(self, kind: ObjectKind, name: str) -> dict[str, object]:
        rendered = self.renderer.render(ObjectKind(kind), key(name))
        assert rendered is not None
        return rendered

    def condition(self, kind: ObjectKind, name: str, of_type: str) -> dict[str, object]:
        conditions = self.render(kind, name)["conditions"]
        assert isinstance(conditions, list)
        [found] = [one for one in conditions if one["type"] == of_type]
        assert isinstance(found, dict)
        return found


def rendering() -> RenderedWorld:
    """Return a rendered world with all kinds of objects."""
    made = RenderedWorld()
    made.world.put(
        health_check(),
        backend("a", "10.0.0.1"),
        frontend("web", pool("p", a=10), generation=1, node_selector=(("role", "edge"),)),
    )
    made.seen(ObjectKind.FRONTEND, "web")
    made.seen(ObjectKind.BACKEND, "a")
    made.seen(ObjectKind.HEALTH_CHECK, "check")
    return made


async def test_every_kind_is_rendered_as_of_now() -> None:
    one = rendering()
    assert one.render(ObjectKind.FRONTEND, "web")["state"] == "unknown"
    one.world.verdict("a", up=True)
    assert one.render(ObjectKind.FRONTEND, "web")["state"] == "up"
    assert one.render(ObjectKind.BACKEND, "a")["state"] == "up"
    assert one.render(ObjectKind.BACKEND, "a")["frontends"] == 1
    assert one.render(ObjectKind.HEALTH_CHECK, "check")["backends"] == 1


async def test_nodes_are_asked_with_the_selector_and_the_revision() -> None:
    one = rendering()
    dataplane = one.render(ObjectKind.FRONTEND, "web")["dataplane"]
    assert isinstance(dataplane, dict)
    assert one.asked == [(key("web"), (("role", "edge"),), dataplane["revision"])]


@pytest.mark.parametrize("kind", [ObjectKind.FRONTEND, ObjectKind.BACKEND, ObjectKind.HEALTH_CHECK])
async def test_what_was_never_seen_or_is_gone_has_no_status(kind: ObjectKind) -> None:
    one = rendering()
    assert one.renderer.render(ObjectKind(kind), key("other")) is None
    for name in ("web", "a", "check"):
        one.objects.remove_object(ObjectKind(kind), key(name))
        assert one.renderer.render(ObjectKind(kind), key(name)) is None


async def test_rendering_twice_is_the_same_however_late() -> None:
    one = rendering()
    before = one.render(ObjectKind.FRONTEND, "web"), one.render(ObjectKind.BACKEND, "a")
    one.now += timedelta(hours=1)
    assert (one.render(ObjectKind.FRONTEND, "web"), one.render(ObjectKind.BACKEND, "a")) == before


async def test_the_time_of_a_condition_moves_with_its_status_alone() -> None:
    one = rendering()
    one.render(ObjectKind.BACKEND, "a")
    one.now += timedelta(hours=1)
    one.world.verdict("a", up=True)
    healthy = one.condition(ObjectKind.BACKEND, "a", "Healthy")
    assert (healthy["status"], healthy["lastTransitionTime"]) == (
        "True",
        "2026-01-01T13:00:00.000000Z",
    )
    accepted = one.condition(ObjectKind.BACKEND, "a", "Accepted")
    assert accepted["lastTransitionTime"] == "2026-01-01T12:00:00.000000Z"


async def test_conditions_of_the_last_program_keep_their_time() -> None:
    one = RenderedWorld()
    one.world.put(frontend("web", pool("p")))
    one.seen(ObjectKind.FRONTEND, "web", status=BEFORE)
    accepted = one.condition(ObjectKind.FRONTEND, "web", "Accepted")
    assert accepted["lastTransitionTime"] == "2025-01-01T00:00:00.000000Z"


async def test_the_echo_of_a_status_does_not_turn_back_what_was_rendered_since() -> None:
    one = rendering()
    one.render(ObjectKind.FRONTEND, "web")
    one.seen(ObjectKind.FRONTEND, "web", status=BEFORE)
    accepted = one.condition(ObjectKind.FRONTEND, "web", "Accepted")
    assert accepted["lastTransitionTime"] == "2026-01-01T12:00:00.000000Z"


async def test_a_status_is_of_the_generation_that_it_is_concluded_from() -> None:
    one = rendering()
    one.seen(ObjectKind.FRONTEND, "web", generation=2)
    assert one.render(ObjectKind.FRONTEND, "web")["observedGeneration"] == 1
    one.world.store.put_invalid(ObjectKind.FRONTEND, key("web"), [INVALID])
    one.world.reconcile()
    assert one.render(ObjectKind.FRONTEND, "web")["observedGeneration"] == 2


async def test_a_frontend_of_which_nothing_is_decided_yet_shows_what_it_showed() -> None:
    one = RenderedWorld()
    one.seen(ObjectKind.FRONTEND, "web", generation=7, status=BEFORE)
    assert one.render(ObjectKind.FRONTEND, "web") == BEFORE


async def test_not_understanding_a_frontend_takes_nothing_away() -> None:
    one = RenderedWorld()
    one.world.store.put_invalid(ObjectKind.FRONTEND, key("web"), [INVALID])
    one.world.reconcile()
    one.seen(ObjectKind.FRONTEND, "web", generation=7, status=BEFORE)
    rendered = one.render(ObjectKind.FRONTEND, "web")
    assert (rendered["state"], rendered["dataplane"]) == ("up", {"revision": "kept"})
    assert rendered["observedGeneration"] == 7
    accepted = one.condition(ObjectKind.FRONTEND, "web", "Accepted")
    assert (accepted["status"], accepted["reason"]) == ("False", "Invalid")
    assert accepted["message"] == "spec.x: is too long"


@pytest.mark.parametrize("kind", [ObjectKind.BACKEND, ObjectKind.HEALTH_CHECK])
async def test_what_is_wrong_with_an_object_is_said_on_it(kind: ObjectKind) -> None:
    one = RenderedWorld()
    one.world.store.put_invalid(kind, key("web"), [INVALID])
    one.world.reconcile()
    one.seen(kind, "web", generation=7)
    accepted = one.condition(kind, "web", "Accepted")
    assert (accepted["status"], accepted["reason"], accepted["observedGeneration"]) == (
        "False",
        "Invalid",
        7,
    )


@pytest.mark.parametrize("raw", [{}, {"metadata": None}, {"metadata": {"generation": "x"}}])
async def test_an_object_without_metadata_can_be_seen(raw: Raw) -> None:
    one = rendering()
    one.objects.put_object(ObjectKind.BACKEND, key("a"), raw)
    assert one.render(ObjectKind.BACKEND, "a")["observedGeneration"] == 0


# --- what a status tells ----------------------------------------------------------------------


def test_conditions_that_make_no_sense_are_left_out() -> None:
    good = {"type": "Accepted", "status": "True", "reason": "Accepted"}
    status = {"conditions": [good, "nonsense", {"type": "X"}, {**good, "status": "Perhaps"}]}
    assert [one.type for one in load_conditions(status)] == ["Accepted"]
    assert load_conditions({"conditions": "nonsense"}) == ()
    assert load_conditions(None) == ()


async def test_what_was_decided_is_read_from_the_status() -> None:
    one = rendering()
    one.world.verdict("a", up=True)
    previous = load_previous(key("web"), one.render(ObjectKind.FRONTEND, "web"))
    assert previous == PreviousDecision(
        content=DecisionContent(vip(), one.world.desired("web"), (("role", "edge"),)),
        order=one.world.reconciler.views[key("web")].order,
        states={key("a"): HealthState.UP},
        addresses={key("a"): ip_address("10.0.0.1")},
    )


@pytest.mark.parametrize(
    "status",
    [None, "nonsense", {}, {"dataplane": "nonsense", "backends": "x"}, {"backends": [{}, 1]}],
)
def test_a_status_that_makes_no_sense_tells_nothing(status: object) -> None:
    assert load_previous(key("web"), status) == PreviousDecision()


async def test_a_dataplane_without_states_is_still_known() -> None:
    one = rendering()
    status = {"dataplane": one.render(ObjectKind.FRONTEND, "web")["dataplane"]}
    previous = load_previous(key("web"), status)
    assert previous.vip == one.world.desired("web")
    assert previous.states == {}


async def test_a_withdrawn_frontend_has_no_dataplane_to_read() -> None:
    one = rendering()
    one.world.put(frontend("old", pool("p"), on=vip(), age=9))
    assert "dataplane" not in one.render(ObjectKind.FRONTEND, "web")
    status = one.render(ObjectKind.FRONTEND, "web")
    order = one.world.reconciler.views[key("web")].order
    assert status["withdrawn"] == {"term": order.term, "sequence": order.sequence}
    previous = load_previous(key("web"), status)
    assert (previous.content, previous.order) == (DecisionContent(withdrawn=True), order)


async def test_a_frontend_that_the_version_before_withdrew_is_known_to_be() -> None:
    one = rendering()
    one.world.put(frontend("old", pool("p"), on=vip(), age=9))
    status = one.render(ObjectKind.FRONTEND, "web")
    del status["withdrawn"]
    previous = load_previous(key("web"), status)
    assert (previous.content, previous.order) == (DecisionContent(withdrawn=True), UNORDERED)


async def test_the_nodes_that_a_decision_is_for_are_read_from_the_status() -> None:
    one = rendering()
    one.world.put(replace(frontend("web", pool("p", a=1)), node_selector=(("rack", "7"),)))
    previous = load_previous(key("web"), one.render(ObjectKind.FRONTEND, "web"))
    assert previous.content.selector == (("rack", "7"),)


def test_of_two_conditions_of_one_type_the_first_is_read() -> None:
    twice = [{"type": "A", "status": "True", "reason": reason} for reason in ("First", "Second")]
    assert [one.reason for one in load_conditions({"conditions": twice})] == ["First"]
