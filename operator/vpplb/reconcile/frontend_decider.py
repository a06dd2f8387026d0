"""The decisions on frontends: which are accepted, their weights, the VIPs that are wanted.

What was decided before, and what a frontend waits for, is kept here; the health of backends comes
from the reconciler.
"""

from collections.abc import Callable, Collection, Iterable

from vpplb.model.clock import Clock
from vpplb.model.health import BackendHealth, HealthState
from vpplb.model.names import ObjectKey
from vpplb.model.objects import Backend
from vpplb.model.vip import Encap
from vpplb.plan.desired import (
    FrontendConfig,
    FrontendView,
    Previous,
    configure,
    decided,
    desired_vip,
)
from vpplb.plan.pools import decide
from vpplb.plan.resolve import resolve_group
from vpplb.plan.resolved import ResolvedFrontend
from vpplb.plan.serving_start import MissingVerdicts, StartWaits, start_serving
from vpplb.reconcile.deadline_queue import DeadlineQueue
from vpplb.reconcile.object_store import DirtyKeys, ObjectStore

_NO_WAIT = StartWaits()


class FrontendDecider:
    """Holds the decision on every frontend in `views`.

    `health` gives that of a backend, `patience` the seconds in which backends have their first
    verdicts, `doubts` whether the prober is suspected for a backend's sake. `time` gives the
    seconds of a clock that never goes back; `wake` is called when something is due by it.
    """

    def __init__(
        self,
        store: ObjectStore,
        clock: Clock,
        *,
        health: Callable[[ObjectKey], BackendHealth],
        patience: Callable[[Iterable[ObjectKey]], float],
        doubts: Callable[[ObjectKey], bool],
        time: Callable[[], float],
        wake: Callable[[], None],
    ) -> None:
        self.views: dict[ObjectKey, FrontendView] = {}
        self.previous: dict[ObjectKey, Previous] = {}
        self._store, self._clock, self._time = store, clock, time
        self._health, self._patience, self._doubts = health, patience, doubts
        self._configs: dict[ObjectKey, FrontendConfig] = {}
        self._waits: dict[ObjectKey, StartWaits] = {}
        self._agenda = DeadlineQueue(wake)

    def close(self) -> None:
        """Wake nobody any more."""
        self._agenda.close()

    def before(self, key: ObjectKey) -> Previous:
        """Return what was decided last on a frontend."""
        return self.previous.get(key) or Previous()

    def served(self, backend: Backend, frontends: Collection[ObjectKey]) -> bool:
        """Whether what was decided of a frontend says that the backend was up and had a weight."""
        for key in frontends:
            previous = self.before(key)
            server = previous.vip.servers.get(backend.address) if previous.vip else None
            was_up = previous.states.get(backend.key) is HealthState.UP
            if was_up and server is not None and server.weight and not server.undecided:
                return True
        return False

    def run(self, dirty: DirtyKeys) -> set[ObjectKey]:
        """Decide on what is dirty and what is due; return the frontends that come out otherwise."""
        dirty.frontends.update(self._agenda.due(self._time()))
        self._judge(dirty)
        changed = set()
        while dirty.frontends:
            key = dirty.frontends.pop()
            if key not in self._store.frontends:
                self._forget(key)
            elif self.views.get(key) == (view := self._decide(key)):
                continue
            else:
                self.views[key] = view
            changed.add(key)
        self._agenda.rest(self._time())
        return changed

    def _judge(self, dirty: DirtyKeys) -> None:
        while dirty.prefixes:
            group = self._store.group_of(dirty.prefixes.pop())
            dirty.prefixes -= {frontend.vip.prefix for frontend in group}
            judged = resolve_group(group, self._store.backends.get, self._present_encap)
            for key, resolved in judged.items():
                config = self._configs.get(key)
                if config is None or config.resolved != resolved:
                    self._configs[key] = configure(resolved, self.before(key))
                    dirty.frontends.add(key)

    def _forget(self, key: ObjectKey) -> None:
        self._configs.pop(key, None)
        self.views.pop(key, None)
        self._waits.pop(key, None)
        self._agenda.put(key, None)
        if ("Frontend", key) not in self._store.invalid:
            self.previous.pop(key, None)

    def _decide(self, key: ObjectKey) -> FrontendView:
        config, previous = self._configs[key], self.before(key)
        members = config.resolved.members
        start = start_serving(
            decide(members, {one.backend: self._health(one.backend) for one in members}),
            before=previous.vip,
            lack=self._lack(config.resolved, previous),
            waits=self._waits.pop(key, _NO_WAIT),
            now=self._time(),
        )
        if start.waits != _NO_WAIT:
            self._waits[key] = start.waits
        self._agenda.put(key, start.again)
        epoch = int(self._clock.now().timestamp())
        desired = desired_vip(config, start, previous, epoch=epoch)
        self.previous[key] = decided(start, desired, previous)
        return FrontendView(
            config=config,
            decision=start.decision,
            desired=desired,
            invalid=self._store.invalid.get(("Frontend", key), ()),
            suspect=any(self._doubts(one.backend) for one in members),
        )

    def _lack(self, resolved: ResolvedFrontend, previous: Previous) -> MissingVerdicts:
        """Return what is not known of a frontend on which nothing was decided before."""
        if previous.vip is not None and not previous.vip.tentative:
            return MissingVerdicts()
        backends = {one.backend for one in resolved.members}
        unheard = frozenset(key for key in backends if self._health(key).unheard)
        return MissingVerdicts(
            unheard=unheard,
            missing=bool(resolved.unresolved),
            patience=self._patience(unheard),
        )

    def _present_encap(self, key: ObjectKey) -> Encap | None:
        vip = self.before(key).vip
        return vip.settings.encap if vip else None
