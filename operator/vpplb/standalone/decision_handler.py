"""What follows from decisions when there is no API server: VIPs are wanted, statuses kept."""

import logging
from collections.abc import Callable

from vpplb.model.health import HealthTransition
from vpplb.model.names import ObjectKey, ObjectKind
from vpplb.model.problem import Problem
from vpplb.plan.decisions import DecidedState, Decisions, UnreadFrontend
from vpplb.plan.desired import FrontendView
from vpplb.resources.statuses import frontend_dataplane
from vpplb.standalone.local_statuses import LocalStatuses
from vpplb.sync.syncer import VppSyncer
from vpplb.telemetry.decision_log import DecisionLog

log = logging.getLogger(__name__)


class DecisionHandler:
    """Hands decisions to the syncer, the statuses and the log; `on_transition` is told each one."""

    def __init__(
        self,
        *,
        decided: DecidedState,
        syncer: VppSyncer,
        statuses: LocalStatuses,
        decision_log: DecisionLog,
        on_transition: Callable[[HealthTransition], None],
    ) -> None:
        self._decided, self._syncer, self._statuses = decided, syncer, statuses
        self._log, self._on_transition = decision_log, on_transition
        self._problems: dict[ObjectKey, tuple[Problem, ...]] = {}

    def handle_decisions(self, decisions: Decisions) -> None:
        """Do what was decided: frontends first, since they carry the traffic."""
        self._decided.apply_decisions(decisions)
        for key, view in decisions.frontends.items():
            self._want_vip(key, view)
            self._log_problems(key, view)
            self._statuses.refresh_status(ObjectKind.FRONTEND, key)
        for key in decisions.backends:
            self._statuses.refresh_status(ObjectKind.BACKEND, key)
        for key in decisions.health_checks:
            self._statuses.refresh_status(ObjectKind.HEALTH_CHECK, key)
        self._log.log_decisions(decisions)
        for transition in decisions.transitions:
            self._on_transition(transition)

    def _want_vip(self, key: ObjectKey, view: FrontendView | UnreadFrontend | None) -> None:
        dataplane = frontend_dataplane(view) if isinstance(view, FrontendView) else None
        if not isinstance(view, FrontendView) or view.desired is None or dataplane is None:
            self._syncer.remove_frontend(key)
        else:
            vip = view.config.resolved.frontend.vip
            self._syncer.set_desired(key, vip, view.desired, str(dataplane["revision"]))

    def _log_problems(self, key: ObjectKey, view: FrontendView | UnreadFrontend | None) -> None:
        problems = view.config.resolved.problems if isinstance(view, FrontendView) else ()
        for problem in problems:
            if problem not in self._problems.get(key, ()):
                log.warning("%s", problem)
        self._problems[key] = problems
