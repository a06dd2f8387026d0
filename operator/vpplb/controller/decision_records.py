"""What is decided on each frontend: as it is sent to agents, since when, and what came of it."""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from vpplb.controller.node_registry import ReportRoad
from vpplb.direct.messages import DecisionEntry, dump_entry
from vpplb.kube.object_cache import ObjectCache
from vpplb.model.names import ObjectKey, ObjectKind
from vpplb.model.objects import NodeSelector
from vpplb.plan.decisions import Decisions
from vpplb.plan.desired import FrontendView
from vpplb.reconcile.reconciler import Reconciler
from vpplb.resources.statuses import frontend_dataplane

LATEST_OBSERVED = 60.0
"""Seconds after a decision in which a node that has it counts: later it has come back to it."""
MOST_GONE = 1000
"""Frontends of which it is kept that they were deleted; the oldest are forgotten first."""


@dataclass(slots=True)
class DecisionRecord:
    """The newest decision on a frontend (`uid`): rendered once, when somebody needs it.

    `since` is the loop's time of it; None where it was taken over. `before` is another selector
    that the decision before had. `awaited` is a node that had not got it when that was looked at
    last. `gone`: the frontend is deleted, and this was the last. `traceparent` is of its trace.
    """

    key: ObjectKey
    uid: str
    view: FrontendView
    since: float | None
    before: NodeSelector | None = None
    awaited: str = ""
    gone: bool = False
    traceparent: str = ""
    _dataplane: dict[str, object] | None = field(init=False)
    _rendered: bool = False
    _texts: dict[bool, str | None] = field(default_factory=dict)

    @property
    def selector(self) -> NodeSelector:
        return self.view.config.resolved.frontend.node_selector

    @property
    def revision(self) -> str:
        """The revision that nodes shall have; empty where there is no VIP."""
        dataplane = self._render_dataplane()
        return str(dataplane["revision"]) if dataplane is not None else ""

    def write_entry(self, *, holding: bool) -> str | None:
        """Write what agents are sent; None where nothing is decided, and nodes keep what is."""
        if holding not in self._texts:
            self._texts[holding] = self._dump_entry(holding)
        return self._texts[holding]

    def _render_dataplane(self) -> dict[str, object] | None:
        if not self._rendered:
            self._dataplane, self._rendered = frontend_dataplane(self.view), True
        return self._dataplane

    def _dump_entry(self, holding: bool) -> str | None:
        dataplane = None if self.gone else self._render_dataplane()
        if dataplane is None and not self.gone and not self.view.withdrawn:
            return None
        return dump_entry(
            DecisionEntry(
                frontend=self.key,
                uid=self.uid,
                order=self.view.order,
                dataplane=dataplane,
                holding=holding and dataplane is not None,
                gone=self.gone,
                traceparent=self.traceparent,
            )
        )


class DecisionRecords:
    """The records of all frontends; `observe` is told seconds from decisions until nodes had them.

    `trace_of` gives the `traceparent` of what is decided on a frontend.

    A node that has something else than what was taken over from an earlier term was sent a decision
    that its leader had no time to write. So that is decided anew (`Reconciler.renew_order`): the
    node would not go back to an older one.
    """

    def __init__(
        self,
        objects: ObjectCache,
        reconciler: Reconciler,
        observe: Callable[[ReportRoad, float], None],
        trace_of: Callable[[ObjectKey], str],
    ) -> None:
        self.begun = False
        """Whether there is something to go by: before, nothing is known of any frontend."""
        self._objects, self._reconciler, self._observe = objects, reconciler, observe
        self._trace_of = trace_of
        self._records: dict[ObjectKey, DecisionRecord] = {}
        self._gone: dict[ObjectKey, DecisionRecord] = {}

    def get(self, key: ObjectKey) -> DecisionRecord | None:
        """Return the record of a frontend, also of one that was deleted not long ago."""
        return self._records.get(key) or self._gone.get(key)

    def list_records(self) -> list[DecisionRecord]:
        """Return all records, those of deleted frontends last."""
        return [*self._records.values(), *self._gone.values()]

    def put_decisions(self, decisions: Decisions) -> list[DecisionRecord]:
        """Take in what was decided; return the records of what nodes are to be told of."""
        now = asyncio.get_running_loop().time()
        changed: list[DecisionRecord | None] = []
        for key, view in decisions.frontends.items():
            if isinstance(view, FrontendView):
                changed.append(self._put_view(key, view, now))
            elif (record := self._records.pop(key, None)) and view is None:
                changed.append(self._bury_record(record))
        self.begun = True
        return [record for record in changed if record is not None]

    def list_revisions(self) -> dict[str, str]:
        """Return the revisions that nodes shall have, by the frontends' names."""
        return {str(record.key): record.revision for record in self._records.values()}

    def renew_contradicted(self, frontends: Iterable[ObjectKey]) -> None:
        """Decide anew those that were taken over: nodes have something else of them."""
        for key in frontends:
            if record := self._records.get(key):
                self._renew_order(record)

    def note_programmed(self, key: ObjectKey, revision: str, road: ReportRoad) -> None:
        """Take note that a node has a revision of a frontend anew."""
        record = self._records.get(key)
        if record is None:
            return
        if record.revision != revision:
            self._renew_order(record)
        elif record.since is not None:
            took = asyncio.get_running_loop().time() - record.since
            if took <= LATEST_OBSERVED:
                self._observe(road, took)

    def _put_view(self, key: ObjectKey, view: FrontendView, now: float) -> DecisionRecord | None:
        stored = self._objects.get(ObjectKind.FRONTEND, key)
        if stored is None:
            return None  # deleted since, as the next decisions will say
        old = self._records.get(key)
        if old is not None and (old.view.order, old.uid) == (view.order, stored.uid):
            return None  # what nodes act on is the same
        since = now if view.order.term == self._reconciler.term else None
        record = DecisionRecord(key, stored.uid, view, since, traceparent=self._trace_of(key))
        if old is not None and old.selector != record.selector:
            record.before = old.selector
        self._records[key] = record
        self._gone.pop(key, None)
        return record

    def _bury_record(self, record: DecisionRecord) -> DecisionRecord:
        if len(self._gone) >= MOST_GONE:
            del self._gone[next(iter(self._gone))]
        gone = DecisionRecord(record.key, record.uid, record.view, None, gone=True)
        self._gone[record.key] = gone
        return gone

    def _renew_order(self, record: DecisionRecord) -> None:
        if record.view.order.term < self._reconciler.term:
            self._reconciler.renew_order(record.key)
