"""Runs checks: one epoll loop with its own timers, in a process that does nothing else.

Why not asyncio: a task, a transport and a timeout handle a probe cost more than the probe.
Here a probe costs its system calls and a few calls of functions.

Each turn waits for events until the next timer, handles the events, then the timeouts that
were due when the wait ended, then starts what is due. In this order an answer that is already
there always counts before its timeout does. Only so many probes are started a turn that the
sockets never wait long for their turn; what remains due starts in the next one.
"""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from math import ceil, inf
from random import random

from vpplb.model.check import IcmpProbe
from vpplb.model.health import ProbeCode, ProbeResult, Response
from vpplb.model.names import ObjectKey
from vpplb.probers.checker import Check
from vpplb.probers.discards import Complaints, Discards
from vpplb.probers.echo import EchoAttempt, EchoSockets
from vpplb.probers.errors import ADVICE, Lack, ProberShort
from vpplb.probers.inhand import map_note
from vpplb.probers.poller import BATCH, Poller
from vpplb.probers.running import Attempt, Running
from vpplb.probers.searcher import Searcher
from vpplb.probers.socket_pool import SocketPools
from vpplb.probers.stalls import SHORTEST, Stalls
from vpplb.probers.stats import Statistics
from vpplb.probers.stream import Means, StreamAttempt
from vpplb.probers.timers import Timers
from vpplb.reconcile.ports import Assignment, Reason, Turn, Verdict

_log = logging.getLogger(__name__)

STARTS_A_TURN = 16
EXPIRIES_A_TURN = 256
_ROUNDING = 0.001  # epoll waits whole milliseconds, rounded up
_SILENT = Response.SILENT  # a look into an enumeration costs, at each result


class _WallClock:
    """The time that people read."""

    def now(self) -> datetime:
        """Return the present."""
        return datetime.now(UTC)


