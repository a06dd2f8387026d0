"""Whether the prober itself has gone blind, and who counts as up meanwhile though it is down.

One prober speaks for all nodes. When it loses its own network everything looks dead, and to act
on that would take the whole service down. So while nine in ten of the backends that were up are
silent at once, and none of the others that fail has answered, weights stay as they were.

Those that *were up* are up, or went down within the detection window. Each counts by its last
result: one not probed since the silence began has not failed. That alone would be too late where
one failure takes a backend down, or some are probed seldom. So a prober that has heard nobody since
a backend fell silent is UNSURE: falls by silence have no effect until somebody answers. A backend
in grace is *held* when it goes down: it counts as up. Its grace is open while the prober is in
doubt. Then it has the time of two probes: one to answer, one to show that it lasts. Who passes at
its end stays in grace until its verdict, so that recovering takes no weight away.
"""

from collections import Counter, deque
from collections.abc import Mapping
from enum import StrEnum
from functools import cache
from heapq import heappop, heappush
from typing import NamedTuple

from vpplb.health.cadence import DetectionWindow, return_time
from vpplb.model.check import ProbeCadence
from vpplb.model.health import BackendHealth, HealthState, ProberAlarm, ProbeResponse
from vpplb.model.names import ObjectKey

FEWEST_PROBED = 10  # with fewer, that all fall silent says too little


class ProberTrust(StrEnum):
    """What is thought of the prober. UNSURE is told to nobody: it lasts a probe or two."""

    TRUSTED = "trusted"
    UNSURE = "unsure"
    SUSPECTED = "suspected"


class GraceState(StrEnum):
    """Whether a backend counts as up when it goes down, and until when."""

    NONE = "none"
    OPEN = "open"
    ENDING = "ending"
    EXTENDED = "extended"


class GuardEvent(StrEnum):
    """What may change one of them, as may a backend's `ProbeResponse`."""

    TOO_FEW_PROBED = "fewer than ten are probed"
    ENOUGH_RETURNED = "a tenth of the suspects answer again"
    NEARLY_ALL_SILENT = "nine in ten are silent and none has failed by an answer"
    SOMEBODY_ANSWERED = "somebody answers"
    NOBODY_HEARD = "one goes down by silence while nobody is heard"
    SUSPECTED = "the prober is suspected for its silence"
    CLEARED = "the prober is trusted again"
    WENT_UP = "it goes up"
    RELEASED = "its time is over"


_Event = GuardEvent | ProbeResponse
_TRUSTED, _UNSURE, _SUSPECTED = ProberTrust
_NONE, _OPEN, _ENDING, _EXTENDED = GraceState
_SILENT = ProbeResponse.SILENT
_UNTIL_SUSPECTED = {
    GuardEvent.TOO_FEW_PROBED: _TRUSTED,
    GuardEvent.NEARLY_ALL_SILENT: _SUSPECTED,
    GuardEvent.SOMEBODY_ANSWERED: _TRUSTED,
    GuardEvent.NOBODY_HEARD: _UNSURE,
}
_RETURNED = [f"suspect_{one}" for one in ProbeResponse if one is not _SILENT]
# An event that a state does not know changes nothing. Of several the first decides.
PROBER_TRANSITIONS: Mapping[ProberTrust, Mapping[GuardEvent, ProberTrust]] = {
    _TRUSTED: _UNTIL_SUSPECTED,
    _UNSURE: _UNTIL_SUSPECTED,
    _SUSPECTED: {GuardEvent.TOO_FEW_PROBED: _TRUSTED, GuardEvent.ENOUGH_RETURNED: _TRUSTED},
}
_BEGIN: dict[_Event, GraceState] = {GuardEvent.SUSPECTED: _OPEN, GuardEvent.CLEARED: _ENDING}
_FAIL: dict[_Event, GraceState] = dict.fromkeys((ProbeResponse.STALLED, _SILENT), _EXTENDED)
_ENDS: tuple[_Event, ...] = (ProbeResponse.ANSWERED, GuardEvent.WENT_UP, GuardEvent.RELEASED)
_END = dict.fromkeys(_ENDS, _NONE)
GRACE_TRANSITIONS: Mapping[GraceState, Mapping[_Event, GraceState]] = {
    _NONE: _BEGIN,
    _OPEN: {**_BEGIN, **_END},
    _ENDING: {**_BEGIN, **_END, **_FAIL},
    _EXTENDED: {**_BEGIN, **_END},
}


class ProbedBackend(NamedTuple):
    """What is known of a probed backend. A tuple, for several are made with each verdict."""

    cadence: ProbeCadence
    up: bool  # as measured
    counted: bool  # among those that were up
    response: ProbeResponse | None = None
    suspect: bool = False  # the prober is suspected for its silence
    fell_at: float | None = None  # when it went down, if it was counted then
    held: bool = False  # it counts as up though it is down
    grace: GraceState = GraceState.NONE
    grace_end: float | None = None

    @property
    def roles(self) -> tuple[str, ...]:
        """As what it is counted, such as `were_up` and `were_up_silent`."""
        is_open = self.grace is GraceState.OPEN
        return _name_roles(self.response, open=is_open, were_up=self.counted, suspect=self.suspect)


