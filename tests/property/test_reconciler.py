"""Whatever happens in whatever order: what is probed, what carries traffic, what is flushed.

`property.naive` says the same as the tables of the semantics, in the plainest way.
"""

from datetime import timedelta
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck as Hypothesis
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from data.examples import examples
from data.objects import backend, frontend, health_check, key, vip
from in_memory.world import Object, World
from property.naive import Naive
from vpplb.model.names import ObjectKey
from vpplb.model.objects import Backend, Frontend, HealthCheck, Pool, PoolMember
from vpplb.model.vip import IPAddress

CHECKS, BACKENDS, FRONTENDS = ("c1", "c2"), ("a", "b", "c", "d"), ("f", "g", "h")
VIPS = (vip("192.0.2.1/32", 80), vip("192.0.2.1/32", 81), vip("192.0.2.2/32", 80))

health_checks = st.builds(
    lambda name, port, seconds: health_check(name, port, interval=timedelta(seconds=seconds)),
    st.sampled_from(CHECKS),
    st.sampled_from((80, 443)),
    st.sampled_from((1, 2)),
)
# Each backend has two addresses of its own, so that an edit moves it.
backends = st.builds(
    lambda name, net, check, enabled, paused: backend(
        name, f"10.0.{net}.{ord(name)}", check, enabled=enabled, paused=paused
    ),
    st.sampled_from(BACKENDS),
    st.integers(0, 1),
    st.sampled_from((*CHECKS, "c1", None)),
    st.sampled_from((True, True, True, False)),
    st.sampled_from((False, False, False, True)),
)
members = st.dictionaries(
    st.sampled_from(BACKENDS), st.sampled_from((0, 1, 10, 100)), min_size=1, max_size=3
)
frontends = st.builds(
    # The older a frontend, the earlier in the alphabet; whether it flushes never changes.
    lambda name, on, pools: frontend(
        name,
        *(
            Pool(
                name=f"p{n}", members=tuple(PoolMember(key(b), w) for b, w in sorted(pool.items()))
            )
            for n, pool in enumerate(pools)
        ),
        on=on,
        age=-FRONTENDS.index(name),
        flush_on_down=name != "g",
    ),
    st.sampled_from(FRONTENDS),
    st.sampled_from(VIPS),
    st.lists(members, min_size=1, max_size=3),
)
objects = st.one_of(health_checks, backends, backends, frontends)


class FlushedServer(NamedTuple):
    """What a flush of a server depends on."""

    epoch: int
    states: frozenset[tuple[ObjectKey, str]]


LONG = 60.0
"""Seconds after which nobody waits for a verdict any more."""


