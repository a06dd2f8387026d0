"""Statuses as of now."""

from datetime import timedelta

import pytest

from data.manifests import Raw
from data.objects import frontend, key, pool
from in_memory.rendered_world import RenderedWorld, rendering
from vpplb.model.names import ObjectKind
from vpplb.model.problem import Problem

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
