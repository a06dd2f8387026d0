import asyncio
from dataclasses import replace

import pytest

from data.objects import backend, frontend, health_check, key, pool
from in_memory.world import World
from vpplb.model.decision_order import UNORDERED, DecisionOrder
from vpplb.model.names import ObjectKind
from vpplb.model.objects import Frontend
from vpplb.model.problem import Problem
from vpplb.model.vip import Encap
from vpplb.plan.decisions import Decisions, UnreadFrontend
from vpplb.plan.desired import FrontendView
from vpplb.reconcile.frontend_decider import DeadlineQueue

A, B = backend("a", "10.0.0.1"), backend("b", "10.0.0.2")
WEB = frontend("web", pool("p", a=10), pool("s", b=10))
FOREIGN = DecisionOrder(900, 7)


def served(world: World | None = None) -> World:
    world = world or World()
    world.put(health_check(), A, B, WEB)
    world.verdict("a", up=True)
    world.verdict("b", up=True)
    return world


def order(world: World, name: str = "web") -> DecisionOrder:
    return world.reconciler.views[key(name)].order


def decided_orders(decisions: Decisions) -> dict[str, DecisionOrder]:
    views = decisions.frontends.items()
    return {name.name: view.order for name, view in views if isinstance(view, FrontendView)}


# --- the order: each new decision has a later one, the same decision keeps the one it has --------


async def test_a_flapping_backend_makes_orders_grow() -> None:
    world = served()
    orders = [order(world)]
    for up in (False, True, False, True):
        world.verdict("a", up=up)
        orders.append(order(world))
    assert orders == sorted(set(orders))
    assert {one.term for one in orders} == {1}


async def test_the_orders_of_all_frontends_come_from_one_count() -> None:
    world = served()
    world.put(frontend("api", pool("p", a=10), on=WEB.vip._replace(port=81)))
    world.verdict("a", up=False)
    assert order(world, "api").sequence != order(world).sequence


async def test_what_nodes_do_not_act_on_changes_no_order() -> None:
    world = served()
    before = order(world)
    world.put(replace(WEB, generation=9))
    wrong = Problem(kind=ObjectKind.FRONTEND, key=key("web"), reason="Invalid", message="no")
    world.store.put_invalid(ObjectKind.FRONTEND, key("web"), [wrong])
    world.reconcile()
    assert world.reconciler.views[key("web")].invalid
    assert order(world) == before


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param(replace(WEB, node_selector=(("rack", "7"),)), id="other nodes"),
        pytest.param(replace(WEB, vip=WEB.vip._replace(port=81)), id="another VIP"),
        pytest.param(frontend("web", pool("p", a=11), pool("s", b=10)), id="a weight"),
    ],
)
async def test_what_nodes_act_on_is_a_new_decision(changed: Frontend) -> None:
    world = served()
    before = order(world)
    world.put(changed)
    assert order(world) > before


async def test_a_withdrawal_is_a_decision_and_so_is_what_ends_it() -> None:
    world = served()
    before = order(world)
    rival = frontend("rival", pool("p", b=7), age=5)
    world.put(rival)
    view = world.reconciler.views[key("web")]
    assert (view.desired, view.withdrawn) == (None, True)
    assert view.order > before
    world.remove(rival)
    assert order(world) > view.order


async def test_where_no_server_fits_any_more_nodes_are_told_nothing() -> None:
    world = served()
    world.put(replace(WEB, encap=Encap.GRE4))
    world.put(backend("a", "2001:db8::1"), backend("b", "2001:db8::2"))
    view = world.reconciler.views[key("web")]
    assert (view.desired, view.withdrawn) == (None, False)


# --- restarts ---------------------------------------------------------------------------------


async def test_an_operator_that_restarts_keeps_all_orders() -> None:
    world = served()
    world.put(frontend("rival", pool("p", b=7), age=-5))
    orders = {name: view.order for name, view in world.reconciler.views.items()}
    again = world.restarted()
    assert {name: view.order for name, view in again.reconciler.views.items()} == orders
    again.verdict("a", up=True)
    again.verdict("b", up=True)
    assert {name: view.order for name, view in again.reconciler.views.items()} == orders
    again.verdict("a", up=False)
    assert order(again) == DecisionOrder(2, 1)


async def test_what_the_version_before_decided_gets_an_order_at_once_and_is_the_same() -> None:
    world = served()
    world.put(frontend("rival", pool("p", b=7), age=-5))
    unordered = World(synced=False)
    for name in (key("web"), key("rival")):
        previous = world.reconciler.get_previous(name)
        unordered.reconciler.resume_frontend(name, replace(previous, order=UNORDERED))
    for one in (A, B):
        unordered.reconciler.resume_backend(one.key, world.reconciler.get_health(one.key))
    unordered.put(*world.objects())
    unordered.reconciler.set_synced(5)
    unordered.reconcile()
    assert order(unordered, "rival") == DecisionOrder(5, 1)
    assert order(unordered) == DecisionOrder(5, 2)
    assert unordered.desired() == world.desired()


@pytest.mark.parametrize(("term", "begun"), [(4, 6), (5, 6), (9, 9)])
async def test_a_term_is_later_than_those_of_what_is_taken_over(term: int, begun: int) -> None:
    world = World(synced=False)
    world.reconciler.resume_frontend(
        key("web"), replace(world.reconciler.get_previous(key("web")), order=DecisionOrder(5, 3))
    )
    world.reconciler.set_synced(term)
    assert world.reconciler.term == begun


