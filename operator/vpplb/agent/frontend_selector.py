"""From what is decided to what the syncer (or a dry run) shall want of a VPP.

Decisions come by two roads, as statuses of the API server and as entries of a leader; which of them
applies is up to `NewestDecisions`, and from there on there is one way.

A node carries a frontend if its labels match the selector that the operator has *decided*, which
stands beside the VIP it was decided for. So nobody serves an old VIP for a new selector.

Make before break: a node that is selected no more goes on until the operator says that the others
have it (`status.nodes.holding`), and, since that may not know yet of a label that is gone, for
`GRACE` after its own labels have changed.
"""

import asyncio
import logging
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass, field

from vpplb.agent.newest_decisions import FrontendDecision, NewestDecisions, read_labels
from vpplb.direct.messages import DecisionEntry
from vpplb.kube.api_types import JsonObject
from vpplb.kube.object_cache import ObjectCache
from vpplb.model.decision_order import DecisionMark
from vpplb.model.names import ObjectKey, ObjectKind
from vpplb.model.vip import Vip, VipId
from vpplb.plan.settings import DesiredSettings
from vpplb.resources.allowances import EVERYTHING
from vpplb.resources.dataplane_codec import load_dataplane, load_order
from vpplb.resources.previous_decision import is_withdrawn
from vpplb.resources.raw_fields import read_selector
from vpplb.resources.stored import decided_selector, read_dataplane, read_frontend
from vpplb.resources.stored_objects import StoredObject
from vpplb.sync.dry_run import DryRun
from vpplb.sync.syncer import VppSyncer

log = logging.getLogger(__name__)

KINDS = (ObjectKind.FRONTEND, ObjectKind.DATAPLANE)

