"""Whether a Frontend can serve, and as it should: the conditions `Available` and `Degraded`."""

from vpplb.model.health import HealthState
from vpplb.plan.desired import FrontendView
from vpplb.resources.conditions import ConditionStatus, StatusCondition

_SUSPECT = (
    "so many backends, some of these among them, fell silent at once that the prober itself is"
    " suspected; weights stay as they were"
)
_NOT_DEGRADED = "the weights are honoured, and the prober is trusted"


def judge_available(view: FrontendView) -> StatusCondition:
    """Say whether a pool serves."""
    up, of = view.decision.ready
    status: ConditionStatus
    match view.decision.state:
        case HealthState.UP:
            status, reason = "True", "BackendsUp"
            message = f"pool {view.decision.active_pool} serves, {up} of {of} backends are up"
        case HealthState.UNKNOWN:
            status, reason, message = "Unknown", "NoVerdict", _name_awaited(view)
            if view.config.resolved.is_withdrawn:
                message = "not accepted, so nothing is served"
        case _:
            status, reason, message = "False", "NoBackendUp", f"none of {of} backends can serve"
    if view.desired is not None and view.desired.tentative:
        message += "; a VIP in service stays as it is until each of them has a verdict"
    return StatusCondition(type="Available", status=status, reason=reason, message=message)


def _name_awaited(view: FrontendView) -> str:
    members = view.decision.members
    heard = sum(one.state in (HealthState.UP, HealthState.DOWN) for one in members)
    if not heard:
        return "no backend has a verdict yet"
    return f"{heard} of {len(members)} backends have a verdict, the others are awaited for a moment"


def judge_degraded(view: FrontendView) -> StatusCondition:
    """Say what keeps it from serving as it should, the worst first."""
    config = view.config
    found = [("ProberSuspect", _SUSPECT if view.suspect else "")]
    found.append(("WeightsFlattened", config.flattened))
    reasons = [(reason, said) for reason, said in found if said]
    said = [text for _, text in reasons] or [_NOT_DEGRADED]
    message = "; ".join([*said, config.over_the_top] if config.over_the_top else said)
    if not reasons:
        return StatusCondition(
            type="Degraded", status="False", reason="NotDegraded", message=message
        )
    return StatusCondition(type="Degraded", status="True", reason=reasons[0][0], message=message)
