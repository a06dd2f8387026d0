"""What is said of a frontend that was decided: its state, its conditions, and what is wrong.

A frontend is as up as its pools are, where a node carries it; else it serves nobody. What keeps it
from serving as it should is a list of degradations, the worst first: the first names `Degraded`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from vpplb.model.health import HealthState
from vpplb.model.names import ObjectKey
from vpplb.model.printable import join_few
from vpplb.plan.desired import FrontendView
from vpplb.resources import condition_reasons as reasons
from vpplb.resources.condition_reasons import ConditionReason
from vpplb.resources.conditions import StatusCondition, find_condition
from vpplb.resources.node_report import NodeReport

BEHIND_AFTER = timedelta(seconds=5)
"""For how long nodes may lack the newest state before that is a degradation: each change takes a
moment, and an agent that is replaced some seconds."""

_SUSPECT = (
    "so many backends, some of these among them, fell silent at once that the prober itself is"
    " suspected; weights stay as they were"
)
_NOT_DEGRADED = "nothing keeps it from serving as configured"
_NOT_UP = (HealthState.DOWN, HealthState.UNKNOWN)
"""States of a backend that nobody has asked for."""
_TAKEN_OUT = (HealthState.PAUSED, HealthState.DISABLED)
"""Those that somebody has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontendDegradation:
    """One thing that keeps a frontend from serving as it should; `message` is for people."""

    reason: ConditionReason
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontendJudgement:
    """How a frontend stands: `conditions` are not dated yet, `problem` is empty where all is well.

    `is_unsettled`: it is to be judged again after `BEHIND_AFTER`, though nothing happens.
    """

    state: HealthState
    conditions: tuple[StatusCondition, ...]
    degradations: tuple[FrontendDegradation, ...]
    problem: str
    is_unsettled: bool = False


def judge_frontend(
    view: FrontendView,
    nodes: NodeReport,
    stated: Sequence[StatusCondition],
    shown: Sequence[StatusCondition],
    now: datetime,
) -> FrontendJudgement:
    """Judge a frontend; `stated` are Accepted and ResolvedRefs, `shown` its conditions so far."""
    state, available = _judge_service(view, nodes)
    programmed = _judge_programmed(view, nodes)
    behind_at = _find_behind_time(programmed, shown, now)
    is_behind = behind_at is not None and behind_at <= now
    degradations = tuple(_find_degradations(view, nodes, is_behind=is_behind))
    main = (*stated, available, programmed)
    conditions = (*main, _judge_degraded(degradations, view.config.over_the_top))
    return FrontendJudgement(
        state=state,
        conditions=(*conditions, _judge_ready(main, degradations)),
        degradations=degradations,
        problem=_name_problems((*stated, available), degradations),
        is_unsettled=behind_at is not None and not is_behind,
    )


def judge_refused(accepted: StatusCondition) -> tuple[StatusCondition, str]:
    """Return `Ready`, and the problem, of a frontend that is not understood."""
    return reasons.NOT_ACCEPTED.make_condition(accepted.message), accepted.reason


def _judge_service(view: FrontendView, nodes: NodeReport) -> tuple[HealthState, StatusCondition]:
    """Say whether anybody serves: a pool that can is nothing where no node carries the VIP."""
    up, of = view.decision.ready
    state = view.decision.state
    match state:
        case HealthState.UP if not nodes.carrying:
            return _judge_uncarried(nodes)
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
    return state, reason.make_condition(message)


def _judge_uncarried(nodes: NodeReport) -> tuple[HealthState, StatusCondition]:
    if nodes.unsure:
        said = f"backends are up, and it is not known whether {join_few(nodes.unsure)} carries it"
        return HealthState.UNKNOWN, reasons.NODES_UNSURE.make_condition(said)
    if not nodes.desired:
        nobody = "backends are up, and no node with an agent is selected, so nobody carries it"
        return HealthState.DOWN, reasons.NOT_SELECTED.make_condition(nobody)
    none = f"backends are up, and none of {len(nodes.desired)} nodes carries it"
    return HealthState.DOWN, reasons.NOT_CARRIED.make_condition(none)


def _name_awaited(view: FrontendView) -> str:
    members = view.decision.members
    heard = sum(one.state in (HealthState.UP, HealthState.DOWN) for one in members)
    if not heard:
        return "no backend has a verdict yet"
    return f"{heard} of {len(members)} backends have a verdict, the others are awaited for a moment"


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
    if nodes.behind:
        return reasons.PROGRAMMING.make_condition(f"{count}, not {join_few(nodes.behind)}")
    return reasons.PROGRAMMED.make_condition(count)


