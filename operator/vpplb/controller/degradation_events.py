"""Events at the edges of what keeps frontends from serving as they should.

A reason of `Degraded` that begins, or ends, is an event. What was told last is read from the
status, so a restart tells nothing again. Two things would make too many of them:

- One cause has many frontends, such as a node that is lost: what begins, or ends, within GATHER is
  told of MOST_AT_ONCE, the last of which says of how many more it is true.
- Something comes and goes: of a reason of a frontend BURST edges are told at once, and then one a
  minute, which says how often it has changed in between.

An end is told only once it serves: a frontend that is down, or of which nobody knows, has not
recovered from anything.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from vpplb.model.health import HealthState
from vpplb.model.names import ObjectKey
from vpplb.model.token_bucket import TokenBucket
from vpplb.resources import event_reasons as events
from vpplb.resources.condition_reasons import PROBER_SUSPECT, STALE_DEGRADED
from vpplb.resources.event_reasons import EventNote, EventReason
from vpplb.resources.frontend_conditions import FrontendJudgement

GATHER = 1.0
"""Seconds in which edges of one reason gather."""
MOST_AT_ONCE = 10
"""Frontends of which an edge of one reason is told at once."""
BURST = 4
PER_SECOND = 1 / 60
"""Edges of one reason of one frontend that are told at once, and how many a second then."""


class DegradationEvent(NamedTuple):
    """What is sent when a reason of `Degraded` begins and when it ends; `ended` says the latter."""

    begins: EventReason
    ends: EventReason
    ended: str


DEGRADATION_EVENTS = {
    one.begins.reason: one
    for one in (
        DegradationEvent(
            events.PROBER_SUSPECT, events.PROBER_TRUSTED, "the prober is suspected no more"
        ),
        DegradationEvent(events.NODES_BEHIND, events.NODES_CAUGHT_UP, "no node is behind any more"),
        DegradationEvent(events.FAILED_OVER, events.FAILED_BACK, "the first pool serves again"),
        DegradationEvent(
            events.BACKENDS_DOWN, events.BACKENDS_RECOVERED, "no backend is missed any more"
        ),
        DegradationEvent(
            events.WEIGHTS_FLATTENED,
            events.WEIGHTS_EXACT,
            "the table serves the weights as they are",
        ),
        DegradationEvent(
            events.DIRECT_ROAD_LOST,
            events.DIRECT_ROAD_FOUND,
            "its nodes hear the leader directly",
        ),
    )
} | {
    STALE_DEGRADED.reason: DegradationEvent(
        events.NOT_SERVED, events.SERVED_AGAIN, "its status is kept again"
    )
}
"""By the reason of `Degraded`."""

_Reason = tuple[ObjectKey, str]
_TOLD_BY_ALARM = PROBER_SUSPECT.reason
"""Its beginning is told once of all frontends, with the numbers of backends that fell silent."""


@dataclass(slots=True)
class _WaitingEdge:
    """A reason of a frontend that has begun, or ended, and is not told yet; how often it has."""

    begins: bool
    message: str
    changes: int = 1


@dataclass(slots=True)
class DegradationEvents:
    """Hands the events to `emit`, with the frontend that each is about."""

    emit: Callable[[ObjectKey, EventNote], None]
    _reasons: dict[ObjectKey, frozenset[str]] = field(default_factory=dict)
    _waiting: dict[_Reason, _WaitingEdge] = field(default_factory=dict)
    _paces: dict[_Reason, TokenBucket] = field(default_factory=dict)
    _is_due: bool = False

    def set_announced(self, key: ObjectKey, problem: str) -> None:
        """Take over what the status of a frontend says (`status.problem`)."""
        reasons = frozenset(one.partition(":")[0] for one in problem.split(","))
        self._reasons[key] = reasons & DEGRADATION_EVENTS.keys()

    def note_judgement(self, key: ObjectKey, judged: FrontendJudgement) -> None:
        """Take note of how a frontend stands now; nothing of one that was never announced."""
        if (before := self._reasons.get(key)) is None:
            return
        said = {one.reason.reason: one.message for one in judged.degradations}
        is_up = judged.state is HealthState.UP
        for reason in said.keys() - before:
            self._put_edge(key, reason, begins=True, message=said[reason])
        for reason in before - said.keys() if is_up else ():
            self._put_edge(key, reason, begins=False, message=DEGRADATION_EVENTS[reason].ended)
        self._reasons[key] = frozenset(said if is_up else before | said.keys())

    def forget_frontend(self, key: ObjectKey) -> None:
        self._reasons.pop(key, None)
        for reason in DEGRADATION_EVENTS:
            self._waiting.pop((key, reason), None)
            self._paces.pop((key, reason), None)

    # --- pieces ------------------------------------------------------------------------------

    def _put_edge(self, key: ObjectKey, reason: str, *, begins: bool, message: str) -> None:
        waiting = self._waiting.get((key, reason))
        changes = waiting.changes + 1 if waiting is not None else 1
        self._waiting[key, reason] = _WaitingEdge(begins, message, changes)
        self._tell_later()

    def _tell_later(self) -> None:
        if not self._is_due:
            self._is_due = True
            asyncio.get_running_loop().call_later(GATHER, self._tell_waiting)

    def _tell_waiting(self) -> None:
        """Tell what may be told now; the rest waits on."""
        self._is_due, now = False, asyncio.get_running_loop().time()
        groups: dict[tuple[str, bool], list[tuple[ObjectKey, str]]] = {}
        for (key, reason), edge in list(self._waiting.items()):
            pace = self._paces.setdefault((key, reason), TokenBucket(PER_SECOND, BURST))
            if pace.seconds_until(now):
                continue
            del self._waiting[key, reason]
            if edge.changes == 2:  # it passed within a moment
                continue
            pace.take_tokens(now)
            often = f"; it has changed {edge.changes} times" if edge.changes > 1 else ""
            group = groups.setdefault((reason, edge.begins), [])
            group.append((key, f"{edge.message}{often}"))
        for (reason, begins), edges in groups.items():
            self._tell_group(reason, sorted(edges), begins=begins)
        if self._waiting:
            self._tell_later()

    def _tell_group(
        self, reason: str, edges: Sequence[tuple[ObjectKey, str]], *, begins: bool
    ) -> None:
        if begins and reason == _TOLD_BY_ALARM:
            return
        edges_of = DEGRADATION_EVENTS[reason]
        most = 1 if reason == _TOLD_BY_ALARM else MOST_AT_ONCE
        more = len(edges) - most
        for nth, (key, message) in enumerate(edges[:most], 1):
            others = f"; and so of {more} frontends more" if more > 0 and nth == most else ""
            event = edges_of.begins if begins else edges_of.ends
            self.emit(key, event.note(f"{message}{others}"))
