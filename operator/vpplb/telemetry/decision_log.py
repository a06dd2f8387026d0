"""What was decided, for people: log lines to grep for, counters, and the stream of events."""

import logging

from vpplb.model.clock import Clock
from vpplb.model.health import HealthTransition, ProberAlarm
from vpplb.model.names import ObjectKey
from vpplb.plan.decisions import Decisions, UnreadFrontend
from vpplb.plan.desired import FrontendView
from vpplb.telemetry.metrics import DecisionMetrics
from vpplb.telemetry.state_view import DecidedStateView

log = logging.getLogger("vpplb.transitions")


def log_transition(transition: HealthTransition) -> None:
    seen = ": ".join(part for part in (transition.code, transition.detail) if part)
    log.info(
        "backend %s %s → %s%s",
        transition.backend,
        transition.from_state.value,
        transition.to_state.value,
        f" ({seen})" if seen else "",
        extra={
            "backend": str(transition.backend),
            "from": transition.from_state.value,
            "to": transition.to_state.value,
            "code": transition.code,
            "detail": transition.detail,
            "at": transition.at.isoformat(),
        },
    )


def log_suspicion(alarm: ProberAlarm | None) -> None:
    """Log that the prober is suspected, and why; None: that it no longer is."""
    if alarm is None:
        log.warning("the prober is trusted again: backends are as it measures them")
        return
    log.warning(
        "the prober itself is suspected, weights stay as they are: %d of %d backends fell silent",
        alarm.silent,
        alarm.were_up,
        extra={"silent": alarm.silent, "were_up": alarm.were_up},
    )


class DecisionLog:
    """Logs, counts and streams what was decided, but for the objects themselves."""

    def __init__(self, metrics: DecisionMetrics, view: DecidedStateView, clock: Clock) -> None:
        self._metrics, self._view, self._clock = metrics, view, clock
        self._pools: dict[ObjectKey, str] = {}  # which pool serves, once one does

    def log_decisions(self, decisions: Decisions) -> None:
        """Log removals, a suspicion, pools that take over, and transitions, in this order."""
        if decisions.frontends or decisions.backends:
            self._metrics.record_decision()
        for backend, left in decisions.removals:
            log.info("backend %s removed from frontend %s", backend, left)
            self._view.publish_removal(backend, left)
        if decisions.alarm_changed:
            log_suspicion(decisions.alarm)
            self._metrics.set_prober_suspect(decisions.alarm is not None)
        for frontend, view in decisions.frontends.items():
            self._log_pool(frontend, view)
        for transition in decisions.transitions:
            log_transition(transition)
            self._metrics.record_transition(transition)
            self._view.publish_transition(transition)
        for gone in (key for key, view in decisions.backends.items() if view is None):
            self._metrics.forget_backend(gone)

    def _log_pool(self, key: ObjectKey, view: FrontendView | UnreadFrontend | None) -> None:
        if view is None:
            self._pools.pop(key, None)
        elif isinstance(view, FrontendView):
            before, pool = self._pools.get(key, ""), view.decision.active_pool
            if key in self._pools and before != pool:
                at = self._clock.now()
                fields = {"frontend": str(key), "from": before, "to": pool, "at": at.isoformat()}
                log.info(
                    "frontend %s pool %s → %s", key, before or "none", pool or "none", extra=fields
                )
                self._view.publish_failover(key, before, pool, at)
            if pool or key in self._pools:
                self._pools[key] = pool
