"""From what the API server tells to what the syncer (or its rehearsal) shall want of a VPP."""

import logging
from collections.abc import Mapping

from vpplb.engine.rehearsal import Rehearsal
from vpplb.engine.syncer import Syncer
from vpplb.kube.kinds import DATAPLANE, FRONTEND, JsonObject, Kind
from vpplb.model.names import ObjectKey
from vpplb.plan.diff import ConfWish
from vpplb.resources.conditions import find_condition
from vpplb.resources.dataplane_codec import load_dataplane
from vpplb.resources.parse import parse_dataplane, parse_frontend
from vpplb.resources.renderer import load_conditions

log = logging.getLogger(__name__)

KINDS = (FRONTEND, DATAPLANE)


class Intake:
    """Implements `kube.informer.Listener` for the frontends and the node's own Dataplane."""

    def __init__(self, syncer: Syncer | Rehearsal, node: str, default: ConfWish) -> None:
        self._syncer = syncer
        self._node = node
        self._default = default
        self._labels: Mapping[str, str] = {}
        self._frontends: dict[ObjectKey, JsonObject] = {}
        self.selected: set[ObjectKey] = set()
        syncer.set_conf(default)

    def labels_changed(self, labels: Mapping[str, str]) -> None:
        """Take the Node's labels: they decide which frontends this node carries."""
        self._labels = labels
        for key, raw in self._frontends.items():
            self._frontend(key, raw)

    def seen(self, kind: Kind, key: ObjectKey, raw: JsonObject) -> None:
        """Take an object in."""
        if kind == FRONTEND:
            self._frontends[key] = raw
            self._frontend(key, raw)
        elif key.name == self._node:
            self._dataplane(raw)

    def gone(self, kind: Kind, key: ObjectKey) -> None:
        """Forget an object: a frontend's VIP is removed."""
        if kind == FRONTEND and self._frontends.pop(key, None) is not None:
            self.selected.discard(key)
            self._syncer.remove(key)

    def uid(self, key: ObjectKey) -> str:
        """Return the uid of a frontend; empty when there is none of that name."""
        raw = self._frontends.get(key)
        return str(raw["metadata"].get("uid", "")) if raw else ""

    def _frontend(self, key: ObjectKey, raw: JsonObject) -> None:
        selector = raw["spec"].get("nodeSelector") or {}
        if not selector.items() <= self._labels.items():
            self.selected.discard(key)
            self._syncer.remove(key)
            return
        self.selected.add(key)
        status = raw.get("status")
        try:
            loaded = load_dataplane(status)
        except ValueError as error:
            log.error("frontend %s is left as it is: %s", key, error)
            loaded = None
        if loaded is not None:
            self._syncer.set_desired(key, *loaded)
        elif _withdrawn(status):
            self.selected.discard(key)
            self._syncer.remove(key)
        else:
            parsed = parse_frontend(raw)
            self._syncer.keep(key, None if isinstance(parsed, list) else parsed.vip)

    def _dataplane(self, raw: JsonObject) -> None:
        parsed = parse_dataplane(raw)
        if isinstance(parsed, list):
            log.error("dataplane %s: %s", self._node, "; ".join(map(str, parsed)))
            return
        self._syncer.paused = parsed.spec.paused
        self._syncer.set_conf(parsed.spec.wish(self._default))


def _withdrawn(status: object) -> bool:
    """Whether the operator said that another object has the VIP, so that it must go."""
    accepted = find_condition(load_conditions(status), "Accepted")
    return accepted is not None and accepted.status == "False" and accepted.reason == "Conflict"
