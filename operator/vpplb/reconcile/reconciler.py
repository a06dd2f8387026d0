"""From objects and verdicts to decisions: the operator's mind, without any I/O of its own.

Everything that happens marks something dirty and pulls the trigger; one run per tick of the
loop then looks at what is dirty, in this order: backends (their checks and states), prefixes
(which frontends are accepted), frontends (weights and the wanted VIP). What came out different
is told to the sink: frontends first, since they carry the traffic, then backends, then
transitions. The cost of a run depends on what is dirty, never on how much there is.
"""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from vpplb.health.cadence import first_verdict_time
from vpplb.health.lifecycle import Mode, Probed, Start, changed, explained, move
from vpplb.model.clock import Clock
from vpplb.model.health import BackendHealth, HealthState, Transition
from vpplb.model.names import ObjectKey
from vpplb.model.problem import Problem
from vpplb.plan.desired import Previous
from vpplb.plan.guard import Suspicion
from vpplb.reconcile.debounce import Debounce
from vpplb.reconcile.frontend_decider import FrontendDecider
from vpplb.reconcile.object_store import DirtyKeys, ObjectStore
from vpplb.reconcile.ports import Prober, Reason, StatusSink, Turn, Verdict
from vpplb.reconcile.probe_assignments import ProbeAssignments
from vpplb.reconcile.probe_mode import mode_of
from vpplb.reconcile.sentry import Sentry

SLACK = 3.0
"""Seconds, beyond the time of a probe, that first verdicts may take: a process has to start, and
objects that name each other come in any order."""


@dataclass(slots=True, kw_only=True)
class _BackendRecord:
    health: BackendHealth = field(default_factory=BackendHealth)
    mode: Mode | None = None
    frontends: frozenset[ObjectKey] = frozenset()


