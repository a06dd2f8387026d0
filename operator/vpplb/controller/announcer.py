"""Which Kubernetes events a change is worth: pure, from what was announced to what is.

A backend's transition is one event for each frontend that references it, as that frontend has
it; a frontend tells when it goes up or down, changes its pool, or is refused. A restart
announces nothing again, since what was announced is read from the status.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from vpplb.model.health import HealthState, Transition
from vpplb.model.names import ObjectKey, ObjectKind
from vpplb.model.problem import Problem
from vpplb.plan.desired import FrontendView
from vpplb.plan.guard import Alarm
from vpplb.resources.conditions import find_condition
from vpplb.resources.renderer import load_conditions
from vpplb.resources.statuses import say


class Note(NamedTuple):
    """An event without its object."""

    type: Literal["Normal", "Warning"]
    reason: str
    text: str


_REFERENCES = {ObjectKind.FRONTEND: "ResolvedRefs", ObjectKind.BACKEND: "Accepted"}
"""The condition that tells of references to nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Announced:
    """What people were told of a frontend last."""

    state: str = HealthState.UNKNOWN.value
    pool: str = ""
    refused: str = ""


def announced_by(status: object) -> Announced:
    """Read what a Frontend's status has announced."""
    shown = status if isinstance(status, Mapping) else {}
    accepted = find_condition(load_conditions(status), "Accepted")
    return Announced(
        state=str(shown.get("state") or HealthState.UNKNOWN.value),
        pool=str(shown.get("activePool") or ""),
        refused=accepted.message if accepted and accepted.status == "False" else "",
    )


def announcing(
    before: Announced, view: FrontendView | None, problems: Sequence[Problem]
) -> Announced:
    """Say what is to be announced of a frontend: its view, or what is wrong with it."""
    if view is None:  # not understood, so what was decided before stays in force
        return replace(before, refused=say(problems))
    resolved = view.config.resolved
    refused = problems or ((resolved.rejected,) if resolved.rejected else ())
    return Announced(
        state=view.decision.state.value,
        pool=view.decision.active_pool,
        refused=say(refused),
    )


def frontend_notes(before: Announced, after: Announced) -> Iterator[Note]:
    """Yield the events between two announcements, the most important first."""
    if after.refused and after.refused != before.refused:
        yield Note("Warning", "NotAccepted", after.refused)
    if after.state != before.state:
        match after.state:
            case HealthState.UP.value:
                yield Note("Normal", "FrontendUp", f"pool {after.pool} serves")
            case HealthState.DOWN.value:
                yield Note("Warning", "FrontendDown", "no backend can serve")
    elif before.pool and after.pool and before.pool != after.pool:
        yield Note("Normal", "PoolFailover", f"from pool {before.pool} to pool {after.pool}")


def reference_note(problems: Sequence[Problem]) -> Note | None:
    """Return the event of references to nothing, None where there are none."""
    return Note("Warning", problems[0].reason, say(problems)) if problems else None


def dangling_by(kind: ObjectKind, status: object) -> str:
    """Read which references to nothing the status of a Frontend or Backend has announced."""
    condition = find_condition(load_conditions(status), _REFERENCES[kind])
    return condition.message if condition and condition.status == "False" else ""


def suspicion_notes(alarm: Alarm, frontends: int) -> Iterator[Note]:
    """Yield the event of a suspicion against the prober, which is about so many frontends."""
    silent = f"{alarm.silent} of {alarm.were_up} backends that were up fell silent at once"
    kept = f"the weights of {frontends} frontends stay as they were"
    yield Note("Warning", "ProberSuspect", f"{silent}: the prober itself is suspected, {kept}")


def transition_notes(
    transition: Transition, frontends: Mapping[ObjectKey, FrontendView | None]
) -> Iterator[Note]:
    """Yield one event for each frontend that references the backend, as that frontend has it."""
    named = _transition_reason(transition)
    if named is None:
        return
    event_type, reason = named
    seen = f" ({transition.code}{': ' + transition.detail if transition.detail else ''})"
    change = f"{transition.from_state.value} → {transition.to_state.value}"
    for key, view in sorted(frontends.items()):
        text = f"{change}{seen if transition.code else ''} in frontend {key.name}"
        yield Note(event_type, reason, text + _effective(transition.backend, view))


def _transition_reason(
    transition: Transition,
) -> tuple[Literal["Normal", "Warning"], str] | None:
    match transition.from_state, transition.to_state:
        case _, HealthState.UP:
            return "Normal", "BackendUp"
        case _, HealthState.DOWN:
            return "Warning", "BackendDown"
        case _, HealthState.PAUSED:
            return "Normal", "BackendPaused"
        case _, HealthState.DISABLED:
            return "Normal", "BackendDisabled"
        case HealthState.PAUSED, _:
            return "Normal", "BackendResumed"
        case HealthState.DISABLED, _:
            return "Normal", "BackendEnabled"
        case _:  # a check that was restarted by an edit: nothing happened to the backend
            return None


def _effective(backend: ObjectKey, view: FrontendView | None) -> str:
    weights = [
        f"effective weight {one.effective} of {one.member.weight} in pool {one.member.pool}"
        for one in (view.weights_of(backend) if view is not None else ())
    ]
    return f": {', '.join(weights)}" if weights else ""
