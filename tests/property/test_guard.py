"""The guard against a blind prober, through anything that checks may find.

Each backend has the counter of its check, so turns and verdicts come as workers tell them.
"""

from collections import Counter as Tally
from collections.abc import Callable, Iterable
from datetime import timedelta
from random import Random
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from data.examples import examples
from data.objects import backend, frontend, health_check, key, pool
from in_memory.world import World
from vpplb.health.machine import HealthCounter, count_result
from vpplb.model.health import HealthState, ProbeCode, ProbeResponse, ProbeResult
from vpplb.model.names import ObjectKey
from vpplb.plan.blind_guard import BlindGuard, ProberTrust
from vpplb.probers.scheduled_check import ScheduledCheck
from vpplb.reconcile.ports import CheckVerdict

PASS = ProbeResult(code=ProbeCode.L4OK, detail="connected")
SILENCE = ProbeResult(code=ProbeCode.L4TOUT, detail="no connection in time")
ANSWER = 0.001
"""Seconds that a backend takes to answer."""


class CadencedProber:
    """Probes what a world has assigned, as a worker does; `link` says whether it is there.

    A probe is answered when the link is there at its start and for as long as the answer takes.
    """

    def __init__(self, world: World, link: Callable[[float], bool], random: Random) -> None:
        self._world, self._link = world, link
        self._answered, self._asking = -1.0, False
        self._checks = {
            name: ScheduledCheck(one, now=world.time, clock=world.clock, random=random.random)
            for name, one in world.prober.running.items()
        }
        self._ends: dict[ObjectKey, float] = {}

    def run(self, until: float, watch: Callable[[], None]) -> None:
        """Probe until then; `watch` is called after whatever happens, and now and then."""
        world = self._world
        while world.time < until:
            name = min(self._checks, key=self._due)
            moment = min(self._due(name), world.time + 0.25, until)
            world.time = max(world.time, moment)
            if moment < self._due(name):
                world.reconcile()
            elif self._ends.pop(name, None) is not None:
                self._finish(self._checks[name], SILENCE)
            else:
                self._start(name, self._checks[name])
            watch()

    def _due(self, name: ObjectKey) -> float:
        return self._ends.get(name, self._checks[name].next_start)

    def _start(self, name: ObjectKey, check: ScheduledCheck) -> None:
        now = self._world.time
        check.start_probe(now)
        if self._link(now) and self._link(now + ANSWER):
            self._finish(check, PASS)
        else:
            self._ends[name] = now + check.assignment.spec.cadence.timeout.total_seconds()

    def _finish(self, check: ScheduledCheck, result: ProbeResult) -> None:
        world, before = self._world, check.response
        news = check.finish_probe(result, world.time)
        name, response = check.assignment.backend.name, check.response
        passed = response is ProbeResponse.PASSED
        self._answered = world.time if passed else self._answered
        if isinstance(news, CheckVerdict):
            alone = not passed and self._answered < check.silent_since
            self._asking |= alone
            world.verdict(name, news.up, code=news.code, alone=alone)
        elif response is not before or (passed and self._asking):
            world.turn(name, ProbeResponse.PASSED if passed else ProbeResponse.SILENT)
        self._asking &= not passed


NAMES = "abcdefghijkl"
CODES = {
    ProbeResponse.PASSED: ProbeCode.L4OK,
    ProbeResponse.ANSWERED: ProbeCode.L4CON,
    ProbeResponse.SILENT: ProbeCode.L4TOUT,
}
PASSED, ANSWERED, SILENT = CODES


class Simulation:
    """Twelve backends that are up, and a worker that probes them."""

    def __init__(self, fall: int) -> None:
        self.world = World()
        slow = health_check("slow", interval=timedelta(seconds=60), fall=fall)
        self.world.put(health_check("fast", fall=fall), slow)
        checks = ["fast"] * 10 + ["slow"] * 2
        servers = zip(NAMES, checks, strict=True)
        self.world.put(*(backend(n, f"10.0.0.{ord(n)}", check) for n, check in servers))
        self.world.put(frontend("web", pool("main", **dict.fromkeys(NAMES, 10))))
        self.counters = {name: HealthCounter(rise=2, fall=fall) for name in NAMES}
        self.responses: dict[str, ProbeResponse] = {}
        self.results = 0
        self.answered, self.silent_since = -1, dict.fromkeys(NAMES, 0)
        for name in NAMES:
            self.probe(name, PASSED)

    def probe(self, name: str, response: ProbeResponse) -> None:
        """Let a probe end so."""
        self.results += 1
        turned = self.responses.get(name) is not response
        if turned:
            self.responses[name], self.silent_since[name] = response, self.results
        if response is not SILENT:
            self.answered = self.results
        before = self.counters[name]
        after = self.counters[name] = count_result(before, passed=response is PASSED)
        if before.fresh or after.is_healthy is not before.is_healthy:
            alone = response is SILENT and self.answered < self.silent_since[name]
            self.world.verdict(name, after.is_healthy, code=CODES[response], alone=alone)
        elif turned or self.unsure:
            self.world.turn(name, response)

    @property
    def guard(self) -> BlindGuard:
        return self.world.reconciler._guard

    @property
    def unsure(self) -> bool:
        return self.guard.trust is ProberTrust.UNSURE

    def weights(self) -> dict[str, int]:
        return dict(zip(NAMES, self.world.weights(), strict=True))

    def check(self) -> None:
        """Assert what always holds."""
        backends = self.guard.backends
        assert self.guard.counts == Tally(role for one in backends.values() for role in one.roles)
        for name in NAMES:
            health = self.world.reconciler.get_health(key(name))
            assert not health.held or health.state is HealthState.DOWN
            assert (self.weights()[name] > 0) == health.counts_as_up
            assert health.held == backends[key(name)].held
        suspected = self.guard.trust is ProberTrust.SUSPECTED
        assert self.world.reconciler.views[key("web")].suspect == suspected
        alarms = self.world.sink.alarms
        assert bool(alarms and alarms[-1]) == suspected


