"""Checks on their real schedule, in virtual time, against a link that is there or not."""

from collections.abc import Callable
from random import Random

from in_memory.world import World
from vpplb.model.health import ProbeCode, ProbeResult, Response
from vpplb.model.names import ObjectKey
from vpplb.probers.checker import Check
from vpplb.reconcile.ports import Verdict

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
            name: Check(one, now=world.time, clock=world.clock, random=random.random)
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
                world.reconciler.reconcile()
            elif self._ends.pop(name, None) is not None:
                self._finish(self._checks[name], SILENCE)
            else:
                self._start(name, self._checks[name])
            watch()

    def _due(self, name: ObjectKey) -> float:
        return self._ends.get(name, self._checks[name].next_start)

    def _start(self, name: ObjectKey, check: Check) -> None:
        now = self._world.time
        check.start(now)
        if self._link(now) and self._link(now + ANSWER):
            self._finish(check, PASS)
        else:
            self._ends[name] = now + check.assignment.spec.cadence.timeout.total_seconds()

    def _finish(self, check: Check, result: ProbeResult) -> None:
        world, before = self._world, check.response
        news = check.finish(result, world.time)
        name, response = check.assignment.backend.name, check.response
        passed = response is Response.PASSED
        self._answered = world.time if passed else self._answered
        if isinstance(news, Verdict):
            alone = not passed and self._answered < check.silent_since
            self._asking |= alone
            world.verdict(name, news.up, code=news.code, alone=alone)
        elif response is not before or (passed and self._asking):
            world.turn(name, Response.PASSED if passed else Response.SILENT)
        self._asking &= not passed