async def test_one_that_has_lost_the_lease_before_it_begins_outbids_nobody() -> None:
    world = World(synced=False, holds_lease=lambda: False)
    of_another = replace(world.reconciler.get_previous(key("web")), order=DecisionOrder(9, 3))
    world.reconciler.resume_frontend(key("web"), of_another)
    world.reconciler.set_synced(5)
    world.put(health_check(), A, B, WEB)
    assert world.reconciler.term == 5
    assert order(world).term == 5


# --- what others decided ----------------------------------------------------------------------


async def test_a_decision_of_an_earlier_term_is_renewed_once_and_flushes_nothing() -> None:
    world = served()
    world.verdict("a", up=False)
    again = world.restarted()
    before = again.desired()
    again.wait(100)
    again.reconciler.renew_order(key("web"))
    assert decided_orders(again.reconciler.reconcile()) == {"web": DecisionOrder(2, 1)}
    assert again.desired() == before
    again.reconciler.renew_order(key("web"))
    assert decided_orders(again.reconciler.reconcile()) == {}


async def test_one_without_an_order_is_renewed_too_and_one_that_is_not_there_is_not() -> None:
    world = served()
    world.reconciler.renew_order(key("nobody"))
    assert world.reconciler.reconcile().frontends == {}
    assert order(world).term == 1


async def test_a_renewed_order_is_told_without_anything_else_happening() -> None:
    again = served().restarted()
    again.reconciler.renew_order(key("web"))
    await asyncio.sleep(0)
    assert order(again) == DecisionOrder(2, 1)
    again.close()


async def test_a_term_that_was_heard_of_is_passed_for_what_is_decided_next() -> None:
    world = served()
    world.reconciler.raise_term(1)
    assert world.reconciler.term == 1
    world.reconciler.raise_term(800)
    assert world.reconciler.term == 801
    before = order(world)
    world.verdict("a", up=False)
    assert before.term == 1
    assert order(world) == DecisionOrder(801, 1)


async def test_one_that_may_have_lost_the_lease_outbids_nobody_until_it_has_renewed() -> None:
    holds = [False]
    world = served(World(holds_lease=lambda: holds[0]))
    world.reconciler.raise_term(800)
    world.verdict("a", up=False)
    assert order(world).term == world.reconciler.term == 1
    holds[0] = True
    world.verdict("a", up=True)
    assert order(world) == DecisionOrder(801, 1)


async def test_a_status_with_a_later_order_than_ours_is_decided_anew() -> None:
    world = served()
    world.reconciler.heed_order(key("web"), FOREIGN)
    world.reconcile()
    assert order(world) == DecisionOrder(901, 1)
    world.reconciler.heed_order(key("web"), order(world))
    world.reconciler.heed_order(key("web"), FOREIGN)
    world.reconcile()
    assert order(world) == DecisionOrder(901, 1)


async def test_a_status_with_an_order_of_this_term_that_is_another_frontends_is_decided_anew() -> (
    None
):
    world = served()
    world.put(frontend("api", pool("p", a=10), on=WEB.vip._replace(port=81)))
    before = order(world)
    world.reconciler.heed_order(key("web"), order(world, "api"))
    world.reconcile()
    assert order(world) > order(world, "api") > before
    assert world.reconciler.term == 1


async def test_a_frontend_that_appears_with_a_later_order_than_ours_is_decided_after_it() -> None:
    world = served()
    previous = replace(world.reconciler.get_previous(key("web")), order=FOREIGN)
    world.reconciler.resume_frontend(key("copy"), previous)
    world.put(frontend("copy", pool("p", a=1), on=WEB.vip._replace(port=82)))
    assert order(world, "copy") > FOREIGN


async def test_one_that_is_not_understood_has_no_order_and_keeps_the_one_before() -> None:
    world = World()
    previous = replace(world.reconciler.get_previous(key("web")), order=DecisionOrder(1, 5))
    world.reconciler.resume_frontend(key("web"), previous)
    wrong = Problem(kind=ObjectKind.FRONTEND, key=key("web"), reason="Invalid", message="no")
    world.store.put_invalid(ObjectKind.FRONTEND, key("web"), [wrong])
    [view] = world.reconciler.reconcile().frontends.values()
    assert isinstance(view, UnreadFrontend)
    assert world.reconciler.get_previous(key("web")).order == DecisionOrder(1, 5)


# --- what is due --------------------------------------------------------------------------------

FIRST, SECOND = key("a"), key("b")


def test_what_is_due_is_told_once_in_the_order_of_its_times() -> None:
    agenda = DeadlineQueue(lambda: None)
    agenda.put_key(FIRST, 2.0)
    agenda.put_key(SECOND, 1.0)
    assert agenda.pop_due(0.5) == []
    assert agenda.pop_due(2.0) == [SECOND, FIRST]
    assert agenda.pop_due(3.0) == []


def test_a_later_time_takes_the_place_of_the_earlier_and_none_takes_it_away() -> None:
    agenda = DeadlineQueue(lambda: None)
    agenda.put_key(FIRST, 1.0)
    agenda.put_key(FIRST, 3.0)
    agenda.put_key(SECOND, 1.0)
    agenda.put_key(SECOND, None)
    assert agenda.pop_due(2.0) == []
    assert agenda.pop_due(3.0) == [FIRST]


@pytest.mark.looptime
async def test_it_wakes_when_the_next_is_due_and_not_after_it_is_closed() -> None:
    loop = asyncio.get_running_loop()
    woken: list[float] = []
    agenda = DeadlineQueue(lambda: woken.append(loop.time()))
    agenda.put_key(FIRST, loop.time() + 5)
    agenda.await_next(loop.time())
    agenda.await_next(loop.time())
    await asyncio.sleep(6)
    assert woken == [5]
    agenda.cancel_timer()
    await asyncio.sleep(6)
    assert woken == [5]