class CheckLoop:
    """All checks of one process. Not for several threads.

    `verdicts`, `turns` and `reasons` collect what was found, for the caller to take away after
    each turn.
    """

    def __init__(
        self,
        *,
        poller: Poller | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        uniform: Callable[[], float] = random,
        in_hand: memoryview | None = None,
    ) -> None:
        self.poller = poller or Poller()
        self.statistics = Statistics()
        self.verdicts: list[Verdict] = []
        self.turns: list[Turn] = []
        self.reasons: list[Reason] = []
        self._answered = -inf  # when somebody last answered
        self._asking = False  # that nobody does was told; that somebody does is to be
        self._clock = monotonic
        self._uniform = uniform
        self._echo = EchoSockets(self.poller, monotonic)
        self._in_hand = map_note() if in_hand is None else in_hand
        self._means = Means(
            sockets=SocketPools(self.poller),
            searcher=Searcher(self.poller, monotonic),
            in_hand=self._in_hand,
        )
        self._stalls = Stalls()
        self._discards = Discards()
        self._running: dict[ObjectKey, Running] = {}
        self._starts: Timers[Running] = Timers()
        self._deadlines: Timers[Running] = Timers()
        self._now = monotonic()
        self._complaints = Complaints(monotonic)

    def assign(self, assignments: Sequence[Assignment]) -> None:
        """Start these checks, each in place of the backend's earlier one."""
        now = self._clock()
        for each in assignments:
            self.cancel([each.backend])
            self._in_hand[0] = each.generation
            running = Running(
                Check(each, now=now, clock=_WallClock(), random=self._uniform), each.spec
            )
            running.attempt = self._attempt(each, partial(self._finish, running))
            self._running[each.backend] = running
            self._starts.add(running.check.next_start, running)

    def cancel(self, backends: Sequence[ObjectKey]) -> None:
        """Stop these checks; a probe on its way is dropped."""
        for each in backends:
            running = self._running.pop(each, None)
            if running is not None:
                running.cancelled = True
                running.deadline = inf
                running.attempt.abort()
                self._discards.end(each)

    def short(self) -> Mapping[str, int]:
        """Return how many checks have had no result lately, by what the prober is short of."""
        return {lack.value: count for lack, count in self._discards.lasting().items()}

    def turn(self, at_most: float) -> None:
        """Wait for what comes next, at most so many seconds, and do it."""
        listening = self._clock()
        if listening - self._now > SHORTEST:
            self._stalls.note(ended=listening, seconds=listening - self._now)
        due = min(self._starts.next, self._deadlines.next)
        wait = max(0.0, min(at_most, due - listening))
        happened = self.poller.wait(wait)
        self._now = now = self._clock()
        if now - listening - wait > _ROUNDING + SHORTEST:
            self._stalls.note(ended=now, seconds=now - listening - wait - _ROUNDING)
        self.poller.dispatch(happened)
        if len(happened) < BATCH:
            self._expire(now)
        self._start(now)
        self._in_hand[0] = 0

    def close(self) -> None:
        """Stop all checks and close all sockets."""
        self.cancel(list(self._running))
        self._echo.close()
        self._means.sockets.close()
        self._means.searcher.close()
        self.poller.close()

    def _attempt(self, check: Assignment, done: Callable[[ProbeResult], None]) -> Attempt:
        if isinstance(check.spec.probe, IcmpProbe):
            return EchoAttempt(check.spec, self._echo, done)
        return StreamAttempt(check.spec, check.spec.probe, self._means, done, check.generation)

    def _start(self, now: float) -> None:
        for running in self._starts.take(now, STARTS_A_TURN):
            if not running.cancelled:
                self._begin(running)

    def _begin(self, running: Running) -> None:
        self._in_hand[0] = running.generation
        running.started = started = self._clock()
        self.statistics.lateness.add(running.check.start(started))
        try:
            result = running.attempt.begin()
        except ProberShort as error:
            self._not_begun(running, error.lack, str(error))
            return
        except Exception:
            _log.exception("a probe of %s could not begin", running.check.assignment.backend)
            running.attempt.abort()
            self._not_begun(running, Lack.FAULT, "an error of the prober")
            return
        if result is not None:
            self._finish(running, result)
            return
        running.deadline = started + running.timeout
        if not running.armed:
            self._arm(running)

    def _not_begun(self, running: Running, lack: Lack, text: str) -> None:
        """Discard a probe that could not begin, or end; when that goes on and on, it counts."""
        if not self._discard(running, lack, text):
            code = ProbeCode.L3UNR if running.kind == "ICMP" else ProbeCode.L4CON
            detail = f"the prober cannot probe: {text}"
            self._finish_anyway(running, ProbeResult(code=code, detail=detail))

    def _finish_anyway(self, running: Running, result: ProbeResult) -> None:
        """Count a result though the prober is short: too many in a row were discarded.

        It is as silence: where almost all backends have it, the blind guard excuses them.
        """
        running.without_result = False  # so that the row goes on
        self._finish(running, replace(result, unanswered=True))
        running.without_result = True

    def _finish(self, running: Running, result: ProbeResult) -> None:
        if running.cancelled:
            return
        if running.without_result:
            running.without_result = False
            self._discards.end(running.check.assignment.backend)
        # An answer came no later than the wait ended; one without a wait comes now.
        now = self._now if self._now > running.started else self._clock()
        running.deadline = inf
        self.statistics.finished(running.kind, result.code, now - running.started)
        check = running.check
        before = check.response
        news = check.finish(result, now)
        response = check.response
        if response is not _SILENT:
            self._answered = now
            if self._asking or response is not before:
                self._asking = False
                self._turn(check)
        elif response is not before:
            self._turn(check)
        if news is not None:
            if isinstance(news, Reason):
                self.reasons.append(news)
            else:
                self._decided(news, check)
        self._starts.add(check.next_start, running)

    def _turn(self, check: Check) -> None:
        assert check.response is not None
        assigned = check.assignment
        self.turns.append(
            Turn(backend=assigned.backend, generation=assigned.generation, response=check.response)
        )

    def _decided(self, verdict: Verdict, check: Check) -> None:
        """Note a verdict; one by silence says whether anybody else was heard since it began."""
        if check.response is _SILENT and self._answered < check.silent_since:
            verdict = replace(verdict, alone=True)
            self._asking = True
        self.verdicts.append(verdict)

    def _discard(self, running: Running, lack: Lack, text: str) -> bool:
        """End a probe without a result, and return True; False: by now it has to count."""
        now = self._clock()
        running.without_result = True
        if not self._discards.excuses(running.check.assignment.backend, lack, now):
            return False
        self._complaints.log(f"{text} ({ADVICE[lack]})")
        self.statistics.discarded(lack.value)
        running.deadline = inf
        running.check.discard(now)
        self._starts.add(running.check.next_start, running)
        return True

    def _arm(self, running: Running) -> None:
        running.armed = True
        self._deadlines.add(ceil(running.deadline / _ROUNDING) * _ROUNDING, running)

    def _expire(self, now: float) -> None:
        """End the probes whose time is over.

        A check is armed once, however fast it probes: when its time comes, what counts is the
        deadline of the present probe.
        """
        for running in self._deadlines.take(now, EXPIRIES_A_TURN):
            if running.deadline > now:
                running.armed = False
                if running.deadline < inf:
                    self._arm(running)
                continue
            running.armed = False
            self._in_hand[0] = running.generation
            if self._stalls.longest_since(running.started) > running.timeout / 2:
                self._expire_stalled(running, now)
            else:
                self._expire_one(running, self._finish)

    def _expire_one(self, running: Running, finish: Callable[[Running, ProbeResult], None]) -> None:
        try:
            result = running.attempt.expire()
        except ProberShort as error:
            self._not_begun(running, error.lack, str(error))
        else:
            finish(running, result)

    def _expire_stalled(self, running: Running, now: float) -> None:
        """End a probe during which the prober did not run for half of its timeout.

        Where that goes on and on the result counts. But it has its time once more before: in a
        prober that gets its core in slices, a request may have left with the last one only.
        """
        if running.prolonged:
            self._expire_one(running, self._finish_anyway)
        elif self._discard(running, Lack.CPU, "the prober itself did not run for half a timeout"):
            running.attempt.abort()
        else:
            running.deadline = now + running.timeout
            self._arm(running)
