"""The decisions on backends: which are probed and how, and how healthy each is.

What the store says gives a backend its probe mode, and a change of that starts or stops its check;
what checks find gives it its health. While the prober is in doubt, the guard says who counts as up
though down.
"""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime

from vpplb.health.cadence import first_verdict_time
from vpplb.health.lifecycle import (
    CheckStart,
    ProbedMode,
    ProbeMode,
    change_mode,
    change_state,
    explain_state,
)
from vpplb.model.clock import Clock
from vpplb.model.health import BackendHealth, HealthState, HealthTransition
from vpplb.model.names import ObjectKey, ObjectKind
from vpplb.plan.blind_guard import BlindGuard
from vpplb.plan.decisions import BackendView, Decisions
from vpplb.reconcile.object_store import DirtyKeys, ObjectStore
from vpplb.reconcile.ports import CheckVerdict, Prober, ResponseChange, VerdictReason
from vpplb.reconcile.probe_assignments import ProbeAssignments, choose_mode

SLACK = 3.0
"""Seconds, beyond the time of a probe, that first verdicts may take: a process has to start, and
objects that name each other come in any order."""


@dataclass(slots=True, kw_only=True)
class _BackendRecord:
    health: BackendHealth = field(default_factory=BackendHealth)
    mode: ProbeMode | None = None
    frontends: frozenset[ObjectKey] = frozenset()


