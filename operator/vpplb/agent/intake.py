"""From what the API server tells to what the syncer (or its dry_run) shall want of a VPP.

A node carries a frontend if its labels match the selector that the operator has *decided*, which
stands beside the VIP it was decided for. So nobody serves an old VIP for a new selector.

Make before break: a node that is selected no more goes on until the operator says that the others
have it (`status.nodes.holding`), and, since that may not know yet of a label that is gone, for
`GRACE` after its own labels have changed.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping

from vpplb.kube.api_resources import JsonObject
from vpplb.model.names import ObjectKey, ObjectKind
from vpplb.model.vip import Vip, VipId
from vpplb.plan.settings import DesiredSettings
from vpplb.resources.allowances import EVERYTHING
from vpplb.resources.conditions import find_condition
from vpplb.resources.dataplane_codec import load_dataplane
from vpplb.resources.renderer import load_conditions
from vpplb.resources.stored import decided_selector, read_dataplane, read_frontend, read_selector
from vpplb.sync.dry_run import DryRun
from vpplb.sync.syncer import VppSyncer

log = logging.getLogger(__name__)

KINDS = (ObjectKind.FRONTEND, ObjectKind.DATAPLANE)

GRACE = 45.0
"""Seconds for which a node goes on after its labels have changed: agents look at them each 30."""


class Intake:
    """Told of the frontends and the node's own Dataplane.

    `owned` are the VIPs that were made for frontends before this process. `on_unreadable` is told
    why what is decided for a frontend cannot be read, and an empty text when it can again.
    """

    def __init__(
        self,
        syncer: VppSyncer | DryRun,
        node: str,
        default: DesiredSettings,
        owned: Mapping[VipId, ObjectKey],
        on_unreadable: Callable[[ObjectKey, str], None] = lambda _key, _why: None,
    ) -> None:
        self._syncer = syncer
        self._node = node
        self._default = default
        self._on_unreadable = on_unreadable
        self._labels: Mapping[str, str] | None = None
        self._grace_until = 0.0
        self._frontends: dict[ObjectKey, JsonObject] = {}
        self._unreadable: set[ObjectKey] = set()
        self._carried = {key: vip for vip, key in owned.items()}
        self.selected: set[ObjectKey] = set()
        """What this node shall carry, or still has to."""
        syncer.set_settings(default)

    def labels_changed(self, labels: Mapping[str, str]) -> None:
        """Take the Node's labels: they decide which frontends this node carries."""
        if self._labels is not None:
            loop = asyncio.get_running_loop()
            self._grace_until = loop.time() + GRACE
            loop.call_later(GRACE, self._look_again)
        self._labels = labels
        self._look_again()

    def seen(self, kind: ObjectKind, key: ObjectKey, raw: JsonObject) -> None:
        """Take an object in."""
        if kind == ObjectKind.FRONTEND:
            self._frontends[key] = raw
            self._frontend(key, raw)
        elif key.name == self._node:
            self._dataplane(raw)

    def gone(self, kind: ObjectKind, key: ObjectKey) -> None:
        """Forget an object: a frontend's VIP is removed."""
        if kind == ObjectKind.FRONTEND and self._frontends.pop(key, None) is not None:
            self._readable(key)
            self._release(key)

    def uid(self, key: ObjectKey) -> str:
        """Return the uid of a frontend; empty when there is none of that name."""
        raw = self._frontends.get(key)
        return str(raw["metadata"].get("uid", "")) if raw else ""

    def _look_again(self) -> None:
        for key, raw in self._frontends.items():
            self._frontend(key, raw)

    def _frontend(self, key: ObjectKey, raw: JsonObject) -> None:
        status = raw.get("status")
        try:
            loaded = load_dataplane(status)
        except ValueError as error:
            self._keep(key, raw)
            self._cannot_read(key, str(error))
            return
        self._readable(key)
        if loaded is None:
            if _withdrawn(status):
                self._release(key)
            else:
                self._keep(key, raw)
        elif (selector := decided_selector(raw)) is None:
            self._syncer.keep_vip(key)
            self._cannot_read(key, "its nodeSelector is not understood")
        elif self._selects(selector):
            self._carry(key, *loaded)
        elif key in self._carried and (_holding(status) or self._in_grace):
            self._go_on(key, *loaded)
        else:
            self._release(key)

    def _selects(self, selector: Mapping[str, str]) -> bool:
        return selector.items() <= (self._labels or {}).items()

    @property
    def _in_grace(self) -> bool:
        return self._grace_until > 0 and asyncio.get_running_loop().time() < self._grace_until

    def _carry(self, key: ObjectKey, vip: VipId, desired: Vip, revision: str) -> None:
        self._carried[key] = vip
        self.selected.add(key)
        self._syncer.set_desired(key, vip, desired, revision)

    def _go_on(self, key: ObjectKey, vip: VipId, desired: Vip, revision: str) -> None:
        """Serve as before, with the weights of now: but another VIP is not begun here."""
        if self._carried[key] == vip:
            self._carry(key, vip, desired, revision)
        else:
            self._syncer.keep_vip(key)

    def _keep(self, key: ObjectKey, raw: JsonObject) -> None:
        """Leave the VIP as it is: nothing is decided that could be read."""
        selector = read_selector(raw)
        if selector is None or not self._selects(selector):
            self._syncer.keep_vip(key)
            return
        self.selected.add(key)
        understood = read_frontend(raw, EVERYTHING).value  # what it is, whoever may have it
        self._syncer.keep_vip(key, understood.vip if understood else None)

    def _release(self, key: ObjectKey) -> None:
        self._carried.pop(key, None)
        self.selected.discard(key)
        self._syncer.remove_frontend(key)

    def _cannot_read(self, key: ObjectKey, why: str) -> None:
        log.error("frontend %s is left as it is: %s", key, why)
        self._unreadable.add(key)
        self._on_unreadable(key, why)

    def _readable(self, key: ObjectKey) -> None:
        if key in self._unreadable:
            self._unreadable.discard(key)
            self._on_unreadable(key, "")

    def _dataplane(self, raw: JsonObject) -> None:
        read = read_dataplane(raw)
        for problem in read.problems:
            log.error("%s", problem)
        if read.value is not None:
            self._syncer.set_paused(read.value.spec.paused)
            self._syncer.set_settings(read.value.spec.merge_settings(self._default))


def _holding(status: object) -> bool:
    """Whether the operator says that the selected nodes do not have the VIP yet."""
    nodes = status.get("nodes") if isinstance(status, Mapping) else None
    return isinstance(nodes, Mapping) and nodes.get("holding") is True


def _withdrawn(status: object) -> bool:
    """Whether the operator said that another object has the VIP, so that it must go."""
    accepted = find_condition(load_conditions(status), "Accepted")
    return accepted is not None and accepted.status == "False" and accepted.reason == "Conflict"