results = st.tuples(st.sampled_from(NAMES), st.sampled_from((PASSED, ANSWERED, SILENT)))
bursts = st.tuples(st.sets(st.sampled_from(NAMES), min_size=9), st.sampled_from((SILENT, PASSED)))
events = st.one_of(results, bursts, st.sampled_from((1.0, 5.0, 90.0)))


def probes(event: tuple[Iterable[str], ProbeResponse]) -> list[tuple[str, ProbeResponse]]:
    return [(name, event[1]) for name in sorted(event[0])]


@pytest.mark.slow
async def test_the_sums_are_right_and_no_silence_takes_weight_while_suspected() -> None:
    @settings(max_examples=examples(60))
    @given(happening=st.lists(events, max_size=25), fall=st.sampled_from((1, 2, 3)))
    def holds(happening: list[tuple[Iterable[str], ProbeResponse] | float], fall: int) -> None:
        simulation = Simulation(fall)
        for event in happening:
            if isinstance(event, float):
                suspected, before = simulation.guard.trust, simulation.weights()
                simulation.world.wait(event)
                simulation.check()
                if suspected is not ProberTrust.TRUSTED:
                    assert simulation.weights() == before
                continue
            for name, response in probes(event):
                suspected, before = simulation.guard.trust, simulation.weights()
                epochs = simulation.world.epochs()
                simulation.probe(name, response)
                simulation.check()
                after = simulation.weights()
                lost = {each for each in NAMES if after[each] < before[each]}
                if suspected is ProberTrust.SUSPECTED:
                    assert lost <= ({name} if response is ANSWERED else set())
                elif suspected is ProberTrust.UNSURE and response is SILENT:
                    assert not lost
                if not lost:
                    assert simulation.world.epochs() == epochs
        simulation.world.close()

    holds()


@pytest.mark.slow
async def test_blindness_from_any_moment_on_takes_no_weight_and_ends_with_everybody_back() -> None:
    @settings(max_examples=examples(40))
    @given(
        order=st.lists(st.sampled_from(NAMES), min_size=40, max_size=80),
        back=st.permutations(NAMES),
        fall=st.sampled_from((1, 2, 3)),
    )
    def holds(order: list[str], back: list[str], fall: int) -> None:
        simulation = Simulation(fall)
        for name in (*order, *NAMES * fall):
            simulation.probe(name, SILENT)
            assert set(simulation.weights().values()) == {10}
        assert simulation.guard.trust.value == "suspected"
        for name in back * 2:
            simulation.probe(name, PASSED)
            assert set(simulation.weights().values()) == {10}
        assert simulation.guard.trust.value == "trusted"
        simulation.world.wait(200)
        assert set(simulation.weights().values()) == {10}
        assert set(simulation.world.epochs().values()) == {0}
        simulation.world.close()

    holds()


seconds = st.sampled_from((0.5, 1.0, 2.0, 5.0)).map(lambda each: timedelta(seconds=each))
cadences = st.fixed_dictionaries(
    {
        "interval": seconds,
        "fast_interval": seconds,
        "down_interval": seconds,
        "timeout": st.sampled_from((0.3, 1.0, 3.0)).map(lambda each: timedelta(seconds=each)),
        "fall": st.integers(1, 3),
        "rise": st.integers(1, 3),
    }
)


@pytest.mark.slow
async def test_with_real_schedules_a_link_that_goes_and_comes_back_takes_no_weight() -> None:
    @settings(max_examples=examples(10), phases=set(Phase) - {Phase.shrink, Phase.explain})
    @given(
        one=cadences,
        other=cadences,
        slow=st.booleans(),
        cut=st.floats(40, 45),
        lasts=st.floats(15, 60),
        seed=st.integers(),
    )
    def holds(
        one: dict[str, Any],
        other: dict[str, Any],
        slow: bool,
        cut: float,
        lasts: float,
        seed: int,
    ) -> None:
        world = World()
        if slow:
            other["interval"] = timedelta(seconds=10)
        world.put(health_check("one", **one), health_check("other", **other))
        checks = ["one"] * 6 + ["other"] * 6
        servers = zip(NAMES, checks, strict=True)
        world.put(*(backend(name, f"10.0.0.{ord(name)}", check) for name, check in servers))
        world.put(frontend("web", pool("main", **dict.fromkeys(NAMES, 10))))

        def link(moment: float) -> bool:
            return not cut <= moment < cut + lasts

        def nobody_is_out() -> None:
            assert set(world.weights()) == {10}

        prober = CadencedProber(world, link, Random(seed))
        prober.run(40, lambda: None)
        prober.run(cut + lasts + 60, nobody_is_out)
        assert {world.state(name) for name in NAMES} == {HealthState.UP}
        assert [bool(alarm) for alarm in world.sink.alarms] == [True, False]
        world.close()

    holds()
