"""Which Kubernetes events a change is worth: pure, from what was announced to what is.

A backend's transition is one event for each frontend that references it, as that frontend has
it; a frontend tells when it goes up or down, changes its pool, or is refused. A restart
announces nothing again, since what was announced is read from the status.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from vpplb.model.health import HealthState, HealthTransition, ProberAlarm
from vpplb.model.names import ObjectKey, ObjectKind
from vpplb.model.problem import Problem
from vpplb.plan.decisions import UnreadFrontend
from vpplb.plan.desired import FrontendView
from vpplb.resources import condition_reasons
from vpplb.resources import event_reasons as reasons
from vpplb.resources.conditions import load_condition
from vpplb.resources.event_reasons import EventNote, EventReason
from vpplb.resources.statuses import join_problems

_REFERENCES = {ObjectKind.FRONTEND: "ResolvedRefs", ObjectKind.BACKEND: "Accepted"}
"""The condition that tells of references to nothing."""

_UNCARRIED = {one.reason for one in condition_reasons.UNCARRIED}
"""Reasons for which a frontend is not available though its backends are up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Announcement:
    """What people were told of a frontend last; `state` is that of its pools."""

    state: str = HealthState.UNKNOWN.value
    pool: str = ""
    refused: str = ""


def read_announcement(status: object) -> Announcement:
    shown = status if isinstance(status, Mapping) else {}
    accepted = load_condition(status, "Accepted")
    available = load_condition(status, "Available")
    state = str(shown.get("state") or HealthState.UNKNOWN.value)
    return Announcement(
        state=HealthState.UP.value if available and available.reason in _UNCARRIED else state,
        pool=str(shown.get("activePool") or ""),
        refused=accepted.message if accepted and accepted.status == "False" else "",
    )


def announce_frontend(before: Announcement, view: FrontendView | UnreadFrontend) -> Announcement:
    """Return what is to be announced of a frontend: what is decided, or what is wrong with it."""
    if isinstance(view, UnreadFrontend):  # what was decided before stays in force
        return replace(before, refused=join_problems(view.problems))
    rejected = view.config.resolved.rejected
    return Announcement(
        state=view.decision.state.value,
        pool=view.decision.active_pool,
        refused=join_problems(view.invalid or ((rejected,) if rejected else ())),
    )


def note_frontend_changes(before: Announcement, after: Announcement) -> Iterator[EventNote]:
    """Yield the events between two announcements, the most important first."""
    if after.refused and after.refused != before.refused:
        yield reasons.NOT_ACCEPTED.note(after.refused)
    if after.state != before.state:
        match after.state:
            case HealthState.UP.value:
                yield reasons.FRONTEND_UP.note(f"pool {after.pool} serves")
            case HealthState.DOWN.value:
                yield reasons.FRONTEND_DOWN.note("no backend can serve")
    elif before.pool and after.pool and before.pool != after.pool:
        yield reasons.POOL_FAILOVER.note(f"from pool {before.pool} to pool {after.pool}")


def note_broken_references(problems: Sequence[Problem]) -> EventNote | None:
    """Return the event of references to nothing, None where there are none."""
    return EventNote("Warning", problems[0].reason, join_problems(problems)) if problems else None


def read_broken_references(kind: ObjectKind, status: object) -> str:
    """Read which references to nothing the status of a Frontend or Backend has announced."""
    condition = load_condition(status, _REFERENCES[kind])
    return condition.message if condition and condition.status == "False" else ""


def note_suspicion(alarm: ProberAlarm, frontends: int) -> Iterator[EventNote]:
    """Yield the event of a suspicion against the prober, which is about so many frontends."""
    silent = f"{alarm.silent} of {alarm.were_up} backends that were up fell silent at once"
    kept = f"the weights of {frontends} frontends stay as they were"
    yield reasons.PROBER_SUSPECT.note(f"{silent}: the prober itself is suspected, {kept}")


def note_transition(
    transition: HealthTransition, frontends: Mapping[ObjectKey, FrontendView | None]
) -> Iterator[EventNote]:
    """Yield one event for each frontend that references the backend, as that frontend has it."""
    reason = _name_transition(transition)
    if reason is None:
        return
    seen = f" ({transition.code}{': ' + transition.detail if transition.detail else ''})"
    change = f"{transition.from_state.value} → {transition.to_state.value}"
    for key, view in sorted(frontends.items()):
        text = f"{change}{seen if transition.code else ''} in frontend {key.name}"
        yield reason.note(text + _describe_weights(transition.backend, view))


def _name_transition(transition: HealthTransition) -> EventReason | None:
    match transition.from_state, transition.to_state:
        case _, HealthState.UP:
            return reasons.BACKEND_UP
        case _, HealthState.DOWN:
            return reasons.BACKEND_DOWN
        case _, HealthState.PAUSED:
            return reasons.BACKEND_PAUSED
        case _, HealthState.DISABLED:
            return reasons.BACKEND_DISABLED
        case HealthState.PAUSED, _:
            return reasons.BACKEND_RESUMED
        case HealthState.DISABLED, _:
            return reasons.BACKEND_ENABLED
        case _:  # a check that was restarted by an edit: nothing happened to the backend
            return None


def _describe_weights(backend: ObjectKey, view: FrontendView | None) -> str:
    weights = [
        f"effective weight {one.effective} of {one.member.weight} in pool {one.member.pool}"
        for one in (view.weights_of(backend) if view is not None else ())
    ]
    return f": {', '.join(weights)}" if weights else ""