@cache
def _name_roles(response: ProbeResponse | None, **roles: bool) -> tuple[str, ...]:
    found = [role for role, is_so in roles.items() if is_so]
    return ("probed", *found, *(f"{role}_{response}" for role in found))


def judge_prober(trust: ProberTrust, news: set[GuardEvent], counts: Counter[str]) -> ProberTrust:
    """Return the trust after the news; `counts` has the number of backends by role."""
    events = set(news)
    if counts["probed"] < FEWEST_PROBED:
        events.add(GuardEvent.TOO_FEW_PROBED)
    if 10 * sum(counts[role] for role in _RETURNED) >= counts["suspect"]:
        events.add(GuardEvent.ENOUGH_RETURNED)
    answered = counts["were_up_answered"] + counts["were_up_stalled"]
    if answered or 10 * counts["were_up_silent"] < 9 * counts["were_up"]:
        events.discard(GuardEvent.NEARLY_ALL_SILENT)  # which is news if another one fell silent
    return next((to for event, to in PROBER_TRANSITIONS[trust].items() if event in events), trust)


def change_grace(one: ProbedBackend, event: _Event, now: float, window: float) -> ProbedBackend:
    """Return a backend after an event; `window` is the detection window."""
    grace = GRACE_TRANSITIONS[one.grace].get(event)
    if grace is None:
        return one
    held, counted, end = one.held, one.counted, None
    if grace is GraceState.NONE:
        lately = one.fell_at is not None and one.fell_at >= now - window
        held, counted = False, one.up or lately
    elif grace is not GraceState.OPEN:
        end = now + return_time(one.cadence).total_seconds()
        # Who is silent still when the prober is trusted would begin the next suspicion.
        counted = counted and not (grace is GraceState.ENDING and one.response is _SILENT)
    return one._replace(grace=grace, grace_end=end, held=held, counted=counted)


