"""Makes decisions known: statuses, Kubernetes events, and a log line a transition.

It only notes and hands on: the status writer and the event recorder do the work behind.
"""

import asyncio
import logging
from collections.abc import Iterable
from functools import partial

from vpplb.controller.announcer import (
    Announced,
    Note,
    announced_by,
    announcing,
    dangling_by,
    frontend_notes,
    reference_note,
    suspicion_notes,
    transition_notes,
)
from vpplb.controller.dangling import Dangling
from vpplb.kube.api_resources import JsonObject
from vpplb.kube.kubernetes_events import Event, EventRecorder
from vpplb.kube.mender import Mender
from vpplb.kube.status import Priority, StatusWriter
from vpplb.model.clock import Clock
from vpplb.model.health import HealthState, Transition
from vpplb.model.names import ObjectKey, ObjectKind
from vpplb.plan.desired import FrontendView
from vpplb.plan.guard import Alarm
from vpplb.reconcile.reconciler import Reconciler
from vpplb.resources.renderer import StatusRenderer
from vpplb.telemetry.board import Board
from vpplb.telemetry.metrics import OperatorMetrics
from vpplb.telemetry.transitions import log_suspicion, log_transition

log = logging.getLogger(__name__)


class Reporter:
    """Implements `reconcile.ports.StatusSink` on the API server.

    `attach` gives it the reconciler, which needs its sink before it can be made, and what shows
    its decisions here and now.
    """

    def __init__(
        self,
        writer: StatusWriter,
        recorder: EventRecorder,
        clock: Clock,
    ) -> None:
        self._writer = writer
        self._recorder = recorder
        self._clock = clock
        self._uids: dict[tuple[ObjectKind, ObjectKey], str] = {}
        self._announced: dict[ObjectKey, Announced] = {}
        self._dangling = Dangling(lambda kind, key, note: self._emit(kind, key, (note,)))
        self._mender = Mender(self._mend)

    def attach(
        self,
        reconciler: Reconciler,
        renderer: StatusRenderer,
        board: Board,
        metrics: OperatorMetrics,
    ) -> None:
        """Report on this reconciler's decisions."""
        self._reconciler, self._renderer = reconciler, renderer
        self._board, self._metrics = board, metrics
        self._mender.on_mend = metrics.record_status_mended

    # --- what the API server has -------------------------------------------------------------

    def seen(self, kind: ObjectKind, key: ObjectKey, raw: JsonObject) -> None:
        """Take note of an object and of the status that it shows.

        Until something is decided here, another operator may be at work: then the newest status
        is what to go on from, and what is shown; later on it is the echo of our own, or what
        somebody else has written, which is put right.
        """
        metadata, following = raw["metadata"], not self._reconciler.synced
        first = self._uids.get((kind, key)) != metadata["uid"]
        self._uids[kind, key] = metadata["uid"]
        if following:
            self._renderer.gone(kind, key)
        self._renderer.seen(kind, key, raw)
        self._board.seen(kind, key, raw)
        status = raw.get("status") or {}
        if self._writer.known(kind, key, raw) and not following:
            self._mender.overwritten(kind, key, raw)
        if kind == ObjectKind.FRONTEND and (following or first):
            self._announced[key] = announced_by(status)
        if kind != ObjectKind.HEALTH_CHECK and (following or first):
            self._dangling.told(kind, key, dangling_by(kind, status))
        if following:
            self._board.changed(kind, key)

    def gone(self, kind: ObjectKind, key: ObjectKey) -> None:
        """Forget a deleted object."""
        self._uids.pop((kind, key), None)
        self._renderer.gone(kind, key)
        self._board.gone(kind, key)
        self._writer.forget(kind, key)
        self._dangling.forget(kind, key)
        self._mender.forget(kind, key)
        if kind == ObjectKind.FRONTEND:
            self._announced.pop(key, None)
        elif kind == ObjectKind.BACKEND:
            self._metrics.forget_backend(key)

    def rewound(self) -> None:
        """Take no status for known that was seen; each that comes back another is put right."""
        self._writer.rewound()

    def node_seen(
        self, key: ObjectKey, raw: JsonObject, frontends: Iterable[ObjectKey] | None
    ) -> None:
        """Take note of a Dataplane that says something new of these frontends; None: of any."""
        self._board.seen("Dataplane", key, raw)
        self._nodes_changed(frontends)

    def node_gone(self, key: ObjectKey) -> None:
        """Forget a deleted Dataplane."""
        self._board.gone("Dataplane", key)
        self._nodes_changed(None)

    def _nodes_changed(self, frontends: Iterable[ObjectKey] | None) -> None:
        for key in self._reconciler.views if frontends is None else frontends:
            if (ObjectKind.FRONTEND, key) in self._uids:
                self._submit(ObjectKind.FRONTEND, key, Priority.PROGRAMMED)

    # --- what is decided ---------------------------------------------------------------------

    def frontend_changed(self, key: ObjectKey) -> None:
        """Write the status of a frontend and announce what changed."""
        if (ObjectKind.FRONTEND, key) not in self._uids:
            return
        view = self._reconciler.views.get(key)
        self._submit(ObjectKind.FRONTEND, key, _urgency(view))
        before = self._announced[key]
        after = announcing(before, view, self._reconciler.problems("Frontend", key))
        self._announced[key] = after
        self._emit(ObjectKind.FRONTEND, key, frontend_notes(before, after))
        unresolved = view.config.resolved.unresolved if view is not None else ()
        self._dangling.now(ObjectKind.FRONTEND, key, reference_note(unresolved))

    def backend_changed(self, key: ObjectKey) -> None:
        """Write the status of a backend and announce what it refers to in vain."""
        down = self._reconciler.health(key).state is HealthState.DOWN
        self._submit(ObjectKind.BACKEND, key, Priority.BACKEND_DOWN if down else Priority.BACKEND)
        self._dangling.now(
            ObjectKind.BACKEND, key, reference_note(self._reconciler.problems("Backend", key))
        )

    def health_check_changed(self, key: ObjectKey) -> None:
        """Write the status of a health check."""
        self._submit(ObjectKind.HEALTH_CHECK, key, Priority.OTHER)

    def transition(self, transition: Transition) -> None:
        """Log a transition and tell each frontend's view of it."""
        log_transition(transition)
        self._metrics.record_transition(transition)
        self._board.transition(transition)
        frontends = self._reconciler.store.frontends_of(transition.backend)
        views = {key: self._reconciler.views.get(key) for key in frontends}
        self._emit(ObjectKind.BACKEND, transition.backend, transition_notes(transition, views))

    def removed(self, backend: ObjectKey, frontend: ObjectKey) -> None:
        """Log that a backend is no longer probed for a frontend."""
        log.info("backend %s removed from frontend %s", backend, frontend)
        self._board.removed(backend, frontend)

    def prober_suspected(self, alarm: Alarm | None) -> None:
        """Log it, measure it, and tell it once: on the first of the frontends that it is about."""
        log_suspicion(alarm)
        self._metrics.set_prober_suspect(alarm is not None)
        views = self._reconciler.views
        about = sorted(key for key, view in views.items() if view.suspect)
        if alarm is not None and about:
            self._emit(ObjectKind.FRONTEND, about[0], suspicion_notes(alarm, len(about)))

    # --- pieces ------------------------------------------------------------------------------

    def _mend(self, kind: ObjectKind, key: ObjectKey) -> None:
        """Write a status again that is not ours: agents may be acting on a frontend's."""
        view = self._reconciler.views.get(key)
        self._submit(kind, key, _urgency(view) if kind == ObjectKind.FRONTEND else Priority.BACKEND)

    def _submit(self, kind: ObjectKind, key: ObjectKey, priority: Priority) -> None:
        """Have a status written; how long that takes is measured where the prober decided it."""
        if (kind, key) in self._uids and self._reconciler.synced:
            self._board.changed(kind, key)
            render = partial(self._renderer.render, kind, key)
            decided = priority not in (Priority.PROGRAMMED, Priority.OTHER)
            now = asyncio.get_running_loop().time() if decided else None
            self._writer.submit(kind, key, render, priority, since=now)

    def _emit(self, kind: ObjectKind, key: ObjectKey, notes: Iterable[Note]) -> None:
        uid = self._uids.get((kind, key))
        for note in notes if uid is not None else ():
            self._recorder.emit(
                Event(
                    kind=kind,
                    key=key,
                    uid=uid or "",
                    type=note.type,
                    reason=note.reason,
                    note=note.text,
                    at=self._clock.now(),
                )
            )


def _urgency(view: FrontendView | None) -> Priority:
    """Put first what has something down: of many that lose backends, the oldest goes first."""
    if view is None or view.decision.state is not HealthState.UP:
        return Priority.FRONTEND_DOWN
    down = any(one.acting is HealthState.DOWN for one in view.decision.members)
    return Priority.FRONTEND_DOWN if down else Priority.FRONTEND