GRACE = 45.0
"""Seconds for which a node goes on after its labels have changed: agents look at them each 30."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectedFrontends:
    """What a node shall carry, or still has to; and of what the decision cannot be read, and why.

    The selector writes it, the reporter shows it.
    """

    keys: set[ObjectKey] = field(default_factory=set)
    unreadable: dict[ObjectKey, str] = field(default_factory=dict)


class FrontendSelector:
    """Implements `kube.object_cache.ObjectHandler` for the frontends and the node's own Dataplane.

    `default` are the plugin's settings where the Dataplane has none. `on_unreadable` is called
    when what `selected` says of unreadable frontends has changed.
    """

    def __init__(
        self,
        syncer: VppSyncer | DryRun,
        cache: ObjectCache,
        decisions: NewestDecisions,
        node: str,
        default: DesiredSettings,
        selected: SelectedFrontends,
        on_unreadable: Callable[[], None] = lambda: None,
    ) -> None:
        self._syncer, self._cache, self._decisions = syncer, cache, decisions
        self._node, self._default = node, default
        self._selected, self._on_unreadable = selected, on_unreadable
        self._labels: Mapping[str, str] | None = None
        self._grace_until = 0.0
        self._carried: dict[ObjectKey, VipId] = {}
        syncer.set_settings(default)

    def resume(
        self, owned: Mapping[VipId, ObjectKey], marks: Mapping[ObjectKey, DecisionMark]
    ) -> None:
        """Take over the VIPs that were made for frontends before this process.

        They stay as they are until something is decided that is as new as their `marks`, or no list
        shows their frontend. So does what was withdrawn, and VPP has not. Of other frontends it
        has nothing that could go back.
        """
        self._carried = {key: vip for vip, key in owned.items()}
        self._decisions.restore_marks(
            {key: mark for key, mark in marks.items() if key in self._carried or not mark.revision}
        )
        for key in self._carried:
            self._syncer.keep_vip(key)

    def note_observed(self, observed: Container[VipId]) -> None:
        """Take note what VPP was found to have: what it has not cannot go back.

        So where a VIP is missing an older decision is better than none.
        """
        for key, vip in list(self._carried.items()):
            frontend = self._cache.get(ObjectKind.FRONTEND, key)
            if vip not in observed and self._decisions.forget_mark(key) and frontend:
                self._take_status(frontend)

    def set_labels(self, labels: Mapping[str, str]) -> None:
        """Take the Node's labels: they decide which frontends this node carries."""
        if labels == self._labels:
            return
        if self._labels is not None:
            loop = asyncio.get_running_loop()
            self._grace_until = loop.time() + GRACE
            loop.call_later(GRACE, self._select_all)
        self._labels = labels
        self._select_all()

    def set_dataplane(self, raw: JsonObject) -> None:
        read = read_dataplane(raw)
        for problem in read.problems:
            log.error("%s", problem)
        if read.value is not None:
            self._syncer.set_paused(read.value.spec.paused)
            self._syncer.set_settings(read.value.spec.merge_settings(self._default))

    # --- the status road ---------------------------------------------------------------------

    def on_upsert(self, kind: ObjectKind, old: StoredObject | None, new: StoredObject) -> None:
        if kind == ObjectKind.FRONTEND:
            self._take_status(new)
        elif new.key.name == self._node:
            self.set_dataplane(new.raw)

    def on_delete(self, kind: ObjectKind, key: ObjectKey) -> None:
        known = self._cache.get(kind, key)
        if kind == ObjectKind.FRONTEND and known and self._decisions.note_deleted(key, known.uid):
            self._drop_frontend(key)

    def begin_list(self) -> Callable[[], None]:
        """Take note that all frontends are listed; what is returned is called once they are."""
        unlisted = self._decisions.unlisted
        return lambda: self._note_listed(unlisted)

    def _note_listed(self, unlisted: Mapping[ObjectKey, str]) -> None:
        """Drop what only leaders had told of before all was listed, and no list shows."""
        for key in self._decisions.drop_unlisted(unlisted):
            self._drop_frontend(key)
        decided = self._decisions.decided
        for key in [key for key in self._carried if key not in decided]:
            if self._cache.get(ObjectKind.FRONTEND, key) is None:
                self._drop_frontend(key)

    # --- the direct road ---------------------------------------------------------------------

    def put_entry(self, term: int, entry: DecisionEntry) -> None:
        """Take what a leader of this term has sent."""
        if self._decisions.put_entry(term, entry):
            self._select_frontend(entry.frontend)

    def set_leader(self, term: int | None) -> None:
        """Take note that a leader of this term is connected; None: no leader is.

        Then statuses count that came while its word went before theirs: those without an order,
        and those of the same order, which may say that a node need not hold a VIP any more.
        """
        self._decisions.set_leader(term)
        if term is None:
            for frontend in self._cache.list_objects(ObjectKind.FRONTEND):
                self._take_status(frontend)

    # --- from there on -----------------------------------------------------------------------

    def _take_status(self, frontend: StoredObject) -> None:
        told = read_decision(frontend)
        if self._decisions.put_status(frontend.key, frontend.uid, told):
            self._select_frontend(frontend.key)

    def _select_all(self) -> None:
        listed = self._cache.list_keys(ObjectKind.FRONTEND)
        for key in {*listed, *self._decisions.decided}:
            self._select_frontend(key)

    def _select_frontend(self, key: ObjectKey) -> None:
        decision = self._decisions.get_decision(key)
        if decision is None:
            self._note_readable(key)
            self._keep_vip(key)
        elif decision.dataplane is None:
            self._drop_frontend(key)
        else:
            self._select_decided(key, decision)

    def _select_decided(self, key: ObjectKey, decision: FrontendDecision) -> None:
        try:
            loaded = load_dataplane({"dataplane": decision.dataplane})
        except ValueError as error:
            self._keep_vip(key)
            self._note_unreadable(key, str(error))
            return
        assert loaded is not None
        self._note_readable(key)
        if decision.selector is None:
            self._syncer.keep_vip(key)
            self._note_unreadable(key, "its nodeSelector is not understood")
        elif self._is_selected(decision.selector):
            self._carry_vip(key, *loaded)
        elif key in self._carried and (decision.holding or self._in_grace):
            self._carry_on(key, *loaded)
        else:
            self._release_vip(key)

    def _is_selected(self, selector: Mapping[str, str]) -> bool:
        return selector.items() <= (self._labels or {}).items()

    @property
    def _in_grace(self) -> bool:
        return self._grace_until > 0 and asyncio.get_running_loop().time() < self._grace_until

    def _carry_vip(self, key: ObjectKey, vip: VipId, desired: Vip, revision: str) -> None:
        self._carried[key] = vip
        self._selected.keys.add(key)
        self._syncer.set_desired(key, vip, desired, revision)

    def _carry_on(self, key: ObjectKey, vip: VipId, desired: Vip, revision: str) -> None:
        """Serve as before, with the weights of now: but another VIP is not begun here."""
        if self._carried[key] == vip:
            self._carry_vip(key, vip, desired, revision)
        else:
            self._syncer.keep_vip(key)

    def _keep_vip(self, key: ObjectKey) -> None:
        """Leave the VIP as it is: nothing is decided that could be read."""
        known = self._cache.get(ObjectKind.FRONTEND, key)
        selector = read_selector(known.raw) if known else None
        if known is None or selector is None or not self._is_selected(selector):
            self._syncer.keep_vip(key)
            return
        self._selected.keys.add(key)
        understood = read_frontend(known.raw, EVERYTHING).value  # what it is, whoever may have it
        self._syncer.keep_vip(key, understood.vip if understood else None)

    def _drop_frontend(self, key: ObjectKey) -> None:
        self._note_readable(key)
        self._release_vip(key)

    def _release_vip(self, key: ObjectKey) -> None:
        self._carried.pop(key, None)
        self._selected.keys.discard(key)
        self._syncer.remove_frontend(key)

    def _note_unreadable(self, key: ObjectKey, why: str) -> None:
        log.error("frontend %s is left as it is: %s", key, why)
        self._selected.unreadable[key] = why
        self._on_unreadable()

    def _note_readable(self, key: ObjectKey) -> None:
        if self._selected.unreadable.pop(key, None) is not None:
            self._on_unreadable()


def read_decision(frontend: StoredObject) -> FrontendDecision | None:
    """Read what a status decides; None where it decides nothing."""
    shown = frontend.raw.get("status")
    status = shown if isinstance(shown, Mapping) else {}
    dataplane, order = status.get("dataplane"), load_order(status)
    if dataplane is None and not is_withdrawn(status):
        return None
    if order.is_known and isinstance(dataplane, Mapping):
        selector = read_labels(dataplane.get("nodeSelector") or {})
    else:  # an older operator left it to the spec
        selector = decided_selector(frontend.raw)
    return FrontendDecision(
        uid=frontend.uid,
        order=order,
        dataplane=dataplane,
        selector=selector,
        holding=_is_holding(status),
    )


def _is_holding(status: Mapping[str, object]) -> bool:
    """Whether the operator says that the selected nodes do not have the VIP yet."""
    nodes = status.get("nodes")
    return isinstance(nodes, Mapping) and nodes.get("holding") is True