class Reconciler:
    """Holds the store, the health of all backends and the decision on every frontend.

    Nothing is decided before `set_synced`: acting on half a list would take services down.
    """

    def __init__(
        self,
        prober: Prober,
        sink: StatusSink,
        clock: Clock,
        *,
        transition_history: int = 5,
        blind_guard: bool = True,
        time: Callable[[], float] | None = None,
    ) -> None:
        self.store = ObjectStore()
        self.synced = False
        self._closed = False
        self._sink = sink
        self._clock = clock
        self._history = transition_history
        self._tasks = ProbeAssignments(prober)
        self._records: dict[ObjectKey, _BackendRecord] = {}
        self._transitions: list[Transition] = []
        self._changed_backends: set[ObjectKey] = set()
        self._changed_frontends: set[ObjectKey] = set()
        self._trigger = Debounce(self.reconcile)
        time = time or _loop_time
        self._sentry = Sentry(self._trigger.pull, enabled=blind_guard, time=time)
        self._decider = FrontendDecider(
            self.store,
            clock,
            health=self.health,
            patience=self._patience,
            doubts=self._sentry.doubts,
            time=time,
            wake=self._trigger.pull,
        )
        self.views = self._decider.views
        self._begun = False  # something has been decided
        self._suspected = False  # and the sink was told so

    # --- what happens -----------------------------------------------------------------------

    def resume_backend(self, key: ObjectKey, health: BackendHealth) -> None:
        """Take over what a backend's status says; ignored once it is decided on here."""
        if not self.synced or key not in self._records:
            self._records[key] = _BackendRecord(health=health)

    def resume_frontend(self, key: ObjectKey, previous: Previous) -> None:
        """Take over what a frontend's status says; ignored once it is decided on here."""
        if not self.synced or key not in self._decider.previous:
            self._decider.previous[key] = previous

    def objects_changed(self) -> None:
        """Look at the store again, soon."""
        if self._deciding:
            self._trigger.pull()

    def set_synced(self) -> None:
        """All lists are complete: decisions may begin."""
        self.synced = True
        self._trigger.pull()

    def on_verdict(self, verdict: Verdict) -> None:
        """Take a verdict of a running check; that of a check that is gone changes nothing."""
        if not self._deciding or not self._tasks.is_current(verdict.backend, verdict.generation):
            return
        record = self._records[verdict.backend]
        health = changed(
            record.health,
            verdict.backend,
            HealthState.UP if verdict.up else HealthState.DOWN,
            verdict.at,
            self._history,
            code=verdict.code.value,
            detail=verdict.detail,
        )
        self._set_health(verdict.backend, record, health)
        self._sentry.decided(verdict.backend, up=verdict.up, alone=verdict.alone)
        self._trigger.pull()

    def on_reason(self, reason: Reason) -> None:
        """Take why a running check's verdict stands at present."""
        if self._deciding and self._tasks.is_current(reason.backend, reason.generation):
            record = self._records[reason.backend]
            health = explained(record.health, reason.code, reason.detail)
            self._set_health(reason.backend, record, health)
            self._trigger.pull()

    def on_turn(self, turn: Turn) -> None:
        """Take note how the results of a check have turned."""
        if not self._deciding:
            return
        if self._tasks.is_current(turn.backend, turn.generation):
            self._sentry.turned(turn.backend, turn.response)
        else:
            self._sentry.heard(turn.response)
        self._trigger.pull()

    def close(self) -> None:
        """Decide nothing any more; what was decided stands."""
        self._closed = True
        self._sentry.close()
        self._decider.close()
        self._trigger.cancel()

    # --- what is known ----------------------------------------------------------------------

    def health(self, backend: ObjectKey) -> BackendHealth:
        """Return the health of a backend; that of an unknown one is unknown."""
        return self._records.get(backend, _BackendRecord()).health

    def previous(self, frontend: ObjectKey) -> Previous:
        """Return what was decided last for a frontend."""
        return self._decider.before(frontend)

    def problems(self, kind: str, key: ObjectKey) -> tuple[Problem, ...]:
        """Return what is wrong with an object by itself, or with what a backend refers to."""
        return self.store.problems(kind, key)

    # --- one run ----------------------------------------------------------------------------

    def reconcile(self) -> None:
        """Look at everything dirty, decide, act, tell."""
        if not self._deciding:
            return
        dirty = self.store.dirty
        self._reconcile_backends(dirty)
        self._review_prober(dirty)
        self._changed_frontends |= self._decider.run(dirty)
        self._begun = True
        self._tell(dirty)

    def _reconcile_backends(self, dirty: DirtyKeys) -> None:
        starts: dict[ObjectKey, Start] = {}
        stops: set[ObjectKey] = set()
        now = self._clock.now()
        for key in sorted(dirty.backends):  # so that transitions are told in one order everywhere
            dirty.backends.discard(key)
            self._changed_backends.add(key)
            backend = self.store.backends.get(key)
            if backend is None:
                stops |= self._forget(key)
                continue
            record = self._records.setdefault(key, _BackendRecord())
            frontends = self.store.frontends_of(key)
            if (
                not self._begun
                and record.health.unheard
                and self._decider.served(backend, frontends)
            ):
                record.health = replace(record.health, held=True)
            store = self.store
            mode = mode_of(backend, store.health_checks, store.secrets, referenced=bool(frontends))
            outcome = move(record.mode, mode, record.health, key, now, self._history)
            if not frontends:
                self._tell_removed(key, record.frontends)
            record.mode, record.frontends = mode, frontends
            if outcome.stop:
                stops.add(key)
                self._sentry.unwatch(key)
            if outcome.start is not None:
                starts[key] = outcome.start
                self._sentry.watch(key, outcome.start.spec.cadence, outcome.health)
            self._set_health(key, record, outcome.health)
        self._tasks.apply(starts, stops)

    def _review_prober(self, dirty: DirtyKeys) -> None:
        """Hold what is down while the prober is in doubt."""
        for key in self._sentry.review():
            record = self._records.get(key)
            if record is None:
                continue
            dirty.frontends |= record.frontends  # they say whether the prober is suspected
            held = self._sentry.holds(key)
            if record.health.state is HealthState.DOWN and record.health.held is not held:
                self._set_health(key, record, replace(record.health, held=held))

    def _patience(self, backends: Iterable[ObjectKey]) -> float:
        """Return within how many seconds backends have their first verdicts."""
        modes = [self._records[key].mode for key in backends if key in self._records]
        times = [
            first_verdict_time(mode.spec.cadence, len(self._tasks)).total_seconds()
            for mode in modes
            if isinstance(mode, Probed)
        ]
        return SLACK + max(times, default=0.0)

    def _tell(self, dirty: DirtyKeys) -> None:
        for key in sorted(self._changed_frontends):
            self._sink.frontend_changed(key)
        for key in sorted(self._changed_backends):
            self._sink.backend_changed(key)
        for key in sorted(dirty.health_checks):
            self._sink.health_check_changed(key)
        suspected = self._sentry.suspicion is Suspicion.SUSPECTED
        if suspected is not self._suspected:
            self._suspected = suspected
            self._sink.prober_suspected(self._sentry.alarm)
        transitions, self._transitions = self._transitions, []
        for transition in transitions:
            self._sink.transition(transition)
        self._changed_frontends.clear()
        self._changed_backends.clear()
        dirty.health_checks.clear()

    # --- pieces -----------------------------------------------------------------------------

    @property
    def _deciding(self) -> bool:
        return self.synced and not self._closed

    def _set_health(self, key: ObjectKey, record: _BackendRecord, health: BackendHealth) -> None:
        if health == record.health:
            return
        if health.state is not record.health.state:
            self._transitions.append(health.transitions[0])
        record.health = health
        self._changed_backends.add(key)
        self.store.dirty.frontends |= record.frontends

    def _forget(self, key: ObjectKey) -> set[ObjectKey]:
        """Drop a deleted backend's record; return it as a task to stop, if there was one."""
        if ("Backend", key) in self.store.invalid:
            return set()  # it is there, and may be understood yet: what it resumed from is kept
        record = self._records.pop(key, None)
        if record is None:
            return set()
        self._tell_removed(key, record.frontends)
        self._sentry.unwatch(key)
        return {key}

    def _tell_removed(self, key: ObjectKey, frontends: frozenset[ObjectKey]) -> None:
        for frontend in sorted(frontends):
            self._sink.removed(key, frontend)


def _loop_time() -> float:
    return asyncio.get_running_loop().time()
