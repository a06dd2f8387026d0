"""From objects and verdicts to decisions: the operator's mind, without any I/O of its own.

Everything that happens marks something dirty and asks for a run. A run looks at what is dirty, in
this order: backends (their checks and states), prefixes (which frontends are accepted), frontends
(weights and the wanted VIP). What came out different is returned as values (`Decisions`); whoever
runs the reconciler acts on them. The cost of a run depends on what is dirty, never on how much
there is.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import replace

from vpplb.model.clock import Clock
from vpplb.model.decision_order import UNORDERED, DecisionOrder
from vpplb.model.health import BackendHealth
from vpplb.model.names import ObjectKey, ObjectKind
from vpplb.plan.blind_guard import BlindGuard
from vpplb.plan.decisions import Decisions, HealthCheckView
from vpplb.plan.desired import FrontendView, PreviousDecision
from vpplb.plan.probe_reach import ANYWHERE, ProbeReach
from vpplb.reconcile.backend_decider import BackendDecider
from vpplb.reconcile.frontend_decider import FrontendDecider
from vpplb.reconcile.object_store import ObjectStore
from vpplb.reconcile.ports import CheckVerdict, Prober, ResponseChange, VerdictReason

log = logging.getLogger(__name__)

GATHER = 0.005
"""Seconds from a decision on frontends to the next: of many backends that die at a time, what falls
due meanwhile is one decision, one message and one plan for each frontend. The first never waits."""


class Reconciler:
    """Holds the store, the health of all backends and the decision on every frontend.

    Nothing is decided before `set_synced`: acting on half a list would take services down.
    `holds_lease` says whether nobody else can lead at present; else the term stays as it is.
    `reach` is where probes may go.
    """

    def __init__(
        self,
        prober: Prober,
        clock: Clock,
        *,
        reach: ProbeReach = ANYWHERE,
        transition_history: int = 5,
        blind_guard: bool = True,
        holds_lease: Callable[[], bool] = lambda: True,
        time: Callable[[], float] | None = None,
    ) -> None:
        time = time or _loop_time
        self.store = ObjectStore(reach)
        self.synced = False
        self._closed = False
        self._begun = False  # something has been decided
        self._suspected = False  # and the last decisions said so
        self._run_wanted = asyncio.Event()
        self._holds_lease = holds_lease
        self._newest_heard = UNORDERED  # of the orders that others have given
        self._guard = BlindGuard(enabled=blind_guard)
        self._backends = BackendDecider(
            self.store,
            prober,
            self._guard,
            clock,
            transition_history,
            time=time,
            wake=self.request_run,
        )
        self._frontends = FrontendDecider(
            self.store, self._backends, self._guard, clock, time=time, wake=self.request_run
        )

    # --- what happens -----------------------------------------------------------------------

    def resume_backend(self, key: ObjectKey, health: BackendHealth) -> None:
        """Take over what a backend's status says; ignored once it is decided on here."""
        self._backends.resume_health(key, health, newest=not self.synced)

    def resume_frontend(self, key: ObjectKey, previous: PreviousDecision) -> None:
        """Take over what a frontend's status says; ignored once it is decided on here."""
        self._frontends.resume_previous(key, previous, newest=not self.synced)
        self.heed_order(key, previous.order)

    def set_synced(self, term: int) -> None:
        """Begin to decide: all lists are complete.

        `term` is that of leading; a later one is begun where what is taken over is of no earlier
        one, as when the lease was deleted and a clock set back. But what somebody decides who has
        taken the lease over by now is not outbid.
        """
        self._frontends.counter.begin_term(term)
        self.synced = True
        self._outbid_order(self._frontends.find_newest_order())
        self.request_run()

    def raise_term(self, above: int) -> None:
        """Lead in a later term than `above`, of which somebody has heard; not if it is ours.

        One that may have lost the lease does not outbid whoever has it now: it does so once it
        holds the lease and decides.
        """
        self._outbid_order(DecisionOrder(above, 0))

    def renew_order(self, frontend: ObjectKey) -> None:
        """Decide anew what was decided in an earlier term: a node acts on something else."""
        self._outbid_order(UNORDERED)
        self._renew_after(frontend, DecisionOrder(self.term, 0))

    def heed_order(self, frontend: ObjectKey, shown: DecisionOrder) -> None:
        """Take note of the order that a frontend's status shows, whoever has written that.

        Where it is newer than ours, nodes would not take our decision any more.
        """
        if not self.synced:
            return
        self._outbid_order(shown)
        if shown > self._frontends.get_previous(frontend).order:
            self._renew_after(frontend, shown)

    def request_run(self) -> None:
        """Have the store looked at again, soon; many requests in one tick are one run.

        Nothing happens before `set_synced`, nor after `close`.
        """
        if self._is_deciding:
            self._run_wanted.set()

    def on_verdict(self, verdict: CheckVerdict) -> None:
        """Take a verdict of a running check; that of a check that is gone changes nothing."""
        if self._is_deciding and self._backends.take_verdict(verdict):
            self.request_run()

    def on_reason(self, reason: VerdictReason) -> None:
        if self._is_deciding and self._backends.take_reason(reason):
            self.request_run()

    def on_response_change(self, change: ResponseChange) -> None:
        if self._is_deciding:
            self._backends.take_response_change(change)
            self.request_run()

    def close(self) -> None:
        """Decide nothing any more; what was decided stands."""
        self._closed = True
        self._backends.cancel_timer()
        self._frontends.cancel_timer()

    # --- what is known ----------------------------------------------------------------------

    @property
    def term(self) -> int:
        """The term in which this program decides; 0 until it leads."""
        return self._frontends.counter.term

    @property
    def views(self) -> Mapping[ObjectKey, FrontendView]:
        return self._frontends.views

    def get_health(self, backend: ObjectKey) -> BackendHealth:
        """Return the health of a backend; that of an unknown one is unknown."""
        return self._backends.get_health(backend)

    def get_previous(self, frontend: ObjectKey) -> PreviousDecision:
        return self._frontends.get_previous(frontend)

    # --- runs -------------------------------------------------------------------------------

    async def run(self, *consumers: Callable[[Decisions], None]) -> None:
        """Decide whenever something has happened, and hand that to each of `consumers` in order.

        Until cancelled.
        """
        while True:
            await self._run_wanted.wait()
            self._run_wanted.clear()
            try:
                decisions = self.reconcile()
            except Exception:  # a mistake about one object is no reason to leave all others alone
                log.exception("a run of decisions has failed")
                continue
            for consume in consumers:
                try:
                    consume(decisions)
                except Exception:  # one road must not take the other with it
                    log.exception("decisions are not handed on")
            if decisions.frontends:
                await asyncio.sleep(GATHER)

    def reconcile(self) -> Decisions:
        """Look at everything dirty and decide; start and stop checks accordingly."""
        if not self._is_deciding:
            return Decisions()
        if not self._begun:
            self._hold_what_served()
            self._begun = True
        self._outbid_order(UNORDERED)
        self._backends.decide_dirty(self.store.dirty)
        frontends = self._frontends.decide_dirty(self.store.dirty)
        alarm, was_suspected = self._guard.alarm, self._suspected
        self._suspected = alarm is not None
        return replace(
            self._backends.take_changes(),
            frontends=frontends,
            health_checks=self._view_health_checks(),
            alarm=alarm,
            alarm_changed=self._suspected is not was_suspected,
        )

    def _outbid_order(self, other: DecisionOrder) -> None:
        """Let the next decision be newer than that, and than all heard of before."""
        self._newest_heard = max(self._newest_heard, other)
        if self.synced and self._holds_lease():
            self._frontends.counter.pass_order(self._newest_heard)

    def _renew_after(self, frontend: ObjectKey, after: DecisionOrder) -> None:
        if self._is_deciding and self._frontends.renew_order(frontend, after):
            self.store.dirty.frontends.add(frontend)
            self.request_run()

    def _hold_what_served(self) -> None:
        """Let go on whom frontends' statuses, but not its own, tell to have served."""
        for key, backend in self.store.backends.items():
            if self._frontends.was_serving(backend):
                self._backends.hold_unheard(key)

    def _view_health_checks(self) -> Mapping[ObjectKey, HealthCheckView | None]:
        views: dict[ObjectKey, HealthCheckView | None] = {}
        for key in sorted(self.store.dirty.health_checks):
            check = self.store.health_checks.get(key)
            problems = self.store.find_problems(ObjectKind.HEALTH_CHECK, key)
            views[key] = None
            if check is not None or problems:
                views[key] = HealthCheckView(
                    problems=problems,
                    ignored=check.ignored if check is not None else (),
                    backends=len(self.store.backends_of(key)),
                    generation=check.generation if check is not None else 0,
                )
        self.store.dirty.health_checks.clear()
        return views

    @property
    def _is_deciding(self) -> bool:
        return self.synced and not self._closed


def _loop_time() -> float:
    return asyncio.get_running_loop().time()