def _find_behind_time(
    programmed: StatusCondition, shown: Sequence[StatusCondition], now: datetime
) -> datetime | None:
    """Return from when on nodes count as behind: at once where VPP refuses; None: they do not."""
    if programmed.reason == reasons.NODE_FAILED.reason:
        return now
    if programmed.status == "True" or programmed.reason == reasons.NO_NODES.reason:
        return None
    before = find_condition(shown, programmed.type)
    since = before.last_transition_time if before and before.status == programmed.status else None
    return (since or now) + BEHIND_AFTER


# --- what keeps it from serving as it should -----------------------------------------------------


def _find_degradations(
    view: FrontendView, nodes: NodeReport, *, is_behind: bool
) -> Iterator[FrontendDegradation]:
    """Find them, the worst first."""
    if view.suspect:
        yield FrontendDegradation(reason=reasons.PROBER_SUSPECT, message=_SUSPECT)
    if is_behind and view.desired is not None:
        yield FrontendDegradation(reason=reasons.NODES_BEHIND, message=_describe_behind(nodes))
    if view.decision.state is not HealthState.UNKNOWN:
        yield from _find_failover(view)
        yield from _find_backends_down(view)
    if view.config.flattened:
        yield FrontendDegradation(reason=reasons.WEIGHTS_FLATTENED, message=view.config.flattened)
    if nodes.roadless:
        lost = f"failovers reach {join_few(nodes.roadless)} by the API server alone"
        yield FrontendDegradation(reason=reasons.DIRECT_ROAD_LOST, message=lost)


def _describe_behind(nodes: NodeReport) -> str:
    errors = dict(nodes.failed)
    away = set(nodes.away)

    def describe(node: str) -> str:
        if node in errors:
            return f"{node} ({errors[node]})"
        return f"{node} (not heard)" if node in away else node

    named = sorted({*nodes.behind, *errors})
    return f"not the newest state on {join_few([describe(node) for node in named])}"


def _find_failover(view: FrontendView) -> Iterator[FrontendDegradation]:
    """A pool whose weights are all 0 is out of service by somebody's will.

    Whom somebody has paused or disabled is named here, since that is a cause as well.
    """
    active = view.decision.active_pool
    weighted = [one for one in view.decision.members if one.member.weight]
    first = weighted[0].member.pool if weighted else ""
    if active and active != first:
        of_first = [one for one in weighted if one.member.pool == first]
        out = [one for one in of_first if one.state in _TAKEN_OUT]
        named = [f"{one.member.backend.name} is {one.state.value}" for one in out]
        said = f"pool {active} serves in place of {first}"
        said += f" ({join_few(named)})" if named else ""
        yield FrontendDegradation(reason=reasons.FAILED_OVER, message=said)


def _find_backends_down(view: FrontendView) -> Iterator[FrontendDegradation]:
    """Whom somebody has paused or disabled is not missed."""
    lost: dict[ObjectKey, HealthState] = {
        one.member.backend: one.state for one in view.decision.members if one.acting in _NOT_UP
    }
    if lost:
        named = [f"{key.name} is {state.value}" for key, state in sorted(lost.items())]
        of = len({one.member.backend for one in view.decision.members})
        said = f"{len(lost)} of {of} backends are not up: {join_few(named)}"
        yield FrontendDegradation(reason=reasons.BACKENDS_DOWN, message=said)


# --- the sum -------------------------------------------------------------------------------------


def _judge_degraded(
    degradations: Sequence[FrontendDegradation], over_the_top: str
) -> StatusCondition:
    said = [one.message for one in degradations] or [_NOT_DEGRADED]
    reason = degradations[0].reason if degradations else reasons.NOT_DEGRADED
    return reason.make_condition("; ".join([*said, over_the_top] if over_the_top else said))


_NOT_READY = {
    "Accepted": reasons.NOT_ACCEPTED,
    "ResolvedRefs": reasons.NOT_RESOLVED,
    "Available": reasons.NOT_AVAILABLE,
    "Programmed": reasons.NOT_PROGRAMMED,
}


def _judge_ready(
    main: Sequence[StatusCondition], degradations: Sequence[FrontendDegradation]
) -> StatusCondition:
    """Sum the conditions up, as programs do that apply objects and wait (kstatus, Argo CD)."""
    for one in main:
        if one.status == "False":
            return _NOT_READY[one.type].make_condition(f"{one.reason}: {one.message}")
        if one.status == "Unknown":
            return reasons.READY_UNKNOWN.make_condition(f"{one.reason}: {one.message}")
    if degradations:
        return reasons.READY_DEGRADED.make_condition("; ".join(one.message for one in degradations))
    return reasons.READY.make_condition("what was written is served by all nodes")


def _name_problems(
    main: Sequence[StatusCondition], degradations: Sequence[FrontendDegradation]
) -> str:
    """Name all that is wrong, the worst first, each once."""
    wrong = [one.reason for one in main if one.status != "True"]
    return ",".join(dict.fromkeys([*wrong, *(one.reason.reason for one in degradations)]))
