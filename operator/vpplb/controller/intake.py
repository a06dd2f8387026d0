"""From what the API server tells to the store: parse, store, trigger, and nothing else."""

from collections.abc import Callable, Mapping

from vpplb.controller.nodes import Nodes
from vpplb.controller.reporter import Reporter
from vpplb.engine.reconciler import Reconciler
from vpplb.kube.kinds import BACKEND, DATAPLANE, FRONTEND, HEALTH_CHECK, JsonObject, Kind
from vpplb.model.names import ObjectKey
from vpplb.resources.allowances import NOTHING, Allowances
from vpplb.resources.health_codec import load_health
from vpplb.resources.parse import parse_backend, parse_frontend, parse_health_check
from vpplb.resources.renderer import load_previous

KINDS = (HEALTH_CHECK, BACKEND, FRONTEND, DATAPLANE)


class Intake:
    """Implements `kube.informer.Listener`."""

    def __init__(
        self,
        reconciler: Reconciler,
        reporter: Reporter,
        nodes: Nodes,
        allowed: Allowances = NOTHING,
    ) -> None:
        self._reconciler = reconciler
        self._reporter = reporter
        self._nodes = nodes
        self._allowed = allowed
        self._versions: dict[tuple[Kind, ObjectKey], tuple[str, int]] = {}
        store = reconciler.store
        self._removers: Mapping[Kind, Callable[[ObjectKey], None]] = {
            FRONTEND: store.remove_frontend,
            BACKEND: store.remove_backend,
            HEALTH_CHECK: store.remove_health_check,
        }

    def seen(self, kind: Kind, key: ObjectKey, raw: JsonObject) -> None:
        """Take an object in."""
        if kind == DATAPLANE:
            self._reporter.node_seen(key, raw, self._nodes.seen(key.name, raw))
            return
        version = (raw["metadata"]["uid"], raw["metadata"]["generation"])
        known = self._versions.get((kind, key))
        if known is not None and known[0] != version[0]:
            self.gone(kind, key)  # deleted and made anew, and only the latter was told
        self._reporter.seen(kind, key, raw)
        if known == version and self._reconciler.synced:
            return  # the echo of a status that we wrote, most often
        self._versions[kind, key] = version
        if kind == FRONTEND:
            self._frontend(key, raw)
        elif kind == BACKEND:
            self._backend(key, raw)
        else:
            self._health_check(key, raw)
        self._reconciler.objects_changed()

    def gone(self, kind: Kind, key: ObjectKey) -> None:
        """Forget an object."""
        if kind == DATAPLANE:
            self._nodes.gone(key.name)
            self._reporter.node_gone(key)
            return
        self._versions.pop((kind, key), None)
        self._removers[kind](key)
        self._reporter.gone(kind, key)
        self._reconciler.objects_changed()

    def _frontend(self, key: ObjectKey, raw: JsonObject) -> None:
        self._reconciler.resume_frontend(key, load_previous(key, raw.get("status")))
        parsed = parse_frontend(raw, self._allowed)
        if isinstance(parsed, list):
            self._reconciler.store.put_invalid("Frontend", key, parsed)
            return
        self._reconciler.store.put_frontend(parsed)

    def _backend(self, key: ObjectKey, raw: JsonObject) -> None:
        self._reconciler.resume_backend(key, load_health(key, raw.get("status")))
        parsed = parse_backend(raw, self._allowed)
        if isinstance(parsed, list):
            self._reconciler.store.put_invalid("Backend", key, parsed)
            return
        self._reconciler.store.put_backend(parsed)

    def _health_check(self, key: ObjectKey, raw: JsonObject) -> None:
        parsed = parse_health_check(raw)
        if isinstance(parsed, list):
            self._reconciler.store.put_invalid("HealthCheck", key, parsed)
            return
        self._reconciler.store.put_health_check(parsed)
