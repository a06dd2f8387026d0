"""What of objects is written and shown: their statuses, as they are decided.

Statuses that somebody else writes are put right. Nothing here waits for the API server.
"""

import asyncio
from collections.abc import Iterable, Iterator
from functools import partial

from vpplb.controller.node_registry import NodeRegistry
from vpplb.kube.object_cache import CachedObject
from vpplb.kube.status_repair import StatusRepair
from vpplb.kube.status_writer import StatusWriter, WritePriority
from vpplb.model.health import HealthState
from vpplb.model.names import ObjectKey, ObjectKind
from vpplb.plan.decisions import DecidedState, Decisions, UnreadFrontend
from vpplb.plan.desired import FrontendView
from vpplb.resources.renderer import StatusRenderer
from vpplb.telemetry.metrics import OperatorMetrics
from vpplb.telemetry.state_view import DecidedStateView


class StatusReports:
    """Has the statuses of what was decided written. Implements `ObjectHandler`."""

    def __init__(
        self,
        *,
        decided: DecidedState,
        nodes: NodeRegistry,
        renderer: StatusRenderer,
        writer: StatusWriter,
        view: DecidedStateView,
        metrics: OperatorMetrics,
    ) -> None:
        self._decided, self._nodes = decided, nodes
        self._renderer, self._writer, self._view = renderer, writer, view
        self._repair = StatusRepair(self._repair_status, metrics.record_status_mended)

    # --- what the API server has -------------------------------------------------------------

    def on_upsert(self, kind: ObjectKind, old: CachedObject | None, new: CachedObject) -> None:
        """Take note of an object and of the status that it shows.

        Until something is decided here, another operator may be at work: then the newest status
        is what to go on from, and what is shown; later on it is the echo of our own, or what
        somebody else has written, which is put right.
        """
        key, following = new.key, not self._decided.begun
        if kind == ObjectKind.DATAPLANE:
            self._report_nodes(self._nodes.put_node(key.name, new.raw))
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
            self._report_nodes(None)
            return
        self._renderer.forget_object(kind, key)
        self._writer.forget_object(kind, key)
        self._repair.forget_object(kind, key)

    # --- what is decided ---------------------------------------------------------------------

    def write_statuses(self, decisions: Decisions, priority: WritePriority | None = None) -> None:
        """Have written what was decided: frontends first, since they carry the traffic.

        None: what is down goes before what is not. How long a write takes is measured where the
        prober decided it.
        """
        now = asyncio.get_running_loop().time()
        for kind, key, usual in _list_due(decisions):
            urgency = usual if priority is None else priority
            measured = urgency not in (WritePriority.PROGRAMMED, WritePriority.OTHER)
            render = partial(self._renderer.render, kind, key)
            self._view.publish_object(kind, key)
            self._writer.submit_status(kind, key, render, urgency, since=now if measured else None)

    def _report_nodes(self, frontends: Iterable[ObjectKey] | None) -> None:
        """Show what nodes say that is new of these frontends; None: of any."""
        decided = self._decided.frontends
        named = decided if frontends is None else [key for key in frontends if key in decided]
        again = Decisions(frontends={key: decided[key] for key in named})
        self.write_statuses(again, WritePriority.PROGRAMMED)

    def _repair_status(self, kind: ObjectKind, key: ObjectKey) -> None:
        """Write a status again that is not ours: agents may be acting on a frontend's."""
        usual = None if kind == ObjectKind.FRONTEND else WritePriority.BACKEND
        self.write_statuses(self._decided.repeat_decisions(kind, key), usual)


def _list_due(decisions: Decisions) -> Iterator[tuple[ObjectKind, ObjectKey, WritePriority]]:
    for key, view in decisions.frontends.items():
        if view is not None:
            yield ObjectKind.FRONTEND, key, _frontend_priority(view)
    for key, backend in decisions.backends.items():
        if backend is not None:
            down = backend.health.state is HealthState.DOWN
            yield (
                ObjectKind.BACKEND,
                key,
                WritePriority.BACKEND_DOWN if down else WritePriority.BACKEND,
            )
    for key, check in decisions.health_checks.items():
        if check is not None:
            yield ObjectKind.HEALTH_CHECK, key, WritePriority.OTHER


def _frontend_priority(view: FrontendView | UnreadFrontend) -> WritePriority:
    """Put first what has something down: of many that lose backends, the oldest goes first."""
    if not isinstance(view, FrontendView) or view.decision.state is not HealthState.UP:
        return WritePriority.FRONTEND_DOWN
    down = any(one.acting is HealthState.DOWN for one in view.decision.members)
    return WritePriority.FRONTEND_DOWN if down else WritePriority.FRONTEND
