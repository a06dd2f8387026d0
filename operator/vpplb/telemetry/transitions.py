"""One structured line a transition: what an operator of the service greps for."""

import logging

from vpplb.model.health import Transition

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
