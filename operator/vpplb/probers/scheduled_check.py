"""One running check: when the backend is probed next, and what its results amount to.

Sans-I/O: whoever drives it asks `next_start`, says `start_probe` when one begins and `finish_probe`
(or `discard_probe`) when it ends. Times are seconds of any clock that never goes back.

The schedule is from start to start, each wait jittered, so it neither drifts with the length
of the probes nor keeps checks together that began together. A probe that starts late is
followed by the next one a whole wait after it really started: a backlog delays, but is never
made up for by a burst. A probe that lasts longer than the wait delays the next one until it
ends: probes of one backend never overlap.
"""

from collections.abc import Callable
from math import inf

from vpplb.health.cadence import first_wait, grid_of, mean_wait, next_start
from vpplb.health.machine import HealthCounter, count_result
from vpplb.model.check import IcmpProbe
from vpplb.model.clock import Clock
from vpplb.model.health import ProbeResponse, ProbeResult
from vpplb.reconcile.ports import CheckVerdict, ProbeAssignment, VerdictReason

_PASSED = ProbeResponse.PASSED  # a look into an enumeration costs, at each result

_FIRST_GAP = 10.0  # seconds between one reason and the next; each time twice as long …
_LONGEST_GAP = 640.0  # … up to here: for an API server, who says something else each time is noise
_LONGEST_GAP_OF_KIND = 40.0  # another code is another trouble: that waits no longer than this
_QUIET = 2 * _LONGEST_GAP  # a reason that stood for so long was no noise: the next is told soon


class ScheduledCheck:
    """Schedule and counter of one backend.

    `clock` dates the verdicts; `random` returns uniform numbers in [0, 1). `next_start` is
    when the next probe is due; it is meaningless while one runs. `response` is that of the last
    result, None before the first; while it is silence, `silent_since` is when the first probe
    of that began.
    """

    def __init__(
        self, assignment: ProbeAssignment, *, now: float, clock: Clock, random: Callable[[], float]
    ) -> None:
        cadence = assignment.spec.cadence
        position, of = assignment.position, assignment.of
        spread = first_wait(cadence, position, of, known=assignment.has_verdict)
        self.assignment = assignment
        self.next_start = now + spread.total_seconds()
        self._unmoving: ProbeResult | None = None
        self._set_counter(_start_counter(assignment))
        self._clock = clock
        self._random = random
        self._reported = assignment.resume_up if assignment.has_verdict else None
        self._started: float | None = None
        self._told: ProbeResult | None = None  # the reason of the verdict, as last told
        self._told_at = -inf
        self._gap = _FIRST_GAP  # how long the next reason waits
        self.response: ProbeResponse | None = None
        self.silent_since = 0.0

    def start_probe(self, now: float) -> float:
        """Begin a probe; return its lateness in seconds, 0 when it is on time.

        RuntimeError when one is running: that would be an overlap.
        """
        if self._started is not None:
            raise RuntimeError(f"{self.assignment.backend}: a probe is running already")
        self._started = now
        late = now - self.next_start
        return late if late > 0.0 else 0.0

    def finish_probe(self, result: ProbeResult, now: float) -> CheckVerdict | VerdictReason | None:
        """End the probe with its result; return the verdict, or why it stands, if that is news.

        News is a verdict other than the one last reported or, before any, than the one the
        check resumed from, unless that is held: then the pass that confirms it is news too.
        Another reason for the same verdict is news as well, but not often.
        """
        if result is self._unmoving:
            self.discard_probe(now)
            return None
        response = result.response
        if response is not self.response:
            self.response = response
            self.silent_since = now if self._started is None else self._started
        passed = response is _PASSED
        counter = count_result(self._counter, passed=passed)
        if counter is self._counter:
            self._unmoving = result  # when it comes again, as most do, it changes nothing again
        else:
            self._set_counter(counter)
        took = 0.0 if self._started is None else now - self._started
        self.discard_probe(now)
        up = counter.is_healthy
        if up is not passed:  # a failure confirms no verdict that is held
            return None
        if up is self._reported:
            return None if result == self._told else self._tell_reason(result, now)
        self._reported = up
        self._told, self._told_at, self._gap = result, -inf, _FIRST_GAP
        return CheckVerdict(
            backend=self.assignment.backend,
            generation=self.assignment.generation,
            up=up,
            code=result.code,
            detail=result.detail,
            at=self._clock.now(),
            took=took,
        )

    def _tell_reason(self, result: ProbeResult, now: float) -> VerdictReason | None:
        """Tell why the verdict stands, which is another reason than was told, if it is time."""
        same_kind = self._told is not None and result.code is self._told.code
        stood = now - self._told_at
        if stood < (self._gap if same_kind else min(self._gap, _LONGEST_GAP_OF_KIND)):
            self._unmoving = None  # it is to be looked at again when it comes again
            return None
        if self._told_at > -inf:
            self._gap = _FIRST_GAP if stood > _QUIET else min(2 * self._gap, _LONGEST_GAP)
        if self._told is not None:
            self._told_at = now
        self._told = result
        return VerdictReason(
            self.assignment.backend, self.assignment.generation, result.code, result.detail
        )

    def discard_probe(self, now: float) -> None:
        """End the probe without a result: it says nothing about the backend."""
        if self._started is None:
            raise RuntimeError(f"{self.assignment.backend}: no probe is running")
        due = next_start(self._started, self._wait, self._grid, self._random())
        self.next_start = due if due > now else now
        self._started = None

    def _set_counter(self, counter: HealthCounter) -> None:
        self._counter = counter
        self._unmoving = None
        self._wait = mean_wait(self.assignment.spec.cadence, counter).total_seconds()
        self._grid = grid_of(self._wait, icmp=isinstance(self.assignment.spec.probe, IcmpProbe))


def _start_counter(assignment: ProbeAssignment) -> HealthCounter:
    rise, fall = assignment.spec.cadence.rise, assignment.spec.cadence.fall
    if assignment.resume_up is None:
        return HealthCounter(rise=rise, fall=fall)
    return HealthCounter.resume_verdict(rise, fall, up=assignment.resume_up)
