"""Whether the prober itself has gone blind, and who counts as up meanwhile though it is down.

One prober speaks for all nodes. When it loses its own network everything looks dead, and to act
on that would take the whole service down. So while nine in ten of the backends that were up are
silent at once, and none of the others that fail has answered, weights stay as they were.

*Were up*: the backends that are up, and those that went down within the detection window. Each
counts by its last result: one that has not been probed since the silence began has not failed.
That alone would come too late where one failure takes a backend down, or where some are probed
seldom. So a prober that has heard nobody at all since a backend fell silent says so, and is
UNSURE: falls by silence have no effect until somebody answers.

A backend in grace is *held* when it goes down: it counts as up. Its grace is open while the prober
is in doubt. Then it has the time of two probes: one to answer, one to show that it lasts. Who
passes at its end stays in grace until its verdict, so recovering takes no weight away.

There are two machines, as in h11: tables of states and events. All times are seconds of a clock
that never goes back.
"""

from collections import Counter, deque
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from heapq import heappop, heappush
from itertools import accumulate

from vpplb.model.health import BackendHealth, HealthState, Response
from vpplb.model.names import ObjectKey
from vpplb.plan.guard import Alarm

FEWEST_PROBED = 10
"""With fewer backends probed, that all fall silent says too little."""


class ProberTrust(Enum):
    """What is thought of the prober. UNSURE is told to nobody: it lasts a probe or two."""

    TRUSTED = "trusted"
    UNSURE = "unsure"
    SUSPECTED = "suspected"


class ProberEvent(Enum):
    """What may change that. Of several at once the first that the state knows decides."""

    TOO_FEW_PROBED = "fewer than ten are probed"
    ENOUGH_RETURNED = "a tenth of the suspects answer again"
    NEARLY_ALL_SILENT = "nine in ten are silent and none has failed by an answer"
    SOMEBODY_ANSWERED = "somebody answers"
    NOBODY_HEARD = "one goes down by silence while nobody is heard"


class GraceState(Enum):
    """Whether a backend counts as up when it goes down, and until when."""

    NONE = "none"
    OPEN = "open"
    ENDING = "ending"
    EXTENDED = "extended"


class GraceEvent(Enum):
    """What may change that."""

    BLAMED = "the prober is blamed for its silence"
    TRUSTED = "the prober is trusted again"
    FAILED = "it fails, not by an answer"
    ANSWERED = "it fails by an answer"
    WENT_UP = "it goes up"
    RELEASED = "its time is over"


_TRUSTED, _UNSURE, _SUSPECTED = ProberTrust
_NONE, _OPEN, _ENDING, _EXTENDED = GraceState
_DOUBT = {
    ProberEvent.TOO_FEW_PROBED: _TRUSTED,
    ProberEvent.NEARLY_ALL_SILENT: _SUSPECTED,
    ProberEvent.SOMEBODY_ANSWERED: _TRUSTED,
    ProberEvent.NOBODY_HEARD: _UNSURE,
}
PROBER_TRANSITIONS: Mapping[ProberTrust, Mapping[ProberEvent, ProberTrust]] = {
    _TRUSTED: _DOUBT,
    _UNSURE: _DOUBT,
    _SUSPECTED: {ProberEvent.TOO_FEW_PROBED: _TRUSTED, ProberEvent.ENOUGH_RETURNED: _TRUSTED},
}
"""An event that a state does not know changes nothing; so below."""

