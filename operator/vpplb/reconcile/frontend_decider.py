"""The decisions on frontends: which are accepted, their weights, the VIPs that are wanted.

What was decided before, and what a frontend waits for, is kept here; the health of backends comes
from `backend_decider`.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from heapq import heappop, heappush

from vpplb.model.clock import Clock
from vpplb.model.decision_order import UNORDERED, DecisionOrder
from vpplb.model.health import HealthState
from vpplb.model.names import ObjectKey, ObjectKind
from vpplb.model.objects import Backend
from vpplb.model.vip import Encap
from vpplb.plan.blind_guard import BlindGuard
from vpplb.plan.decision_counter import DecisionCounter
from vpplb.plan.decisions import UnreadFrontend
from vpplb.plan.desired import (
    UNDECIDED,
    DecisionContent,
    FrontendConfig,
    FrontendView,
    PreviousDecision,
    choose_settings,
    content_of,
    desired_vip,
    remember_decision,
)
from vpplb.plan.pools import decide_weights
from vpplb.plan.resolve import resolve_group
from vpplb.plan.resolved import ResolvedFrontend
from vpplb.plan.serving_start import MissingVerdicts, StartWaits, start_serving
from vpplb.reconcile.backend_decider import BackendDecider
from vpplb.reconcile.object_store import DirtyKeys, ObjectStore

_NO_WAIT = StartWaits()


class FrontendDecider:
    """Holds the decision on every frontend in `views`, and numbers each new one by `counter`.

    `time` gives the seconds of a clock that never goes back; `wake` is called when something is
    due by it.
    """

    def __init__(
        self,
        store: ObjectStore,
        backends: BackendDecider,
        guard: BlindGuard,
        clock: Clock,
        *,
        time: Callable[[], float],
        wake: Callable[[], None],
    ) -> None:
        self.views: dict[ObjectKey, FrontendView] = {}
        self.counter = DecisionCounter()
        self._store, self._backends, self._guard = store, backends, guard
        self._clock, self._time = clock, time
        self._previous: dict[ObjectKey, PreviousDecision] = {}
        self._configs: dict[ObjectKey, FrontendConfig] = {}
        self._waits: dict[ObjectKey, StartWaits] = {}
        self._deadlines = DeadlineQueue(wake)

    def cancel_timer(self) -> None:
        self._deadlines.cancel_timer()

    # --- what a restart goes on from --------------------------------------------------------

    def resume_previous(self, key: ObjectKey, previous: PreviousDecision, *, newest: bool) -> None:
        """Take over what a frontend's status says; not `newest`: unless something is known."""
        if newest or key not in self._previous:
            self._previous[key] = previous

    def get_previous(self, key: ObjectKey) -> PreviousDecision:
        return self._previous.get(key) or PreviousDecision()

    def find_newest_order(self) -> DecisionOrder:
        """Return the newest order of all that was decided before."""
        return max((one.order for one in self._previous.values()), default=UNORDERED)

    def renew_order(self, key: ObjectKey, after: DecisionOrder) -> bool:
        """Give the decision on a frontend a new order, unless its own is later than `after`.

        Return whether it was given one: then the frontend is to be decided again.
        """
        previous = self._previous.get(key)
        if previous is None or previous.order > after:
            return False
        self._previous[key] = replace(previous, order=self.counter.next_order())
        return True

    def was_serving(self, backend: Backend) -> bool:
        """Whether what was decided of a frontend says that the backend was up and had a weight."""
        for key in self._store.frontends_of(backend.key):
            previous = self.get_previous(key)
            server = previous.vip.servers.get(backend.address) if previous.vip else None
            was_up = previous.states.get(backend.key) is HealthState.UP
            if was_up and server is not None and server.weight and not server.undecided:
                return True
        return False

    # --- one run ----------------------------------------------------------------------------

    def decide_dirty(
        self, dirty: DirtyKeys
    ) -> Mapping[ObjectKey, FrontendView | UnreadFrontend | None]:
        """Decide on what is dirty and what is due; return what comes out otherwise, by name."""
        dirty.frontends.update(self._deadlines.pop_due(self._time()))
        self._judge_prefixes(dirty)
        changed: dict[ObjectKey, FrontendView | UnreadFrontend | None] = {}
        for key in sorted(dirty.frontends):
            dirty.frontends.discard(key)  # first: one that fails must not hold up the others again
            if key not in self._store.frontends:
                changed[key] = self._forget_frontend(key)
                continue
            view = self._decide_frontend(key)
            if self.views.get(key) != view:
                changed[key] = self.views[key] = view
        self._deadlines.await_next(self._time())
        return changed

    def _judge_prefixes(self, dirty: DirtyKeys) -> None:
        """Judge which frontends are accepted; those that come out otherwise are to be decided."""
        while dirty.prefixes:
            group = self._store.group_of(dirty.prefixes.pop())
            dirty.prefixes -= {frontend.vip.prefix for frontend in group}
            judged = resolve_group(group, self._store.backends.get, self._present_encap)
            for key, resolved in judged.items():
                config = self._configs.get(key)
                if config is None or config.resolved != resolved:
                    self._configs[key] = choose_settings(resolved, self.get_previous(key))
                    dirty.frontends.add(key)

    def _forget_frontend(self, key: ObjectKey) -> UnreadFrontend | None:
        """Drop what was decided on a frontend that is gone, or was never understood."""
        self._configs.pop(key, None)
        self.views.pop(key, None)
        self._waits.pop(key, None)
        self._deadlines.put_key(key, None)
        problems = self._store.find_problems(ObjectKind.FRONTEND, key)
        if problems:  # what was decided before is still what is to be kept once it is understood
            return UnreadFrontend(problems=problems)
        self._previous.pop(key, None)
        return None

    def _decide_frontend(self, key: ObjectKey) -> FrontendView:
        config, previous = self._configs[key], self.get_previous(key)
        members = config.resolved.members
        start = start_serving(
            decide_weights(
                members, {m.backend: self._backends.get_health(m.backend) for m in members}
            ),
            before=previous.vip,
            lack=self._find_missing(config.resolved, previous),
            waits=self._waits.pop(key, _NO_WAIT),
            now=self._time(),
        )
        if start.waits != _NO_WAIT:
            self._waits[key] = start.waits
        self._deadlines.put_key(key, start.again)
        epoch = int(self._clock.now().timestamp())
        desired = desired_vip(config, start, previous, epoch=epoch)
        content = content_of(config, desired)
        order = self._choose_order(content, previous)
        self._previous[key] = remember_decision(start, content, order, previous)
        return FrontendView(
            config=config,
            decision=start.decision,
            desired=desired,
            order=order,
            invalid=self._store.find_problems(ObjectKind.FRONTEND, key),
            suspect=any(self._guard.is_suspect(one.backend) for one in members),
        )

    def _choose_order(self, content: DecisionContent, previous: PreviousDecision) -> DecisionOrder:
        """Keep the order of what is decided as before.

        What a version decided that told no order gets one at once: a node that loses its leader
        could not tell such a status, months old, from what is newer than the leader's last word.
        """
        told = previous.order.is_known or content == UNDECIDED
        if told and content == previous.content:
            return previous.order
        return self.counter.next_order()

    def _find_missing(
        self, resolved: ResolvedFrontend, previous: PreviousDecision
    ) -> MissingVerdicts:
        """Return what is not known of a frontend on which nothing was decided before."""
        if previous.vip is not None and not previous.vip.tentative:
            return MissingVerdicts()
        backends = {one.backend for one in resolved.members}
        unheard = frozenset(key for key in backends if self._backends.get_health(key).is_unheard)
        return MissingVerdicts(
            unheard=unheard,
            missing=bool(resolved.unresolved),
            patience=self._backends.get_patience(unheard),
        )

    def _present_encap(self, key: ObjectKey) -> Encap | None:
        vip = self.get_previous(key).vip
        return vip.settings.encap if vip else None


class DeadlineQueue:
    """Keys with their times, in seconds of a clock that never goes back. `wake` is called then."""

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._times: dict[ObjectKey, float] = {}
        self._heap: list[tuple[float, ObjectKey]] = []
        self._timer: asyncio.TimerHandle | None = None

    def put_key(self, key: ObjectKey, at: float | None) -> None:
        """Look at it at that time, instead of when it was to be before; None: not."""
        if at is None:
            self._times.pop(key, None)
        elif self._times.get(key) != at:
            self._times[key] = at
            heappush(self._heap, (at, key))

    def pop_due(self, now: float) -> list[ObjectKey]:
        found = []
        while self._heap and (self._heap[0][0] <= now or self._is_old(*self._heap[0])):
            at, key = heappop(self._heap)
            if not self._is_old(at, key):
                del self._times[key]
                found.append(key)
        return found

    def await_next(self, now: float) -> None:
        self.cancel_timer()
        if self._heap:
            wait = max(0.0, self._heap[0][0] - now)
            self._timer = asyncio.get_running_loop().call_later(wait, self._wake)

    def cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _is_old(self, at: float, key: ObjectKey) -> bool:
        return self._times.get(key) != at
