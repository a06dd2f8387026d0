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
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from heapq import heappop, heappush
from math import ceil, inf
from random import random
from typing import Generic, Protocol, TypeVar

from vpplb.model.check import IcmpProbe, probe_type
from vpplb.model.clock import SystemClock
from vpplb.model.health import ProbeCode, ProbeResponse, ProbeResult
from vpplb.model.names import ObjectKey
from vpplb.probers.errors import ADVICE, ProberShortage, ShortageKind
from vpplb.probers.icmp_probe import IcmpAttempt, IcmpSockets
from vpplb.probers.poller import BATCH, EventPoller
from vpplb.probers.probe_resources import ProbeResources
from vpplb.probers.prober_shortage import SHORTEST_GAP, ListeningGaps, ShortageLog, ShortageStreaks
from vpplb.probers.scheduled_check import ScheduledCheck
from vpplb.probers.searcher import BodySearchProcess
from vpplb.probers.socket_pool import SocketPools
from vpplb.probers.stats import ProbeStatistics
from vpplb.probers.stream_probe import StreamAttempt
from vpplb.probers.worker_messages import map_note
from vpplb.reconcile.ports import (
    CheckVerdict,
    ProbeAssignment,
    ProbeRecord,
    ResponseChange,
    VerdictReason,
)

_log = logging.getLogger(__name__)

STARTS_A_TURN = 16
EXPIRIES_A_TURN = 256
MOST_RECORDS = 10_000
"""Records of probes that wait to be taken away; of more the oldest are lost."""
_ROUNDING = 0.001  # epoll waits whole milliseconds, rounded up
_SILENT = ProbeResponse.SILENT  # a look into an enumeration costs, at each result


class ProbeAttempt(Protocol):
    """How one check probes, one probe after the other."""

    def begin_probe(self) -> ProbeResult | None:
        """Begin a probe; None: it goes on. ProberShortage when it was not possible at all."""

    def expire_probe(self) -> ProbeResult: ...

    def abort_probe(self) -> None:
        """End the probe, if there is one; nobody is told."""


class RunningCheck:
    """A check and the probe that runs for it. `deadline` is infinite while none does."""

    def __init__(
        self,
        check: ScheduledCheck,
        make_attempt: Callable[[ProbeAssignment, Callable[[ProbeResult], None]], ProbeAttempt],
        on_result: Callable[["RunningCheck", ProbeResult], None],
    ) -> None:
        spec = check.assignment.spec
        self.check = check
        self.attempt = make_attempt(check.assignment, partial(on_result, self))
        self.generation = check.assignment.generation
        self.kind = probe_type(spec.probe)
        self.timeout = spec.cadence.timeout.total_seconds()
        self.started = 0.0
        self.deadline = inf
        self.armed = False  # among the deadlines, perhaps with that of an earlier probe
        self.cancelled = False
        self.without_result = False  # the last probe had none: it was the prober's fault
        self.is_followed = False  # its probes are recorded

    @property
    def is_prolonged(self) -> bool:
        """Whether the probe that runs was given its timeout once more."""
        return self.deadline > self.started + 1.5 * self.timeout