class BlindGuard:
    """The guard over all probed backends; not `enabled`, it holds none."""

    def __init__(self, *, enabled: bool = True) -> None:
        self.trust = ProberTrust.TRUSTED
        self.backends: dict[ObjectKey, ProbedBackend] = {}
        self.counts: Counter[str] = Counter()
        self.window = DetectionWindow()
        self._enabled = enabled
        self._falls: deque[tuple[float, ObjectKey]] = deque()
        self._ends: list[tuple[float, ObjectKey]] = []  # of graces, a heap
        self._news: set[GuardEvent] = set()  # since the last review, as are the others
        self._fallen: list[ObjectKey] = []  # by silence, not in grace
        self._changed: set[ObjectKey] = set()

    def watch_backend(self, key: ObjectKey, cadence: ProbeCadence, health: BackendHealth) -> None:
        """Take in a backend whose check begins, or begins anew."""
        counted = health.counts_as_up
        suspect = counted and self.is_suspect(key)
        held = counted and health.state is HealthState.DOWN  # by whoever probed before
        self.unwatch_backend(key)
        one = ProbedBackend(cadence=cadence, up=counted and not held, counted=counted)
        if suspect or held:
            one = one._replace(suspect=suspect, held=held, grace=GraceState.OPEN)
        if held:
            self._news.add(GuardEvent.NOBODY_HEARD)
        self.backends[key] = one
        self.counts.update(one.roles)
        self.window.add_check(cadence)

    def unwatch_backend(self, key: ObjectKey) -> None:
        if (one := self.backends.pop(key, None)) is not None:
            self.counts.subtract(one.roles)
            self.window.remove_check(one.cadence)

    def on_response(self, response: ProbeResponse) -> None:
        if response is not _SILENT:
            self._news.add(GuardEvent.SOMEBODY_ANSWERED)

    def on_response_change(self, key: ObjectKey, response: ProbeResponse, now: float) -> None:
        self.on_response(response)
        if (before := self.backends.get(key)) is None:
            return
        event: _Event = response
        one = before._replace(response=response)
        if response is ProbeResponse.PASSED and one.grace is not GraceState.NONE:
            one = one._replace(counted=True)
        elif response is _SILENT:
            if before.response in (ProbeResponse.ANSWERED, ProbeResponse.STALLED) and not (
                one.up or one.held
            ):
                one = one._replace(counted=False)  # no silence took it down
            if one.counted:
                self._news.add(GuardEvent.NEARLY_ALL_SILENT)
                if self.trust is ProberTrust.SUSPECTED:
                    one, event = one._replace(suspect=True), GuardEvent.SUSPECTED
        self._change_grace(key, one, event, now)

    def on_verdict(self, key: ObjectKey, *, up: bool, nobody_heard: bool, now: float) -> None:
        """Take note of a verdict. `nobody_heard`: since the backend fell silent."""
        if (one := self.backends.get(key)) is None:
            return
        if up:
            one = one._replace(up=True, counted=True, fell_at=None)
            self._change_grace(key, one, GuardEvent.WENT_UP, now)
            return
        in_grace = one.grace is not GraceState.NONE
        if one.counted and one.response is _SILENT and not in_grace:
            self._fallen.append(key)
            if nobody_heard:
                self._news.add(GuardEvent.NOBODY_HEARD)
        if one.counted:
            self._falls.append((now, key))
            one = one._replace(fell_at=now)
        held = one.held or (in_grace and one.response is not ProbeResponse.ANSWERED)
        self._put_backend(key, one._replace(up=False, held=held))

    def review(self, now: float) -> Mapping[ObjectKey, bool]:
        """Judge what has happened; return whether those are held whose standing is another one."""
        while self._falls and self._falls[0][0] < now - self.window.seconds:
            at, key = self._falls.popleft()
            fallen = self.backends.get(key)
            if fallen is not None and fallen.fell_at == at and not fallen.held:
                self._put_backend(key, fallen._replace(counted=False))
        before = self.trust
        self.trust = judge_prober(before, self._news, self.counts) if self._enabled else before
        if self.trust is ProberTrust.TRUSTED:
            self._end_suspicion(now, was_suspected=before is ProberTrust.SUSPECTED)
        elif self.trust is ProberTrust.SUSPECTED and before is not self.trust:
            self._suspect_prober(now)
        for key in self._fallen if self.trust is not ProberTrust.TRUSTED else ():
            if (one := self.backends.get(key)) is not None and one.counted:
                self._change_grace(key, one._replace(held=True), GuardEvent.SUSPECTED, now)
        changed, self._changed, self._news, self._fallen = self._changed, set(), set(), []
        return {key: key in self.backends and self.backends[key].held for key in changed}

    @property
    def next_review(self) -> float | None:
        """When a review is due though nothing happens; None: never."""
        return self._ends[0][0] if self._ends and self.trust is ProberTrust.TRUSTED else None

    @property
    def alarm(self) -> ProberAlarm | None:
        alarm = ProberAlarm(silent=self.counts["were_up_silent"], were_up=self.counts["were_up"])
        return alarm if self.trust is ProberTrust.SUSPECTED else None

    def is_suspect(self, key: ObjectKey) -> bool:
        return key in self.backends and self.backends[key].suspect

    def _suspect_prober(self, now: float) -> None:
        """Blame it for all that is silent; hold whom that has taken down lately."""
        for key, one in list(self.backends.items()):
            in_grace = one.grace is not GraceState.NONE  # since an earlier suspicion
            suspect = one.response is _SILENT and (one.counted or in_grace)
            if in_grace or suspect:
                held = one.held or (suspect and not one.up)
                blamed = one._replace(counted=True, suspect=suspect, held=held)
                self._change_grace(key, blamed, GuardEvent.SUSPECTED, now)

    def _end_suspicion(self, now: float, *, was_suspected: bool) -> None:
        """Suspect nobody; set an end to each grace that is open, and end those that are over."""
        silent = self.counts["open_silent"]
        by_chance = silent == 1 and not was_suspected
        backends = list(self.backends.items()) if was_suspected or self.counts["open"] else []
        for key, before in backends:
            one = before._replace(suspect=False) if before.suspect else before
            is_open = one.grace is GraceState.OPEN
            if is_open and (not self._enabled or (by_chance and one.response is _SILENT)):
                self._change_grace(key, one, GuardEvent.RELEASED, now)
            # Probes of those that are up may be on their way still.
            elif is_open or (self._enabled and one.up and silent and not by_chance):
                self._change_grace(key, one, GuardEvent.CLEARED, now)
            elif before.suspect:
                self._put_backend(key, one)
        while self._ends and self._ends[0][0] <= now:
            end, key = heappop(self._ends)
            ended = self.backends.get(key)
            if ended is None or ended.grace_end != end:
                continue
            if not ended.held or ended.response is not ProbeResponse.PASSED:
                self._change_grace(key, ended, GuardEvent.RELEASED, now)

    def _change_grace(self, key: ObjectKey, one: ProbedBackend, event: _Event, now: float) -> None:
        self._put_backend(key, change_grace(one, event, now, self.window.seconds))

    def _put_backend(self, key: ObjectKey, one: ProbedBackend) -> None:
        before, self.backends[key] = self.backends[key], one
        if one.roles is not before.roles:
            self.counts.update(one.roles)
            self.counts.subtract(before.roles)
        if (one.held, one.suspect) != (before.held, before.suspect):
            self._changed.add(key)
        if one.grace_end is not None:
            # Even if it is over: that is not heeded while a backend passes, but when it fails.
            heappush(self._ends, (one.grace_end, key))
