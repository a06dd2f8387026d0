"""What a status tells the program that comes next."""

from dataclasses import replace
from ipaddress import ip_address

import pytest

from data.objects import frontend, key, pool, vip
from in_memory.rendered_world import rendering
from vpplb.model.decision_order import UNORDERED
from vpplb.model.health import HealthState
from vpplb.model.names import ObjectKind
from vpplb.plan.desired import DecisionContent, PreviousDecision
from vpplb.resources.previous_decision import load_previous


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
