"""From what the API server tells to the store: parse, store, ask for a run."""

import logging
from collections.abc import Callable, Iterable, Mapping

from vpplb.kube.api_resources import JsonObject
from vpplb.kube.object_cache import CachedObject
from vpplb.model.names import ObjectKey, ObjectKind
from vpplb.model.objects import HealthCheck
from vpplb.model.problem import Problem
from vpplb.model.vip import IPAddress
from vpplb.reconcile.reconciler import Reconciler
from vpplb.resources.allowances import NOTHING, Allowances
from vpplb.resources.health_codec import load_health
from vpplb.resources.renderer import load_previous
from vpplb.resources.stored import (
    read_backend,
    read_frontend,
    read_health_check,
    stand_in_for_backend,
    stand_in_for_frontend,
)

log = logging.getLogger(__name__)

KINDS = (ObjectKind.FRONTEND, ObjectKind.BACKEND, ObjectKind.HEALTH_CHECK, ObjectKind.DATAPLANE)
"""In the order in which they are listed: frontends know the addresses of backends that are not
understood (`stand_in_for_backend`)."""


class StoreHandler:
    """Implements `ObjectHandler`; `on_check` is told each new version of a HealthCheck."""

    def __init__(
        self,
        reconciler: Reconciler,
        allowed: Allowances = NOTHING,
        on_check: Callable[[HealthCheck], None] = lambda _: None,
    ) -> None:
        self._reconciler = reconciler
        self._allowed = allowed
        self._on_check = on_check
        self._said: set[tuple[str, str]] = set()
        self._store = store = reconciler.store
        self._removers: Mapping[ObjectKind, Callable[[ObjectKey], None]] = {
            ObjectKind.FRONTEND: store.remove_frontend,
            ObjectKind.BACKEND: store.remove_backend,
            ObjectKind.HEALTH_CHECK: store.remove_health_check,
        }

    def on_upsert(self, kind: ObjectKind, old: CachedObject | None, new: CachedObject) -> None:
        """Take an object in."""
        key, raw = new.key, new.raw
        if kind not in self._removers:
            return
        if old is not None and old.uid != new.uid:
            self.on_delete(kind, key)  # deleted and made anew, and only the latter was told
            old = None
        same = old is not None and old.version > 0 and old.generation == new.generation
        if same and self._reconciler.synced:
            return  # the echo of a status that we wrote, most often
        if kind == ObjectKind.FRONTEND:
            self._put_frontend(key, raw)
        elif kind == ObjectKind.BACKEND:
            self._put_backend(key, raw)
        else:
            self._put_health_check(key, raw)
        self._reconciler.request_run()

    def on_delete(self, kind: ObjectKind, key: ObjectKey) -> None:
        """Forget an object."""
        remove = self._removers.get(kind)
        if remove is not None:
            remove(key)
            self._reconciler.request_run()

    def on_history_reset(self) -> None:
        """Do nothing: versions that count anew are told as `old.version` 0."""

    def _put_frontend(self, key: ObjectKey, raw: JsonObject) -> None:
        self._reconciler.resume_frontend(key, load_previous(key, raw.get("status")))
        read = read_frontend(raw, self._allowed)
        value = read.value or self._store.frontends.get(key) or stand_in_for_frontend(raw)
        if value is None:
            self._store.put_invalid("Frontend", key, read.problems)
            return
        self._log_ignored(value.ignored)
        self._store.put_frontend(value, read.problems)

    def _put_backend(self, key: ObjectKey, raw: JsonObject) -> None:
        self._reconciler.resume_backend(key, load_health(key, raw.get("status")))
        read = read_backend(raw, self._allowed)
        value = read.value or stand_in_for_backend(
            raw,
            self._store.backends.get(key),
            self._find_address(key),
            self._allowed,
        )
        if value is None:
            self._store.put_invalid("Backend", key, read.problems)
            return
        self._log_ignored(value.ignored)
        self._store.put_backend(value, read.problems)

    def _put_health_check(self, key: ObjectKey, raw: JsonObject) -> None:
        read = read_health_check(raw, self._allowed)
        if read.value is None:
            self._store.put_invalid("HealthCheck", key, read.problems)
            return
        self._log_ignored(read.value.ignored)
        self._store.put_health_check(read.value)
        self._on_check(read.value)

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
