"""The reconciler with a prober and a sink that only remember what they were told."""

import asyncio
from datetime import timedelta

from data.objects import address, backend, frontend, health_check, in_state, key, pool, vip
from in_memory.world import World
from vpplb.model.health import HealthState, ProbeCode
from vpplb.model.names import ObjectKind
from vpplb.model.problem import Problem
from vpplb.plan.desired import DecisionContent, PreviousDecision

UP, DOWN, UNKNOWN = HealthState.UP, HealthState.DOWN, HealthState.UNKNOWN


A, B = backend("a", "10.0.0.1"), backend("b", "10.0.0.2")
WEB = frontend("web", pool("p", a=10), pool("s", b=10))


async def served() -> World:
    """Frontend `web` with a (primary) and b (standby), both up."""
    world = World()
    world.put(health_check(), A, B, WEB)
    world.verdict("a", up=True)
    world.verdict("b", up=True)
    world.sink.take()
    return world


async def test_nothing_is_decided_before_all_lists_are_complete() -> None:
    world = World(synced=False)
    world.put(health_check(), A, B, WEB)
    assert not world.prober.started
    assert not world.sink.told
    world.reconciler.set_synced(1)
    await asyncio.sleep(0)
    assert set(world.prober.running) == {A.key, B.key}


async def test_checks_that_start_together_are_spread() -> None:
    world = World()
    world.put(health_check(), A, B, WEB)
    assert [(one.position, one.of) for one in world.prober.started] == [(0, 2), (1, 2)]


async def test_a_verdict_reaches_frontend_then_backend_then_transition() -> None:
    world = await served()
    world.verdict("a", up=False)
    assert world.weights() == [0, 10]
    assert world.sink.take() == [("frontend", "web"), ("backend", "a"), ("transition", "a")]
    last = world.sink.transitions[-1]
    assert (last.from_state, last.to_state, last.code) == (UP, DOWN, "L4CON")


async def test_why_a_backend_is_down_now_is_shown_and_nothing_else_follows() -> None:
    world = await served()
    world.verdict("a", up=False)
    world.sink.take()
    before = world.reconciler.get_health(A.key)
    world.reason("a", ProbeCode.L7STS, "503 Service Unavailable")
    assert world.sink.take() == [("backend", "a")]
    after = world.reconciler.get_health(A.key)
    assert (after.code, after.detail) == ("L7STS", "503 Service Unavailable")
    assert (after.since, after.transitions) == (before.since, before.transitions)
    world.reason("a", ProbeCode.L7STS, "503 Service Unavailable")
    assert world.sink.take() == []


async def test_a_reason_for_another_verdict_or_of_another_check_is_none() -> None:
    world = await served()
    world.reason("a", ProbeCode.L7STS, "503 Service Unavailable")
    world.reason("b", ProbeCode.L7OK, "204 No Content", generation=0)
    assert world.sink.take() == []


async def test_a_change_of_weight_leaves_probing_alone() -> None:
    world = await served()
    before = list(world.prober.started)
    world.put(frontend("web", pool("p", a=55), pool("s", b=10)))
    assert world.prober.started == before
    assert world.weights() == [55, 0]


async def test_an_edited_check_restarts_and_holds_the_verdict() -> None:
    world = await served()
    world.put(health_check(interval=timedelta(seconds=9)))
    assert len(world.prober.started) == 4
    assert world.state("a") is UNKNOWN
    assert world.weights() == [10, 0]


async def test_a_check_edited_without_effect_does_nothing() -> None:
    world = await served()
    world.put(health_check())
    assert len(world.prober.started) == 2
    assert world.sink.take() == []


async def test_a_changed_address_restarts_the_check_and_moves_the_server() -> None:
    world = await served()
    world.put(backend("a", "10.0.0.7"))
    assert world.prober.running[A.key].spec.address == address("10.0.0.7")
    desired = world.reconciler.views[key("web")].desired
    assert desired is not None
    assert address("10.0.0.7") in desired.servers
    assert address("10.0.0.1") not in desired.servers


async def test_pause_stops_the_check_and_a_late_verdict_changes_nothing() -> None:
    world = await served()
    generation = world.prober.running[A.key].generation
    world.put(backend("a", "10.0.0.1", paused=True))
    assert A.key not in world.prober.running
    world.verdict("a", up=False, generation=generation)
    assert world.state("a") is HealthState.PAUSED
    world.put(backend("a", "10.0.0.1"))
    world.verdict("a", up=False, generation=generation)
    assert world.state("a") is UNKNOWN


async def test_resuming_twice_starts_one_task() -> None:
    world = await served()
    world.put(backend("a", "10.0.0.1", paused=True))
    world.put(backend("a", "10.0.0.1"))
    world.put(backend("a", "10.0.0.1"))
    assert sum(one.backend == A.key for one in world.prober.started) == 2


async def test_disable_flushes_and_keeps_history() -> None:
    world = await served()
    world.put(backend("a", "10.0.0.1", enabled=False))
    desired = world.reconciler.views[key("web")].desired
    assert desired is not None
    assert desired.servers[address("10.0.0.1")].flush_epoch > 0
    world.put(backend("a", "10.0.0.1", enabled=False, paused=True))
    assert world.state("a") is HealthState.DISABLED
    history = world.reconciler.get_health(A.key).transitions
    assert [t.to_state for t in history] == [HealthState.DISABLED, UP]