_BEGIN = {GraceEvent.BLAMED: _OPEN, GraceEvent.TRUSTED: _ENDING}
_END = dict.fromkeys((GraceEvent.ANSWERED, GraceEvent.WENT_UP, GraceEvent.RELEASED), _NONE)
GRACE_TRANSITIONS: Mapping[GraceState, Mapping[GraceEvent, GraceState]] = {
    _NONE: _BEGIN,
    _OPEN: _BEGIN | _END,
    _ENDING: _BEGIN | _END | {GraceEvent.FAILED: _EXTENDED},
    _EXTENDED: _BEGIN | _END,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbedBackend:
    """What is known of a probed backend.

    `detection`, `two_probes`: how long its check takes to notice, and for two probes when down.
    `up`: as measured. `counted`: among those that were up. `suspect`: the prober is suspected for
    its silence. `fell_at`: when it went down, if it was counted then. `held`: it counts as up.
    """

    detection: float
    two_probes: float
    up: bool
    counted: bool
    response: Response | None = None
    suspect: bool = False
    fell_at: float | None = None
    held: bool = False
    grace: GraceState = GraceState.NONE
    grace_end: float | None = None

    @property
    def is_silent(self) -> bool:
        return self.response is Response.SILENT

    @property
    def has_answered(self) -> bool:
        """Whether the last probe failed by an answer."""
        return self.response in (Response.ANSWERED, Response.STALLED)

    @property
    def roles(self) -> Iterator[str]:
        """As what it is counted."""
        yield "probed"
        if self.grace is GraceState.OPEN:
            yield "open"
        if self.counted:
            yield "were_up"
            yield "silent" if self.is_silent else "answered" if self.has_answered else "others"
        if self.suspect:
            yield "suspects"
            yield "waited_for" if self.is_silent or self.response is None else "returned"


def judge_prober(
    trust: ProberTrust, news: Collection[ProberEvent], counts: Mapping[str, int]
) -> ProberTrust:
    """Return the trust after the news; `counts` has the number of backends by role."""
    nearly_all = not counts["answered"] and 10 * counts["silent"] >= 9 * counts["were_up"]
    happened = {
        ProberEvent.TOO_FEW_PROBED: counts["probed"] < FEWEST_PROBED,
        ProberEvent.ENOUGH_RETURNED: 10 * counts["returned"] >= counts["suspects"],
        # Only a new silence begins a suspicion, so that what ends one does not begin the next.
        ProberEvent.NEARLY_ALL_SILENT: ProberEvent.NEARLY_ALL_SILENT in news and nearly_all,
        ProberEvent.SOMEBODY_ANSWERED: ProberEvent.SOMEBODY_ANSWERED in news,
        ProberEvent.NOBODY_HEARD: ProberEvent.NOBODY_HEARD in news,
    }
    table = PROBER_TRANSITIONS[trust]
    return next((table[event] for event, yes in happened.items() if yes and event in table), trust)


def change_grace(
    one: ProbedBackend, event: GraceEvent, *, now: float, window: float
) -> ProbedBackend:
    """Return a backend after an event; `window` is the detection window."""
    grace = GRACE_TRANSITIONS[one.grace].get(event)
    if grace is None:
        return one
    one = replace(one, grace=grace, grace_end=None)
    if grace is GraceState.NONE:
        lately = one.fell_at is not None and one.fell_at >= now - window
        return replace(one, held=False, counted=one.up or lately)
    if grace is GraceState.OPEN:
        return one
    # Who is silent still when the prober is trusted would begin the next suspicion.
    counted = one.counted and not (grace is GraceState.ENDING and one.is_silent)
    return replace(one, grace_end=now + one.two_probes, counted=counted)


def detection_window(times: Mapping[float, int]) -> float:
    """Return the time in which nine in ten checks notice what happened; `times` counts theirs."""
    ordered = sorted(times)
    seen = accumulate(times[each] for each in ordered)
    needed = 0.9 * sum(times.values())
    return next((each for each, n in zip(ordered, seen, strict=True) if n >= needed), 0.0)


class BlindGuard:
    """The guard over all probed backends; not `enabled`, it holds none.

    `review` judges what has happened. At `next_review` it is due though nothing happens.
    """

    def __init__(self, *, enabled: bool = True) -> None:
        self.trust = ProberTrust.TRUSTED
        self.backends: dict[ObjectKey, ProbedBackend] = {}
        self.counts: Counter[str] = Counter()
        self.window = 0.0
        self._enabled = enabled
        self._detections: Counter[float] = Counter()
        self._falls: deque[tuple[float, ObjectKey]] = deque()
        self._ends: list[tuple[float, ObjectKey]] = []  # of graces, a heap
        # Since the last review:
        self._stale = self._stale_window = False
        self._news: set[ProberEvent] = set()
        self._fallen: list[ObjectKey] = []  # by silence, not in grace
        self._changed: set[ObjectKey] = set()

    def watch_backend(
        self, key: ObjectKey, health: BackendHealth, *, detection: float, two_probes: float
    ) -> None:
        """Take in a backend whose check begins, or begins anew; times as in `ProbedBackend`."""
        counted = health.counts_as_up
        suspect = counted and self.is_suspect(key)
        held = counted and health.state is HealthState.DOWN  # by whoever probed before
        self.unwatch_backend(key)
        up = counted and not held
        one = ProbedBackend(detection=detection, two_probes=two_probes, up=up, counted=counted)
        if suspect or held:
            one = replace(one, suspect=suspect, held=held, grace=GraceState.OPEN)
        if held:
            self._news.add(ProberEvent.NOBODY_HEARD)
        self.backends[key] = one
        self.counts.update(one.roles)
        self._detections[detection] += 1

    def unwatch_backend(self, key: ObjectKey) -> None:
        self._stale = self._stale_window = True
        if (one := self.backends.pop(key, None)) is not None:
            self.counts.subtract(one.roles)
            self._detections[one.detection] -= 1

    def on_response(self, response: Response) -> None:
        """Take note of what a probe heard; whose it was does not matter."""
        self._stale = True
        if response is not Response.SILENT:
            self._news.add(ProberEvent.SOMEBODY_ANSWERED)

    def on_turn(self, key: ObjectKey, response: Response, now: float) -> None:
        """Take note that the results of a running check have turned."""
        self.on_response(response)
        if (before := self.backends.get(key)) is None:
            return
        one, event = replace(before, response=response), None
        match response:
            case Response.PASSED:
                one = replace(one, counted=one.counted or one.grace is not GraceState.NONE)
            case Response.ANSWERED:
                event = GraceEvent.ANSWERED
            case Response.STALLED:  # it may have begun before the prober saw again
                event = GraceEvent.FAILED
            case Response.SILENT:
                event = GraceEvent.FAILED
                if before.has_answered and not one.up and not one.held:
                    one = replace(one, counted=False)  # no silence took it down
                if one.counted:
                    self._news.add(ProberEvent.NEARLY_ALL_SILENT)
                    if self.trust is ProberTrust.SUSPECTED:
                        one, event = replace(one, suspect=True), GraceEvent.BLAMED
        self._put(key, one, event, now)

    def on_verdict(self, key: ObjectKey, *, up: bool, nobody_heard: bool, now: float) -> None:
        """Take note of a verdict. `nobody_heard`: since the backend fell silent."""
        self._stale = True
        if (one := self.backends.get(key)) is None:
            return
        in_grace = one.grace is not GraceState.NONE
        if up:
            one = replace(one, up=True, counted=True, fell_at=None)
            self._put(key, one, GraceEvent.WENT_UP, now)
            return
        if one.counted:
            self._falls.append((now, key))
            one = replace(one, fell_at=now)
            if one.is_silent and not in_grace:
                self._fallen.append(key)
                if nobody_heard:
                    self._news.add(ProberEvent.NOBODY_HEARD)
        held = one.held or (in_grace and one.response is not Response.ANSWERED)
        self._put(key, replace(one, up=False, held=held))

    def review(self, now: float) -> Collection[ObjectKey]:
        """Judge anew; return the backends that are held, or suspects, otherwise than before."""
        if self._stale or (self._ends and self._ends[0][0] <= now):
            self._forget_falls(now)
            before = self.trust
            if self._enabled:
                self.trust = judge_prober(before, self._news, self.counts)
            if self.trust is ProberTrust.TRUSTED:
                self._end_doubt(now, was_suspected=before is ProberTrust.SUSPECTED)
                self._end_graces(now)
            else:
                if self.trust is ProberTrust.SUSPECTED and before is not self.trust:
                    self._suspect_prober(now)
                for key in self._fallen:
                    if (one := self.backends.get(key)) is not None and one.counted:
                        self._put(key, replace(one, held=True), GraceEvent.BLAMED, now)
            self._stale, self._news, self._fallen = False, set(), []
        changed, self._changed = self._changed, set()
        return changed

    @property
    def next_review(self) -> float | None:
        """When a review is due though nothing happens; None: never."""
        return self._ends[0][0] if self._ends and self.trust is ProberTrust.TRUSTED else None

    @property
    def alarm(self) -> Alarm | None:
        """Why the prober is suspected; None while it is not."""
        if self.trust is not ProberTrust.SUSPECTED:
            return None
        return Alarm(silent=self.counts["silent"], were_up=self.counts["were_up"])

    def is_suspect(self, key: ObjectKey) -> bool:
        """Whether the prober is suspected for a backend's silence."""
        return key in self.backends and self.backends[key].suspect

    def _suspect_prober(self, now: float) -> None:
        """Blame it for all that is silent; hold whom that has taken down lately."""
        for key, one in list(self.backends.items()):
            in_grace = one.grace is not GraceState.NONE  # since an earlier suspicion
            suspect = one.is_silent and (one.counted or in_grace)
            if in_grace or suspect:
                held = one.held or (suspect and not one.up)
                blamed = replace(one, counted=True, suspect=suspect, held=held)
                self._put(key, blamed, GraceEvent.BLAMED, now)

    def _end_doubt(self, now: float, *, was_suspected: bool) -> None:
        """Suspect nobody; set an end to the graces that are open, to one by mere chance at once."""
        backends = list(self.backends.items()) if was_suspected or self.counts["open"] else []
        silent = sum(one.grace is GraceState.OPEN and one.is_silent for _, one in backends)
        by_chance = silent == 1 and not was_suspected
        for key, one in backends:
            event = None
            if one.grace is GraceState.OPEN:
                over = not self._enabled or (by_chance and one.is_silent)
                event = GraceEvent.RELEASED if over else GraceEvent.TRUSTED
            elif self._enabled and one.up and silent and not by_chance:
                event = GraceEvent.TRUSTED  # probes of it may be on their way
            if event is not None or one.suspect:
                self._put(key, replace(one, suspect=False), event, now)

    def _end_graces(self, now: float) -> None:
        """Release those whose time is over, unless they are held and pass."""
        while self._ends and self._ends[0][0] <= now:
            end, key = heappop(self._ends)
            one = self.backends.get(key)
            if one is None or one.grace_end != end:
                continue
            if not one.held or one.response is not Response.PASSED:
                self._put(key, one, GraceEvent.RELEASED, now)

    def _forget_falls(self, now: float) -> None:
        """Count those no longer that went down before the window, unless they are held."""
        if self._stale_window:
            self.window, self._stale_window = detection_window(self._detections), False
        while self._falls and self._falls[0][0] < now - self.window:
            at, key = self._falls.popleft()
            one = self.backends.get(key)
            if one is not None and one.fell_at == at and not one.held:
                self._put(key, replace(one, counted=False))

    def _put(
        self, key: ObjectKey, one: ProbedBackend, event: GraceEvent | None = None, now: float = 0.0
    ) -> None:
        """Replace a backend, after an event if there was one, and keep what follows from it."""
        if event is not None:
            one = change_grace(one, event, now=now, window=self.window)
        before, self.backends[key] = self.backends[key], one
        self.counts.subtract(before.roles)
        self.counts.update(one.roles)
        if (one.held, one.suspect) != (before.held, before.suspect):
            self._changed.add(key)
        if one.grace_end is not None:
            # Even if it is over: that is not heeded while a backend passes, but when it fails.
            heappush(self._ends, (one.grace_end, key))
