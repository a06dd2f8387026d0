"""From decisions to what users read: the status of each kind, with its conditions.

Pure: the present and the conditions shown so far are arguments. Conditions are named as the
Gateway API names them; the time of a condition moves only with its status.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from vpplb.model.health import BackendHealth, HealthState
from vpplb.model.printable import join_few
from vpplb.model.problem import Problem
from vpplb.plan.decisions import BackendView, HealthCheckView
from vpplb.plan.desired import FrontendView
from vpplb.plan.warnings import find_warnings
from vpplb.resources import condition_reasons as reasons
from vpplb.resources.backend import BackendStatus, dump_health
from vpplb.resources.conditions import StatusCondition, set_condition
from vpplb.resources.dataplane_codec import dump_dataplane, dump_order
from vpplb.resources.frontend import FrontendBackend, FrontendNodes, FrontendStatus
from vpplb.resources.healthcheck import HealthCheckStatus
from vpplb.resources.raw_fields import VALID

_SUSPECT = (
    "so many backends, some of these among them, fell silent at once that the prober itself is"
    " suspected; weights stay as they were"
)
_NOT_DEGRADED = "the weights are honoured, and the prober is trusted"


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeReport:
    """What the nodes say of one frontend: names of those that shall carry it, carry it, fail.

    `away`: those of `desired` that have no VPP or no agent; `leaving`: others that still carry it.
    """

    desired: tuple[str, ...] = ()
    programmed: tuple[str, ...] = ()
    failed: tuple[tuple[str, str], ...] = ()
    away: tuple[str, ...] = ()
    leaving: tuple[str, ...] = ()

    @property
    def is_holding(self) -> bool:
        """Whether nodes that are not selected any more have to go on: make before break.

        They may let go once a selected node carries it, and so does each other that can. Where no
        node is selected there is nothing to wait for.
        """
        if not self.programmed:
            return bool(self.desired)
        cannot = {name for name, _ in self.failed}.union(self.away)
        return not cannot.issuperset(set(self.desired) - set(self.programmed))


def frontend_status(
    view: FrontendView,
    report: Callable[[str], NodeReport],
    generation: int,
    shown: Sequence[StatusCondition],
    now: datetime,
) -> FrontendStatus:
    """Render a Frontend's status; `shown` are its conditions so far.

    `report` says how far a revision has got on the nodes.
    """
    dataplane = frontend_dataplane(view)
    nodes = report(str(dataplane["revision"]) if dataplane is not None else "")
    decision, frontend = view.decision, view.config.resolved.frontend
    up, of = decision.ready
    return FrontendStatus(
        state=decision.state.value,
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
        conditions=_date_conditions(
            shown,
            [
                accepted_condition(
                    view.invalid or _list_problem(view.config.resolved.rejected),
                    (*find_warnings(view.config.resolved), *frontend.ignored),
                ),
                _judge_resolved(view.config.resolved.unresolved),
                _judge_available(view),
                _judge_programmed(view, nodes),
                _judge_degraded(view),
            ],
            generation,
            now,
        ),
        observed_generation=generation,
    )


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
    return FrontendStatus(
        conditions=_date_conditions(shown, [accepted_condition(problems)], generation, now),
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
    return dump_health(view.health).model_copy(
        update={
            "frontends": len(view.frontends),
            "observed_generation": generation,
            "conditions": _date_conditions(
                shown, [accepted, _judge_healthy(view.health)], generation, now
            ),
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
        seen = one.model_copy(update={"observed_generation": generation})
        conditions = set_condition(conditions, seen, now)
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


def _judge_available(view: FrontendView) -> StatusCondition:
    up, of = view.decision.ready
    match view.decision.state:
        case HealthState.UP:
            reason = reasons.BACKENDS_UP
            message = f"pool {view.decision.active_pool} serves, {up} of {of} backends are up"
        case HealthState.UNKNOWN:
            reason, message = reasons.NO_VERDICT, _name_awaited(view)
            if view.config.resolved.is_withdrawn:
                message = "not accepted, so nothing is served"
        case _:
            reason, message = reasons.NO_BACKEND_UP, f"none of {of} backends can serve"
    if view.desired is not None and view.desired.tentative:
        message += "; a VIP in service stays as it is until each of them has a verdict"
    return reason.make_condition(message)


def _name_awaited(view: FrontendView) -> str:
    members = view.decision.members
    heard = sum(one.state in (HealthState.UP, HealthState.DOWN) for one in members)
    if not heard:
        return "no backend has a verdict yet"
    return f"{heard} of {len(members)} backends have a verdict, the others are awaited for a moment"


def _judge_degraded(view: FrontendView) -> StatusCondition:
    """Say what keeps it from serving as it should, the worst first."""
    config = view.config
    suspected = _SUSPECT if view.suspect else ""
    said = [text for text in (suspected, config.flattened) if text] or [_NOT_DEGRADED]
    degraded = reasons.WEIGHTS_FLATTENED if config.flattened else reasons.NOT_DEGRADED
    reason = reasons.PROBER_SUSPECT if suspected else degraded
    return reason.make_condition(
        "; ".join([*said, config.over_the_top] if config.over_the_top else said)
    )


def _judge_programmed(view: FrontendView, nodes: NodeReport) -> StatusCondition:
    count = f"{len(nodes.programmed)} of {len(nodes.desired)} nodes have the newest state"
    if nodes.leaving and nodes.is_holding:
        count += f" ({join_few(nodes.leaving)} carries it until then)"
    if view.desired is None:
        return reasons.PROGRAMMING.make_condition("not accepted, so no node carries it")
    if not nodes.desired:
        return reasons.NO_NODES.make_condition(
            "no node with an agent is selected, so nobody carries it"
        )
    if nodes.failed:
        said = join_few([f"{node}: {error}" for node, error in nodes.failed], "; ")
        return reasons.NODE_FAILED.make_condition(f"{count}; {said}")
    if missing := sorted(set(nodes.desired) - set(nodes.programmed)):
        return reasons.PROGRAMMING.make_condition(f"{count}, not {join_few(missing)}")
    return reasons.PROGRAMMED.make_condition(count)


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