async def test_a_backend_of_two_frontends_is_probed_once_until_the_last_is_gone() -> None:
    world = await served()
    world.put(frontend("other", pool("p", a=1), on=vip("192.0.2.11/32")))
    assert sum(one.backend == A.key for one in world.prober.started) == 1
    world.store.remove_object(ObjectKind.FRONTEND, key("web"))
    world.reconcile()
    assert A.key in world.prober.running
    world.sink.take()
    world.store.remove_object(ObjectKind.FRONTEND, key("other"))
    world.reconcile()
    assert A.key not in world.prober.running
    assert ("removed", "a from other") in world.sink.take()


async def test_a_deleted_backend_is_removed_from_each_frontend() -> None:
    world = await served()
    world.store.remove_object(ObjectKind.BACKEND, A.key)
    world.reconcile()
    assert world.prober.running.keys() == {B.key}
    assert ("removed", "a from web") in world.sink.take()
    assert world.weights() == [10]


async def test_a_deleted_health_check_takes_no_serving_backend_out() -> None:
    world = await served()
    world.store.remove_object(ObjectKind.HEALTH_CHECK, key("check"))
    world.reconcile()
    assert not world.prober.running
    assert world.weights() == [10, 0]


async def test_references_may_be_created_later_in_any_order() -> None:
    world = World()
    world.put(WEB)
    world.put(A)
    assert not world.prober.running
    world.put(health_check())
    assert set(world.prober.running) == {A.key}
    world.put(B)
    assert set(world.prober.running) == {A.key, B.key}


async def test_a_backend_without_check_is_up_at_once_without_a_task() -> None:
    world = World()
    world.put(backend("a", "10.0.0.1", check=None), frontend("web", pool("p", a=3)))
    assert not world.prober.started
    assert world.state("a") is UP
    assert world.weights() == [3]


async def test_a_restart_shows_nothing_when_the_first_results_confirm() -> None:
    before = await served()
    world = World(synced=False)
    for one in (A, B):
        world.reconciler.resume_backend(one.key, before.reconciler.get_health(one.key))
    view = before.reconciler.views[key("web")]
    world.reconciler.resume_frontend(
        key("web"),
        PreviousDecision(content=DecisionContent(vip=view.desired), states={A.key: UP, B.key: UP}),
    )
    world.put(health_check(), A, B, WEB)
    world.reconciler.set_synced(1)
    world.reconcile()
    assert [one.resume_up for one in world.prober.started] == [True, True]
    assert world.reconciler.views[key("web")].desired == view.desired
    assert not world.sink.transitions


async def test_the_winner_goes_and_the_loser_takes_over() -> None:
    world = await served()
    rival = frontend("rival", pool("p", b=7), age=-5)
    world.put(rival)
    assert world.reconciler.views[rival.key].desired is None
    world.store.remove_object(ObjectKind.FRONTEND, key("web"))
    world.reconcile()
    assert world.weights("rival") == [7]


async def test_an_unchanged_object_costs_no_decision() -> None:
    world = await served()
    world.put(A, B, WEB, health_check())
    assert world.sink.take() == []


async def test_an_invalid_version_leaves_the_last_good_one_in_force() -> None:
    world = await served()
    wrong = Problem(kind=ObjectKind.FRONTEND, key=key("web"), reason="Invalid", message="nonsense")
    world.store.put_invalid(ObjectKind.FRONTEND, key("web"), [wrong])
    world.reconcile()
    assert world.sink.take() == [("frontend", "web")]
    assert world.reconciler.views[key("web")].invalid == (wrong,)
    assert world.weights() == [10, 0]
    world.put(WEB)
    assert ("frontend", "web") in world.sink.take()
    assert world.reconciler.views[key("web")].invalid == ()


async def test_resumed_health_is_ignored_once_the_backend_is_known() -> None:
    world = await served()
    world.reconciler.resume_backend(A.key, in_state(DOWN))
    assert world.state("a") is UP


async def test_transitions_of_one_run_are_told_in_the_order_of_names() -> None:
    world = World()
    names = [f"b{n}" for n in range(20)]
    servers = [backend(name, f"10.0.0.{n}", check=None) for n, name in enumerate(names, 1)]
    world.put(frontend("web", pool("p", **dict.fromkeys(names, 1))), *servers)
    assert [one.backend.name for one in world.sink.transitions] == sorted(names)


async def test_a_closed_reconciler_decides_and_records_nothing() -> None:
    world = await served()
    world.reconciler.close()
    world.verdict("a", up=False)
    assert world.state("a") is UP
    assert world.sink.take() == []


async def test_what_a_backend_resumed_from_waits_until_the_backend_is_understood() -> None:
    world = World()
    wrong = Problem(kind=ObjectKind.BACKEND, key=A.key, reason="Invalid", message="nonsense")
    world.reconciler.resume_backend(A.key, in_state(UP))
    world.store.put_invalid(ObjectKind.BACKEND, A.key, [wrong])
    world.put(health_check(), WEB)
    assert world.state("a") is UP
    world.put(A)
    assert world.prober.running[A.key].resume_up is True
    assert world.weights() == [10]


async def test_a_deleted_backend_that_comes_back_knows_nothing_of_its_past() -> None:
    world = await served()
    world.remove(A)
    world.put(A)
    health = world.reconciler.get_health(A.key)
    assert (health.state, health.transitions) == (UNKNOWN, ())
    assert world.weights() == [0, 10]


async def test_without_the_guard_silence_takes_out_whoever_falls() -> None:
    world = World(blind_guard=False)
    names = "abcdefghijkl"
    world.put(health_check(), *(backend(name, f"10.0.0.{ord(name)}") for name in names))
    world.put(frontend("web", pool("p", **dict.fromkeys(names, 10))))
    for name in names:
        world.verdict(name, up=True)
    for name in names:
        world.fall_silent(name, alone=True)
    assert world.weights() == [0] * 12
    assert world.sink.alarms == []
