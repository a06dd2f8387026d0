"""From what the API server tells to the store: parse, store, ask for a run."""

import logging
from collections.abc import Callable, Iterable

from vpplb.kube.api_types import JsonObject
from vpplb.model.names import ObjectKey, ObjectKind
from vpplb.model.objects import Backend, Frontend, HealthCheck
from vpplb.model.problem import Problem
from vpplb.model.vip import IPAddress
from vpplb.reconcile.reconciler import Reconciler
from vpplb.resources.allowances import AddressAllowances
from vpplb.resources.backend import load_health
from vpplb.resources.dataplane_codec import load_order
from vpplb.resources.previous_decision import load_previous
from vpplb.resources.stored import (
    read_backend,
    read_frontend,
    read_health_check,
    stand_in_for_backend,
    stand_in_for_frontend,
)
from vpplb.resources.stored_objects import StoredObject

log = logging.getLogger(__name__)


class StoreHandler:
    """Implements `ObjectHandler`; `on_check` is told each new version of a HealthCheck."""

    def __init__(
        self,
        reconciler: Reconciler,
        allowed: AddressAllowances,
        on_check: Callable[[HealthCheck], None],
    ) -> None:
        self._reconciler = reconciler
        self._allowed = allowed
        self._on_check = on_check
        self._said: set[tuple[str, str]] = set()
        self._store = reconciler.store

    def on_upsert(self, kind: ObjectKind, old: StoredObject | None, new: StoredObject) -> None:
        key, raw = new.key, new.raw
        if kind == ObjectKind.DATAPLANE:
            return
        if old is not None and old.uid != new.uid:
            self.on_delete(kind, key)  # deleted and made anew, and only the latter was told
            old = None
        same = old is not None and old.version > 0 and old.generation == new.generation
        if same and self._reconciler.synced:  # the echo of a status that we wrote, most often
            if kind == ObjectKind.FRONTEND:
                self._reconciler.heed_order(key, load_order(new.status))
            return
        value, problems = self._read_object(kind, key, raw)
        match value:
            case Frontend():
                self._store.put_frontend(value, problems)
            case Backend():
                self._store.put_backend(value, problems)
            case HealthCheck():
                self._store.put_health_check(value)
                self._on_check(value)
            case None:
                self._store.put_invalid(kind, key, problems)
        if value is not None:
            self._log_ignored(value.ignored)
        self._reconciler.request_run()

    def on_delete(self, kind: ObjectKind, key: ObjectKey) -> None:
        self._store.remove_object(kind, key)
        self._reconciler.request_run()

    def _read_object(
        self, kind: ObjectKind, key: ObjectKey, raw: JsonObject
    ) -> tuple[Frontend | Backend | HealthCheck | None, tuple[Problem, ...]]:
        """Read an object, or what stands in for one that is not understood; and what is wrong.

        What its status says of the last decision is what to go on from after a restart.
        """
        store, status = self._store, raw.get("status")
        match kind:
            case ObjectKind.FRONTEND:
                self._reconciler.resume_frontend(key, load_previous(key, status))
                frontend = read_frontend(raw, self._allowed)
                known = frontend.value or store.frontends.get(key)
                return known or stand_in_for_frontend(raw), frontend.problems
            case ObjectKind.BACKEND:
                self._reconciler.resume_backend(key, load_health(key, status))
                backend = read_backend(raw, self._allowed)
                last, address = store.backends.get(key), self._find_address(key)
                stand_in = stand_in_for_backend
                value = backend.value or stand_in(raw, last, address, self._allowed)
                return value, backend.problems
            case _:
                check = read_health_check(raw, self._allowed)
                return check.value, check.problems

    def _find_address(self, backend: ObjectKey) -> IPAddress | None:
        """Return the address that frontends were last decided with for a backend, if they tell."""
        for frontend in self._store.frontends_of(backend):
            if address := self._reconciler.get_previous(frontend).addresses.get(backend):
                return address
        return None

    def _log_ignored(self, ignored: Iterable[Problem]) -> None:
        """Log the first object of each kind that has a field which is not known."""
        for problem in ignored:
            if (problem.kind, problem.field) not in self._said:
                self._said.add((problem.kind, problem.field))
                log.warning("%s, here and in other objects", problem)