class BackendDecider:
    """Holds the health of every backend, and has those probed that are to be."""

    def __init__(
        self,
        store: ObjectStore,
        prober: Prober,
        guard: BlindGuard,
        clock: Clock,
        history: int,
        *,
        time: Callable[[], float],
        wake: Callable[[], None],
    ) -> None:
        self._store, self._guard, self._clock, self._history = store, guard, clock, history
        self._time, self._wake = time, wake
        self._timer: asyncio.TimerHandle | None = None  # of the guard's next review
        self._assignments = ProbeAssignments(prober)
        self._records: dict[ObjectKey, _BackendRecord] = {}
        self._changed: set[ObjectKey] = set()
        self._transitions: list[HealthTransition] = []
        self._removals: list[tuple[ObjectKey, ObjectKey]] = []

    def cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def get_health(self, key: ObjectKey) -> BackendHealth:
        """Return the health of a backend; that of an unknown one is unknown."""
        record = self._records.get(key)
        return record.health if record is not None else BackendHealth()

    def get_patience(self, keys: Iterable[ObjectKey]) -> float:
        """Return within how many seconds these backends have their first verdicts."""
        modes = [self._records[key].mode for key in keys if key in self._records]
        times = [
            first_verdict_time(mode.spec.cadence, len(self._assignments)).total_seconds()
            for mode in modes
            if isinstance(mode, ProbedMode)
        ]
        return SLACK + max(times, default=0.0)

    # --- what a restart goes on from --------------------------------------------------------

    def resume_health(self, key: ObjectKey, health: BackendHealth, *, newest: bool) -> None:
        """Take over what a backend's status says; not `newest`: unless something is known."""
        if newest or key not in self._records:
            self._records[key] = _BackendRecord(health=health)

    def hold_unheard(self, key: ObjectKey) -> None:
        """Let a backend of which nothing is known count as up until its check has a verdict."""
        record = self._records.setdefault(key, _BackendRecord())
        if record.health.is_unheard:
            record.health = replace(record.health, held=True)

    # --- what checks find -------------------------------------------------------------------

    def take_verdict(self, verdict: CheckVerdict) -> bool:
        """Take a verdict in; return whether it counts: that of a check that is gone does not."""
        key = verdict.backend
        if not self._assignments.is_current(key, verdict.generation):
            return False
        record = self._records[key]
        health = change_state(
            record.health,
            key,
            HealthState.UP if verdict.up else HealthState.DOWN,
            verdict.at,
            self._history,
            code=verdict.code.value,
            detail=verdict.detail,
        )
        self._set_health(key, record, health)
        self._guard.on_verdict(
            key, up=verdict.up, nobody_heard=verdict.nobody_heard, now=self._time()
        )
        return True

    def take_reason(self, reason: VerdictReason) -> bool:
        """Take in why a check's verdict stands at present; return whether it counts."""
        if not self._assignments.is_current(reason.backend, reason.generation):
            return False
        record = self._records[reason.backend]
        self._set_health(
            reason.backend, record, explain_state(record.health, reason.code, reason.detail)
        )
        return True

    def take_response_change(self, change: ResponseChange) -> None:
        if self._assignments.is_current(change.backend, change.generation):
            self._guard.on_response_change(change.backend, change.response, self._time())
        else:  # whoever answers, the prober sees
            self._guard.on_response(change.response)

    # --- one run ----------------------------------------------------------------------------

    def decide_dirty(self, dirty: DirtyKeys) -> None:
        """Bring modes and checks up to date, then hold who is down while the prober is in doubt."""
        starts: dict[ObjectKey, CheckStart] = {}
        stops: set[ObjectKey] = set()
        now = self._clock.now()
        for key in sorted(dirty.backends):  # so that transitions are told in one order everywhere
            dirty.backends.discard(key)  # first: one that fails must not hold up the others again
            self._changed.add(key)
            if key in self._store.backends:
                self._change_mode(key, now, starts, stops)
            else:
                self._forget_backend(key, stops)
        self._assignments.apply_changes(starts, stops)
        self._hold_suspects()

    def take_changes(self) -> Decisions:
        """Return what of the decisions is about backends, since the last call."""
        changes = Decisions(
            backends={key: self._make_view(key) for key in sorted(self._changed)},
            transitions=tuple(self._transitions),
            removals=tuple(self._removals),
        )
        for told in (self._changed, self._transitions, self._removals):
            told.clear()
        return changes

    def _change_mode(
        self,
        key: ObjectKey,
        now: datetime,
        starts: dict[ObjectKey, CheckStart],
        stops: set[ObjectKey],
    ) -> None:
        store, record = self._store, self._records.setdefault(key, _BackendRecord())
        frontends = store.frontends_of(key)
        mode = choose_mode(
            store.backends[key],
            store.health_checks,
            store.secrets,
            referenced=bool(frontends),
            denied=key in store.unprobed,
        )
        outcome = change_mode(record.mode, mode, record.health, key, now, self._history)
        if not frontends:
            self._note_removal(key, record.frontends)
        record.mode, record.frontends = mode, frontends
        if outcome.stop:
            stops.add(key)
            self._guard.unwatch_backend(key)
        if outcome.start is not None:
            starts[key] = outcome.start
            self._guard.watch_backend(key, outcome.start.spec.cadence, outcome.health)
        self._set_health(key, record, outcome.health)

    def _forget_backend(self, key: ObjectKey, stops: set[ObjectKey]) -> None:
        if (ObjectKind.BACKEND, key) in self._store.invalid:
            return  # it is there, and may be understood yet: what it resumed from is kept
        record = self._records.pop(key, None)
        if record is not None:
            self._note_removal(key, record.frontends)
            self._guard.unwatch_backend(key)
            stops.add(key)

    def _hold_suspects(self) -> None:
        now = self._time()
        for key, held in self._guard.review(now).items():
            record = self._records.get(key)
            if record is None:
                continue
            # They say whether the prober is suspected, also where nothing else changes.
            self._store.dirty.frontends |= record.frontends
            if record.health.state is HealthState.DOWN and record.health.held is not held:
                self._set_health(key, record, replace(record.health, held=held))
        self.cancel_timer()
        if (due := self._guard.next_review) is not None:
            self._timer = asyncio.get_running_loop().call_later(due - now, self._wake)

    def _set_health(self, key: ObjectKey, record: _BackendRecord, health: BackendHealth) -> None:
        if health == record.health:
            return
        if health.state is not record.health.state:
            self._transitions.append(health.transitions[0])
        record.health = health
        self._changed.add(key)
        self._store.dirty.frontends |= record.frontends

    def _note_removal(self, key: ObjectKey, frontends: Iterable[ObjectKey]) -> None:
        self._removals += [(key, frontend) for frontend in sorted(frontends)]

    def _make_view(self, key: ObjectKey) -> BackendView | None:
        backend, problems = (
            self._store.backends.get(key),
            self._store.find_problems(ObjectKind.BACKEND, key),
        )
        if backend is None and not problems:
            return None
        return BackendView(
            health=self.get_health(key),
            problems=problems,
            ignored=backend.ignored if backend is not None else (),
            frontends=self._store.frontends_of(key),
            generation=backend.generation if backend is not None else 0,
        )
