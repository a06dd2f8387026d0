"""One structured line a transition, and one a suspicion: what people grep for."""

import logging

from vpplb.model.health import Transition
from vpplb.plan.guard import Alarm

log = logging.getLogger("vpplb.transitions")


def log_transition(transition: Transition) -> None:
    """Log a change of a backend's state, its parts as fields too."""
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
        },
    )


def log_suspicion(alarm: Alarm | None) -> None:
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
