"""What was decided, for people: log lines to grep for, counters, and the stream of events."""

import logging

from vpplb.model.health import HealthTransition, ProberAlarm
from vpplb.plan.decisions import Decisions
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

    def __init__(self, metrics: DecisionMetrics, view: DecidedStateView) -> None:
        self._metrics, self._view = metrics, view

    def log_decisions(self, decisions: Decisions) -> None:
        """Log removals, a suspicion and transitions, in this order."""
        if decisions.frontends or decisions.backends:
            self._metrics.record_decision()
        for backend, frontend in decisions.removals:
            log.info("backend %s removed from frontend %s", backend, frontend)
            self._view.publish_removal(backend, frontend)
        if decisions.alarm_changed:
            log_suspicion(decisions.alarm)
            self._metrics.set_prober_suspect(decisions.alarm is not None)
        for transition in decisions.transitions:
            log_transition(transition)
            self._metrics.record_transition(transition)
            self._view.publish_transition(transition)
        for key, view in decisions.backends.items():
            if view is None:
                self._metrics.forget_backend(key)