class OperatorLife(RuleBasedStateMachine):
    """An operator through edits, verdicts and restarts."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.naive = Naive()
        self.outdated: list[tuple[str, int]] = []
        self.servers: dict[tuple[ObjectKey, IPAddress], FlushedServer] = {}
        self.generation = 0

    # --- what happens -----------------------------------------------------------------------

    @initialize(one=frontends, up=st.sets(st.sampled_from(BACKENDS), min_size=2))
    def begin(self, one: Frontend, up: set[str]) -> None:
        """Begin with something that serves, since most of what matters happens to that."""
        given = [backend(name, f"10.0.0.{ord(name)}", "c1") for name in BACKENDS]
        for each in (health_check("c1"), *given, one):
            self.put(each)
        for name in sorted(up & {running.name for running in self.world.prober.running}):
            self._verdict(key(name), up=True)

    @rule(one=objects)
    def put(self, one: Object) -> None:
        serving = self._serving()
        edit = isinstance(one, HealthCheck) and (HealthCheck, one.key) in self.naive.objects
        self.world.clock.advance(1)
        self.world.put(one)
        self.world.wait(LONG)
        self.naive.put(one)
        if edit:
            assert serving.items() <= self._serving().items()

    @rule(one=objects)
    def remove(self, one: Object) -> None:
        serving = self._serving()
        self.world.clock.advance(1)
        self.world.remove(one)
        self.world.wait(LONG)
        self.naive.remove(one)
        if isinstance(one, HealthCheck):
            assert serving.items() <= self._serving().items()

    @rule(one=objects)
    def put_again(self, one: Object) -> None:
        """Nothing that is said twice is done twice."""
        self.put(one)
        started = len(self.world.prober.started)
        self.world.sink.take()
        self.world.put(one)
        assert len(self.world.prober.started) == started
        assert self.world.sink.take() == []

    @precondition(lambda self: self.world.prober.running)
    @rule(data=st.data(), up=st.booleans())
    def verdict(self, data: st.DataObject, up: bool) -> None:
        self._verdict(data.draw(st.sampled_from(sorted(self.world.prober.running))), up)

    @precondition(lambda self: self.outdated)
    @rule(data=st.data(), up=st.booleans())
    def verdict_of_a_task_that_is_gone(self, data: st.DataObject, up: bool) -> None:
        name, generation = data.draw(st.sampled_from(self.outdated))
        before = (dict(self.world.reconciler.views), self.world.state(name))
        self.world.sink.take()
        self.world.verdict(name, up, generation)
        assert (dict(self.world.reconciler.views), self.world.state(name)) == before
        assert self.world.sink.take() == []

    @rule()
    def restart(self) -> None:
        """The next operator decides the same, starts each check once and announces nothing."""
        old, new = self.world, self.world.restarted()
        old.close()
        self.world, self.outdated, self.generation = new, [], 0
        views, before = new.reconciler.views, old.reconciler.views
        assert {k: v.desired for k, v in views.items()} == {k: v.desired for k, v in before.items()}
        assert {k: v.decision for k, v in views.items()} == {
            k: v.decision for k, v in before.items()
        }
        assert new.sink.transitions == []
        assert len(new.prober.started) == len(new.prober.running)
        for name in new.store.backends:
            assert new.reconciler.get_health(name) == old.reconciler.get_health(name)

    # --- what always holds ------------------------------------------------------------------

    @invariant()
    def probed_is_exactly_what_should_be(self) -> None:
        running = self.world.prober.running
        specs = {name: one.spec for name, one in running.items()}
        found = {name: (one.address, one.probe, one.cadence) for name, one in specs.items()}
        assert found == self.naive.probed()

    @invariant()
    def no_task_is_started_beside_another(self) -> None:
        started = self.world.prober.started
        generations = [one.generation for one in started]
        assert generations == sorted(set(generations))
        last = {one.backend: one.generation for one in started}
        self.outdated = [
            (one.backend.name, one.generation)
            for one in started
            if one.generation != last[one.backend] or one.backend not in self.world.prober.running
        ]

    @invariant()
    def states_are_those_of_the_table(self) -> None:
        for name, state in self.naive.state.items():
            health = self.world.reconciler.get_health(name)
            assert (health.state.value, health.held) == (state, name in self.naive.held)

    @invariant()
    def weights_are_those_of_the_table(self) -> None:
        found = {
            name: {at: server.weight for at, server in view.desired.servers.items()}
            for name, view in self.world.reconciler.views.items()
            if view.desired is not None
        }
        assert found == {one.key: self.naive.weights(one) for one in self.naive.accepted()}

    @invariant()
    def a_server_is_flushed_when_it_goes_down_or_is_disabled_and_only_then(self) -> None:
        now = self._servers()
        for (name, at), server in now.items():
            before = self.servers.get((name, at))
            if before is None:
                # Its VIP may have been there: when that is decided, what is down is flushed.
                assert not server.epoch or any(self._cuts(name, s) for _, s in server.states)
                continue
            due = any(
                self._cuts(name, state) and dict(before.states).get(b, state) != state
                for b, state in server.states
            )
            assert (server.epoch > before.epoch) == due
            assert server.epoch >= before.epoch
        self.servers = now

    # --- pieces -----------------------------------------------------------------------------

    def _verdict(self, name: ObjectKey, up: bool) -> None:
        self.world.verdict(name.name, up)
        self.world.wait(LONG)
        self.naive.verdict(name, up)

    def _serving(self) -> dict[ObjectKey, dict[IPAddress, int]]:
        """Return the weights of the frontends that carry traffic."""
        return {
            name: weights
            for name, view in self.world.reconciler.views.items()
            if view.desired
            if any(weights := {at: s.weight for at, s in view.desired.servers.items()})
            if any(weights.values())
        }

    def _servers(self) -> dict[tuple[ObjectKey, IPAddress], FlushedServer]:
        return {
            (one.key, at): FlushedServer(
                self.world.desired(one.key.name).servers[at].flush_epoch,
                frozenset(
                    (name, self.naive.state[name])
                    for pool in one.pools
                    for name, _ in pool.members
                    if (found := self.naive.objects.get((Backend, name)))
                    if isinstance(found, Backend) and found.address == at
                ),
            )
            for one in self.naive.accepted()
            for at in self.naive.weights(one)
        }

    @staticmethod
    def _cuts(frontend: ObjectKey, state: str) -> bool:
        return state == "disabled" or (state == "down" and frontend.name != "g")

    def teardown(self) -> None:
        self.world.close()


QUICK = settings(
    max_examples=examples(40),
    stateful_step_count=30,
    # A failure of thirty steps can be read as it is; making it shorter takes minutes.
    phases=set(Phase) - {Phase.shrink, Phase.explain},
    suppress_health_check=[Hypothesis.too_slow],
)


@pytest.mark.slow
async def test_a_life_of_edits_verdicts_and_restarts() -> None:
    run_state_machine_as_test(OperatorLife, settings=QUICK)


def _decided(world: World) -> dict[ObjectKey, object]:
    """Return what is decided of each frontend, but for what may depend on its past.

    That is the length of the table, which is kept while it serves, and when it flushed.
    """
    return {
        name: (
            view.config.resolved.problems,
            view.decision,
            view.desired and [(at, server.weight) for at, server in view.desired.servers.items()],
        )
        for name, view in world.reconciler.views.items()
    }


@pytest.mark.slow
async def test_the_order_in_which_objects_arrive_decides_nothing() -> None:
    @settings(QUICK, max_examples=examples(50))
    @given(
        arriving=st.lists(
            objects, min_size=6, max_size=12, unique_by=lambda one: (type(one), one.key)
        ),
        up=st.sets(st.sampled_from(BACKENDS), min_size=1),
        data=st.data(),
    )
    def holds(arriving: list[Object], up: set[str], data: st.DataObject) -> None:
        at_once, one_by_one = World(synced=False), World()
        at_once.put(*arriving)
        at_once.reconciler.set_synced(1)
        at_once.reconcile()
        for one in data.draw(st.permutations(arriving)):
            one_by_one.put(one)
        for world in (at_once, one_by_one):
            for name in sorted(world.prober.running):
                world.verdict(name.name, name.name in up)
            world.wait(LONG)
            world.close()
        assert _decided(at_once) == _decided(one_by_one)
        assert {n: one.spec for n, one in at_once.prober.running.items()} == {
            n: one.spec for n, one in one_by_one.prober.running.items()
        }

    holds()
