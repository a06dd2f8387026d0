"""What of objects is written and shown: their statuses, as they are decided.

Statuses that somebody else writes are put right. Nothing here waits for the API server.

Only a Frontend's status may be what an agent waits for: where the direct road does not reach all
nodes that shall carry it. That is written at once, and before all else. Everything else is for
people and for the next leader, and waits a little for more to gather (`_Urgency.delay`).
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import NamedTuple

from vpplb.controller.decision_records import DecisionRecords
from vpplb.controller.node_registry import NodeRegistry
from vpplb.kube.status_repair import StatusRepair
from vpplb.kube.status_writer import StatusWriter, WritePriority
from vpplb.model.health import HealthState
from vpplb.model.names import ObjectKey, ObjectKind
from vpplb.plan.decisions import DecidedState, Decisions, UnreadFrontend
from vpplb.plan.desired import FrontendView
from vpplb.resources.frontend_conditions import FrontendJudgement
from vpplb.resources.renderer import StatusRenderer
from vpplb.resources.stored_objects import StoredObject
from vpplb.resources.unsettled_frontends import UnsettledFrontends
from vpplb.telemetry.metrics import OperatorMetrics
from vpplb.telemetry.state_view import DecidedStateView

PROGRAMMED = 0.01
"""Seconds from the last node's word until `Programmed` is written: it has 50 ms in all, and what
the node says in the next moment is in the same write."""
REPORTED = 0.02
"""Seconds where nodes come or go, which changes all that they carry."""
FAILED = 0.1
"""Seconds for what went down, and for what all nodes have heard directly. By then they have told
what became of it, so one write says both; and a leader that ends meanwhile loses no more."""
USUAL = 0.5
"""Seconds for all else: at a start most of it changes once more within that time; and of a thousand
nodes most report within it, each of which is no reason to write."""


class _Urgency(NamedTuple):
    """How soon a status is written: its place among others, and how long more may gather.

    `in_advance`: sooner than the pace of its object allows, which waits the longer after it.
    """

    priority: WritePriority
    delay: float
    in_advance: bool = False


_AT_ONCE, _AT_ONCE_DOWN = (
    _Urgency(priority, 0.0) for priority in (WritePriority.FRONTEND, WritePriority.FRONTEND_DOWN)
)
_PROGRAMMED = _Urgency(WritePriority.PROGRAMMED, PROGRAMMED, in_advance=True)
_REPORTED = _Urgency(WritePriority.PROGRAMMED, REPORTED)
_PARTLY = _Urgency(WritePriority.PROGRAMMED, USUAL)
_HEARD = _Urgency(WritePriority.PROGRAMMED, FAILED)
_BACKEND_DOWN = _Urgency(WritePriority.BACKEND_DOWN, FAILED)
_BACKEND = _Urgency(WritePriority.BACKEND, USUAL)
_OTHER = _Urgency(WritePriority.OTHER, USUAL)


class StatusReports:
    """Has the statuses of what was decided written. Implements `ObjectHandler`.

    `on_judged` is told how each frontend stands whose status is about to be written.
    """

    def __init__(
        self,
        decided: DecidedState,
        records: DecisionRecords,
        nodes: NodeRegistry,
        renderer: StatusRenderer,
        writer: StatusWriter,
        view: DecidedStateView,
        metrics: OperatorMetrics,
        on_judged: Callable[[ObjectKey, FrontendJudgement], None],
    ) -> None:
        self._decided, self._records, self._nodes = decided, records, nodes
        self._on_judged = on_judged
        self._renderer, self._writer, self._view = renderer, writer, view
        self._repair = StatusRepair(self._repair_status, metrics.record_status_mended)
        self._unsettled = UnsettledFrontends(
            renderer.judgements, lambda key: self.report_nodes([key])
        )

    # --- what the API server has -------------------------------------------------------------

    def on_upsert(self, kind: ObjectKind, old: StoredObject | None, new: StoredObject) -> None:
        """Take note of an object and of the status that it shows.

        Until something is decided here, another operator may be at work: then the newest status
        is what to go on from, and what is shown; later on it is the echo of our own, or what
        somebody else has written, which is put right.
        """
        key, following = new.key, not self._decided.begun
        if kind == ObjectKind.DATAPLANE:
            self.report_nodes(self._nodes.put_node(key.name, new.raw))
            return
        if old is not None and old.uid != new.uid:
            self.on_delete(kind, key)  # deleted and made anew, and only the latter was told
        if self._writer.note_change(kind, old, new) and not following:
            self._repair.note_overwrite(kind, new.raw)
        if following:
            self._view.publish_object(kind, key)

    def on_delete(self, kind: ObjectKind, key: ObjectKey) -> None:
        self._view.publish_deletion(kind, key)
        if kind == ObjectKind.DATAPLANE:
            self._nodes.remove_node(key.name)
            self.report_nodes(None)
            return
        self._renderer.forget_object(kind, key)
        self._writer.forget_object(kind, key)
        self._repair.forget_object(kind, key)

    # --- what is decided ---------------------------------------------------------------------

    def write_statuses(self, decisions: Decisions, urgency: _Urgency | None = None) -> None:
        """Have written what was decided: frontends first, since they carry the traffic.

        None: what is down goes before what is not. How long a write takes is measured where the
        prober decided it.
        """
        now = asyncio.get_running_loop().time()
        if urgency is None:
            self._writer.hold_ordinary()
        for kind, key, usual in self._list_due(decisions):
            given = urgency or usual
            since = None if given in (_PROGRAMMED, _REPORTED, _PARTLY, _OTHER) else now
            render = partial(self._render_status, kind, key)
            self._view.publish_object(kind, key)
            self._writer.submit_status(
                *(kind, key, render, given.priority),
                since=since,
                delay=given.delay,
                in_advance=given.in_advance,
            )

    def report_nodes(self, frontends: Iterable[ObjectKey] | None) -> None:
        """Show what nodes say that is new of these frontends; None: of any.

        What the last node says goes ahead: until then it is one number of many that is not right.
        """
        decided = self._decided.frontends
        if frontends is None:
            self.write_statuses(Decisions(frontends=dict(decided)), _REPORTED)
            return
        for key in frontends:
            if key in decided:
                urgency = _PARTLY if self._note_awaited(key) else _PROGRAMMED
                self.write_statuses(Decisions(frontends={key: decided[key]}), urgency)

    def _note_awaited(self, key: ObjectKey) -> bool:
        """Note a node that is still to have the newest of a frontend; return whether one is."""
        record = self._records.get(key)
        if record is None:
            return False
        record.awaited = self._nodes.find_awaited(
            key, record.selector, record.revision, record.awaited
        )
        return record.awaited != ""

    def _render_status(self, kind: ObjectKind, key: ObjectKey) -> dict[str, object] | None:
        status = self._renderer.render(kind, key)
        self._unsettled.note_rendered(kind, key)
        judged = self._renderer.judgements.get(key) if kind == ObjectKind.FRONTEND else None
        if judged is not None:
            self._on_judged(key, judged)
        return status

    def _repair_status(self, kind: ObjectKind, key: ObjectKey) -> None:
        """Write a status again that is not ours: agents may be acting on a frontend's."""
        self.write_statuses(self._decided.repeat_decisions(kind, key))

    def _list_due(self, decisions: Decisions) -> Iterator[tuple[ObjectKind, ObjectKey, _Urgency]]:
        for key, view in decisions.frontends.items():
            if view is not None:
                yield ObjectKind.FRONTEND, key, self._judge_frontend(view)
        for key, backend in decisions.backends.items():
            if backend is not None:
                down = backend.health.state is HealthState.DOWN
                yield ObjectKind.BACKEND, key, _BACKEND_DOWN if down else _BACKEND
        for key, check in decisions.health_checks.items():
            if check is not None:
                yield ObjectKind.HEALTH_CHECK, key, _OTHER

    def _judge_frontend(self, view: FrontendView | UnreadFrontend) -> _Urgency:
        """Put first what has something down: of many that lose backends, the oldest goes first."""
        if not isinstance(view, FrontendView):
            return _AT_ONCE_DOWN
        if self._nodes.is_reached(view.config.resolved.frontend.node_selector):
            return _HEARD
        down = view.decision.state is not HealthState.UP or any(
            one.acting is HealthState.DOWN for one in view.decision.members
        )
        return _AT_ONCE_DOWN if down else _AT_ONCE