class CheckLoop:
    """All checks of one process. Not for several threads.

    `verdicts`, `changes` and `reasons` collect what was found, for the caller to take away after
    each turn.
    """

    def __init__(
        self,
        *,
        poller: EventPoller | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        uniform: Callable[[], float] = random,
        in_hand: memoryview | None = None,
    ) -> None:
        self.poller = poller or EventPoller()
        self.statistics = ProbeStatistics()
        self.verdicts: list[CheckVerdict] = []
        self.changes: list[ResponseChange] = []
        self.reasons: list[VerdictReason] = []
        self._records: deque[ProbeRecord] = deque(maxlen=MOST_RECORDS)
        self._followed = frozenset[ObjectKey]()
        self._answered = -inf  # when somebody last answered
        self._told_silence = False  # that nobody answers; the next who does is told then
        self._clock, self._wall_clock = monotonic, SystemClock()
        self._uniform = uniform
        self._icmp_sockets = IcmpSockets(self.poller, monotonic)
        self._in_hand = map_note() if in_hand is None else in_hand
        self._resources = ProbeResources(
            sockets=SocketPools(self.poller),
            searcher=BodySearchProcess(self.poller, monotonic),
            in_hand=self._in_hand,
        )
        self._gaps = ListeningGaps()
        self._streaks = ShortageStreaks()
        self._running: dict[ObjectKey, RunningCheck] = {}
        self._starts: TimerQueue[RunningCheck] = TimerQueue()
        self._deadlines: TimerQueue[RunningCheck] = TimerQueue()
        self._now = monotonic()
        self._shortage_log = ShortageLog(monotonic)

    def assign_checks(self, assignments: Sequence[ProbeAssignment]) -> None:
        """Start these checks, each in place of the backend's earlier one."""
        now = self._clock()
        for each in assignments:
            self.cancel_checks([each.backend])
            self._in_hand[0] = each.generation
            check = ScheduledCheck(each, now=now, clock=self._wall_clock, random=self._uniform)
            running = RunningCheck(check, self._make_attempt, self._finish_probe)
            running.is_followed = each.backend in self._followed
            self._running[each.backend] = running
            self._starts.add_timer(running.check.next_start, running)

    def cancel_checks(self, backends: Sequence[ObjectKey]) -> None:
        """Stop these checks; a probe on its way is dropped."""
        for each in backends:
            running = self._running.pop(each, None)
            if running is not None:
                running.cancelled = True
                running.deadline = inf
                running.attempt.abort_probe()
                self._streaks.end_streak(each)

    def follow_probes(self, backends: frozenset[ObjectKey]) -> None:
        """Record the probes of these backends from now on, and of no others."""
        changed, self._followed = self._followed ^ backends, backends
        for each in changed:
            if (running := self._running.get(each)) is not None:
                running.is_followed = each in backends

    def take_records(self) -> tuple[ProbeRecord, ...]:
        """Remove and return what was recorded."""
        records = tuple(self._records)
        self._records.clear()
        return records

    def count_short_checks(self) -> Mapping[str, int]:
        """Return how many checks have had no result lately, by what the prober is short of."""
        return {shortage.value: count for shortage, count in self._streaks.count_lasting().items()}

    def run_once(self, at_most: float) -> None:
        """Wait for what comes next, at most so many seconds, and do it."""
        listening = self._clock()
        if listening - self._now > SHORTEST_GAP:
            self._gaps.note_gap(ended=listening, seconds=listening - self._now)
        due = min(self._starts.next, self._deadlines.next)
        wait = max(0.0, min(at_most, due - listening))
        events = self.poller.wait_for_events(wait)
        self._now = now = self._clock()
        if now - listening - wait > _ROUNDING + SHORTEST_GAP:
            self._gaps.note_gap(ended=now, seconds=now - listening - wait - _ROUNDING)
        self.poller.dispatch_events(events)
        if len(events) < BATCH:
            self._expire_due(now)
        self._start_due(now)
        self._in_hand[0] = 0

    def close(self) -> None:
        self.cancel_checks(list(self._running))
        self._icmp_sockets.close()
        self._resources.sockets.close()
        self._resources.searcher.close()
        self.poller.close()

    def _make_attempt(
        self, check: ProbeAssignment, done: Callable[[ProbeResult], None]
    ) -> ProbeAttempt:
        if isinstance(check.spec.probe, IcmpProbe):
            return IcmpAttempt(check.spec, self._icmp_sockets, done)
        return StreamAttempt(check.spec, check.spec.probe, self._resources, done, check.generation)

    def _start_due(self, now: float) -> None:
        for running in self._starts.take_due(now, STARTS_A_TURN):
            if not running.cancelled:
                self._begin_probe(running)

    def _begin_probe(self, running: RunningCheck) -> None:
        self._in_hand[0] = running.generation
        running.started = started = self._clock()
        self.statistics.lateness.add_value(running.check.start_probe(started))
        try:
            result = running.attempt.begin_probe()
        except ProberShortage as error:
            self._drop_probe(running, error.shortage, str(error))
            return
        except Exception:
            _log.exception("a probe of %s could not begin", running.check.assignment.backend)
            running.attempt.abort_probe()
            self._drop_probe(running, ShortageKind.FAULT, "an error of the prober")
            return
        if result is not None:
            self._finish_probe(running, result)
            return
        running.deadline = started + running.timeout
        if not running.armed:
            self._arm_deadline(running)

    def _drop_probe(self, running: RunningCheck, shortage: ShortageKind, text: str) -> None:
        """Discard a probe that could not begin, or end; when that goes on and on, it counts."""
        if not self._discard_probe(running, shortage, text):
            code = ProbeCode.L3UNR if running.kind == "ICMP" else ProbeCode.L4CON
            detail = f"the prober cannot probe: {text}"
            self._finish_anyway(running, ProbeResult(code=code, detail=detail))

    def _finish_anyway(self, running: RunningCheck, result: ProbeResult) -> None:
        """Count a result though the prober is short: too many in a row were discarded.

        It is as silence: where almost all backends have it, the blind guard excuses them.
        """
        running.without_result = False  # so that the row goes on
        self._finish_probe(running, replace(result, unanswered=True))
        running.without_result = True

    def _finish_probe(self, running: RunningCheck, result: ProbeResult) -> None:
        if running.cancelled:
            return
        if running.without_result:
            running.without_result = False
            self._streaks.end_streak(running.check.assignment.backend)
        # An answer came no later than the wait ended; one without a wait comes now.
        now = self._now if self._now > running.started else self._clock()
        running.deadline = inf
        took = now - running.started
        self.statistics.count_result(running.kind, result.code, took)
        check = running.check
        if running.is_followed:
            self._record_probe(check.assignment.backend, took, result)
        before = check.response
        news = check.finish_probe(result, now)
        response = check.response
        if response is not _SILENT:
            self._answered = now
            if self._told_silence or response is not before:
                self._told_silence = False
                self._add_change(check)
        elif response is not before:
            self._add_change(check)
        if news is not None:
            if isinstance(news, VerdictReason):
                self.reasons.append(news)
            else:
                self._add_verdict(news, check)
        self._starts.add_timer(check.next_start, running)

    def _record_probe(self, backend: ObjectKey, took: float, result: ProbeResult) -> None:
        at = self._wall_clock.now().timestamp()
        self._records.append(ProbeRecord(backend, at, took, result.code, result.detail))

    def _add_change(self, check: ScheduledCheck) -> None:
        assert check.response is not None
        assigned = check.assignment
        self.changes.append(
            ResponseChange(
                backend=assigned.backend, generation=assigned.generation, response=check.response
            )
        )

    def _add_verdict(self, verdict: CheckVerdict, check: ScheduledCheck) -> None:
        """Note a verdict; one by silence says whether anybody else was heard since it began."""
        if check.response is _SILENT and self._answered < check.silent_since:
            verdict = replace(verdict, nobody_heard=True)
            self._told_silence = True
        self.verdicts.append(verdict)

    def _discard_probe(self, running: RunningCheck, shortage: ShortageKind, text: str) -> bool:
        """End a probe without a result, and return True; False: by now it has to count."""
        now = self._clock()
        running.without_result = True
        if not self._streaks.may_discard(running.check.assignment.backend, shortage, now):
            return False
        self._shortage_log.log_shortage(f"{text} ({ADVICE[shortage]})")
        self.statistics.count_discard(shortage.value)
        running.deadline = inf
        running.check.discard_probe(now)
        self._starts.add_timer(running.check.next_start, running)
        return True

    def _arm_deadline(self, running: RunningCheck) -> None:
        running.armed = True
        self._deadlines.add_timer(ceil(running.deadline / _ROUNDING) * _ROUNDING, running)

    def _expire_due(self, now: float) -> None:
        """End the probes whose time is over.

        A check is armed once, however fast it probes: when its time comes, what counts is the
        deadline of the present probe.
        """
        for running in self._deadlines.take_due(now, EXPIRIES_A_TURN):
            if running.deadline > now:
                running.armed = False
                if running.deadline < inf:
                    self._arm_deadline(running)
                continue
            running.armed = False
            self._in_hand[0] = running.generation
            if self._gaps.longest_since(running.started) > running.timeout / 2:
                self._expire_stalled(running, now)
            else:
                self._expire_one(running, self._finish_probe)

    def _expire_one(
        self, running: RunningCheck, finish: Callable[[RunningCheck, ProbeResult], None]
    ) -> None:
        try:
            result = running.attempt.expire_probe()
        except ProberShortage as error:
            self._drop_probe(running, error.shortage, str(error))
        else:
            finish(running, result)

    def _expire_stalled(self, running: RunningCheck, now: float) -> None:
        """End a probe during which the prober did not run for half of its timeout.

        Where that goes on and on the result counts. But it has its time once more before: in a
        prober that gets its core in slices, a request may have left with the last one only.
        """
        if running.is_prolonged:
            self._expire_one(running, self._finish_anyway)
        elif self._discard_probe(
            running, ShortageKind.CPU, "the prober itself did not run for half a timeout"
        ):
            running.attempt.abort_probe()
        else:
            running.deadline = now + running.timeout
            self._arm_deadline(running)


T = TypeVar("T")


class TimerQueue(Generic[T]):
    """Things by the moment they are due, in seconds of some clock. `next` is the earliest.

    Starts lie on a grid, so most moments have several things, which share an entry of the heap.
    """

    __slots__ = ("_due", "_moments", "next")

    def __init__(self) -> None:
        self.next = inf
        self._moments: list[float] = []  # a heap, each moment once
        self._due: dict[float, list[T]] = {}

    def add_timer(self, moment: float, thing: T) -> None:
        due = self._due.get(moment)
        if due is not None:
            due.append(thing)
            return
        self._due[moment] = [thing]
        heappush(self._moments, moment)
        self.next = self._moments[0]

    def take_due(self, now: float, at_most: int) -> list[T]:
        """Remove and return what is due, earlier moments first, but not more than so much."""
        taken: list[T] = []
        while self.next <= now and len(taken) < at_most:
            due = self._due[self.next]
            room = at_most - len(taken)
            taken += due[:room]
            if len(due) > room:
                del due[:room]
                break
            del self._due[heappop(self._moments)]
            self.next = self._moments[0] if self._moments else inf
        return taken
