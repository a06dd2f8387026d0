"""Where decisions go when there is no API server: to the syncer, the log and the statuses."""

import logging
from collections.abc import Callable

from vpplb.model.health import Transition
from vpplb.model.names import ObjectKey
from vpplb.model.problem import Problem
from vpplb.plan.guard import Alarm
from vpplb.reconcile.reconciler import Reconciler
from vpplb.resources.statuses import frontend_dataplane
from vpplb.sync.syncer import Syncer
from vpplb.telemetry.board import Board
from vpplb.telemetry.transitions import log_suspicion, log_transition

log = logging.getLogger(__name__)


class LocalSink:
    """Implements `reconcile.ports.StatusSink`.

    `attach` gives it the reconciler and the syncer, which need it before they can be made.
    `on_change` is called with kind and key after each change, `on_transition` with each one,
    `on_suspicion` with whether the prober is suspected when that changes.
    """

    def __init__(
        self,
        on_change: Callable[[str, ObjectKey], None],
        on_transition: Callable[[Transition], None],
        on_suspicion: Callable[[bool], None],
    ) -> None:
        self._on_change = on_change
        self._on_transition = on_transition
        self._on_suspicion = on_suspicion
        self._problems: dict[ObjectKey, tuple[Problem, ...]] = {}

    def attach(self, reconciler: Reconciler, syncer: Syncer, board: Board) -> None:
        """Hand this reconciler's decisions to this syncer, and show them on the board."""
        self._reconciler, self._syncer, self._board = reconciler, syncer, board

    def frontend_changed(self, key: ObjectKey) -> None:
        """Want the frontend's VIP as decided."""
        view = self._reconciler.views.get(key)
        dataplane = frontend_dataplane(view) if view is not None else None
        if view is None or view.desired is None or dataplane is None:
            self._syncer.remove_frontend(key)
        else:
            vip = view.config.resolved.frontend.vip
            self._syncer.set_desired(key, vip, view.desired, str(dataplane["revision"]))
        self._warn(key, view.config.resolved.problems if view is not None else ())
        self._on_change("Frontend", key)

    def _warn(self, key: ObjectKey, problems: tuple[Problem, ...]) -> None:
        """Log what is wrong with a frontend, once."""
        for problem in problems:
            if problem not in self._problems.get(key, ()):
                log.warning("%s", problem)
        self._problems[key] = problems

    def backend_changed(self, key: ObjectKey) -> None:
        """Keep and show the backend's status."""
        self._on_change("Backend", key)

    def health_check_changed(self, key: ObjectKey) -> None:
        """Keep and show the health check's status."""
        self._on_change("HealthCheck", key)

    def transition(self, transition: Transition) -> None:
        """Log a transition."""
        log_transition(transition)
        self._board.transition(transition)
        self._on_transition(transition)

    def removed(self, backend: ObjectKey, frontend: ObjectKey) -> None:
        """Log that a backend is no longer probed for a frontend."""
        log.info("backend %s removed from frontend %s", backend, frontend)
        self._board.removed(backend, frontend)

    def prober_suspected(self, alarm: Alarm | None) -> None:
        """Log it and tell it on."""
        log_suspicion(alarm)
        self._on_suspicion(alarm is not None)
