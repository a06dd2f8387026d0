"""From decisions to what users read: the status of each kind, with its conditions.

Pure: the present and the conditions shown so far are arguments. Conditions are named as the
Gateway API names them; the time of a condition moves only with its status.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime

from vpplb.model.health import BackendHealth, HealthState
from vpplb.model.problem import Problem
from vpplb.plan.decisions import BackendView, HealthCheckView
from vpplb.plan.desired import FrontendView
from vpplb.plan.warnings import find_warnings
from vpplb.resources import condition_reasons as reasons
from vpplb.resources.backend import BackendStatus, dump_health
from vpplb.resources.conditions import StatusCondition, set_condition
from vpplb.resources.dataplane_codec import dump_dataplane, dump_order
from vpplb.resources.frontend import FrontendBackend, FrontendNodes, FrontendStatus
from vpplb.resources.frontend_conditions import FrontendJudgement, judge_frontend, judge_refused
from vpplb.resources.healthcheck import HealthCheckStatus
from vpplb.resources.node_report import NodeReport
from vpplb.resources.raw_fields import VALID


def render_frontend(
    view: FrontendView,
    report: Callable[[str], NodeReport],
    generation: int,
    shown: Sequence[StatusCondition],
    now: datetime,
) -> tuple[FrontendStatus, FrontendJudgement]:
    """Render a Frontend's status, and return with it what it was concluded from.

    `shown` are its conditions so far; `report` says how far a revision has got on the nodes.
    """
    dataplane = frontend_dataplane(view)
    nodes = report(str(dataplane["revision"]) if dataplane is not None else "")
    resolved = view.config.resolved
    accepted = accepted_condition(
        view.invalid or _list_problem(resolved.rejected),
        (*find_warnings(resolved), *resolved.frontend.ignored),
    )
    stated = (accepted, _judge_resolved(resolved.unresolved))
    judged = judge_frontend(view, nodes, stated, shown, now)
    decision = view.decision
    up, of = decision.ready
    status = FrontendStatus(
        state=judged.state.value,
        problem=judged.problem or None,
        active_pool=decision.active_pool or None,
        ready=f"{up}/{of}",
        backends=tuple(
            FrontendBackend(
                name=one.member.backend.name,
                address=str(one.member.address),
                pool=one.member.pool,
                state=one.state,
                weight=one.member.weight,
                effective_weight=one.effective,
            )
            for one in decision.members
        ),
        dataplane=dataplane,
        withdrawn=dump_order(view.order) or None if view.withdrawn else None,
        nodes=FrontendNodes.summarize_nodes(
            len(nodes.programmed), len(nodes.desired), holding=nodes.is_holding
        ),
        conditions=_date_conditions(shown, judged.conditions, generation, now),
        observed_generation=generation,
    )
    return status, judged


def frontend_dataplane(view: FrontendView) -> dict[str, object] | None:
    """Return `status.dataplane`, revision and order included; None when there is no VIP."""
    if view.desired is None:
        return None
    frontend = view.config.resolved.frontend
    return dump_dataplane(frontend.vip, view.desired, frontend.node_selector, view.order)


def invalid_frontend_status(
    problems: Sequence[Problem], generation: int, shown: Sequence[StatusCondition], now: datetime
) -> FrontendStatus:
    """Render what is to be said of a Frontend that was never understood: why, and no decision."""
    accepted = accepted_condition(problems)
    ready, problem = judge_refused(accepted)
    return FrontendStatus(
        problem=problem,
        conditions=_date_conditions(shown, [accepted, ready], generation, now),
        observed_generation=generation,
    )


def backend_status(
    view: BackendView, generation: int, shown: Sequence[StatusCondition], now: datetime
) -> BackendStatus:
    accepted = accepted_condition(view.problems, view.ignored)
    if not view.problems and not view.frontends:
        unused = "no Frontend references it, so it is not probed"
        accepted = reasons.UNREFERENCED.make_condition(
            f"{unused}; {join_problems(view.ignored)}" if view.ignored else unused
        )
    healthy = _judge_healthy(view.health)
    ready = _judge_ready(accepted, view.health, healthy, used=bool(view.frontends))
    return dump_health(view.health).model_copy(
        update={
            "problem": accepted.reason if accepted.status != "True" else None,
            "frontends": len(view.frontends),
            "observed_generation": generation,
            "conditions": _date_conditions(shown, [accepted, healthy, ready], generation, now),
        }
    )


def health_check_status(
    view: HealthCheckView, generation: int, shown: Sequence[StatusCondition], now: datetime
) -> HealthCheckStatus:
    accepted = accepted_condition(view.problems, view.ignored)
    return HealthCheckStatus(
        backends=view.backends,
        conditions=_date_conditions(shown, [accepted], generation, now),
        observed_generation=generation,
    )


def _date_conditions(
    shown: Sequence[StatusCondition],
    wanted: Iterable[StatusCondition],
    generation: int,
    now: datetime,
) -> tuple[StatusCondition, ...]:
    conditions = tuple(shown)
    for one in wanted:
        conditions = set_condition(conditions, one, now, generation)
    return conditions


def _list_problem(problem: Problem | None) -> tuple[Problem, ...]:
    return () if problem is None else (problem,)


def accepted_condition(
    problems: Sequence[Problem], beware: Sequence[Problem] = ()
) -> StatusCondition:
    """Return `Accepted`: what is wrong with a spec, or what to beware of in one that is not."""
    if problems:
        return _refuse("Accepted", problems)
    return reasons.ACCEPTED.make_condition(join_problems(beware) or VALID)


def _refuse(condition: str, problems: Sequence[Problem]) -> StatusCondition:
    """Return the condition that is False for these problems, the first of which names it."""
    said, reason = join_problems(problems), problems[0].reason
    return StatusCondition(type=condition, status="False", reason=reason, message=said)


def join_problems(problems: Sequence[Problem]) -> str:
    """Put problems into one line, each behind its field."""
    return "; ".join(
        f"{problem.field}: {problem.message}" if problem.field else problem.message
        for problem in problems
    )


def _judge_resolved(unresolved: Sequence[Problem]) -> StatusCondition:
    if unresolved:
        return _refuse("ResolvedRefs", unresolved)
    return reasons.RESOLVED_REFS.make_condition("every Backend that is named exists")


_HEALTHY = {
    HealthState.UP: reasons.HEALTHY_UP,
    HealthState.DOWN: reasons.HEALTHY_DOWN,
    HealthState.UNKNOWN: reasons.HEALTHY_UNKNOWN,
    HealthState.PAUSED: reasons.HEALTHY_PAUSED,
    HealthState.DISABLED: reasons.HEALTHY_DISABLED,
}


def _judge_healthy(health: BackendHealth) -> StatusCondition:
    said = (
        f"{health.code}: {health.detail}"
        if health.detail
        else health.code or _explain_unprobed(health)
    )
    return _HEALTHY[health.state].make_condition(said)


_BY_WILL = (HealthState.PAUSED, HealthState.DISABLED)


def _judge_ready(
    accepted: StatusCondition, health: BackendHealth, healthy: StatusCondition, *, used: bool
) -> StatusCondition:
    """Sum the conditions up: it is to be up where it is used, and nobody has taken it out."""
    if accepted.status != "True":
        return reasons.BACKEND_NOT_ACCEPTED.make_condition(f"{accepted.reason}: {accepted.message}")
    if healthy.status == "True" or health.state in _BY_WILL or not used:
        return reasons.BACKEND_READY.make_condition(healthy.message if used else accepted.message)
    reason = reasons.NOT_HEALTHY if healthy.status == "False" else reasons.HEALTH_UNKNOWN
    return reason.make_condition(healthy.message)


def _explain_unprobed(health: BackendHealth) -> str:
    match health.state:
        case HealthState.PAUSED:
            return "not probed, since spec.paused is true"
        case HealthState.DISABLED:
            return "not probed, since spec.enabled is false"
        case _ if health.held:
            return "no verdict yet; it was up and goes on serving until there is one"
        case _:
            return "no result yet"
