"""What a check starts from: nothing, the verdict of the check before it, or a persisted status.

Three ways lead to a new check, and they differ in what still counts until its first result:

- a person enables or resumes the backend, or it is referenced anew: `fresh`. Nothing is held;
  the backend must prove itself.
- its configuration changes: `reconfigured`. The state is unknown, but a backend that was up
  is *held*: it keeps counting as up.
- the operator starts: `resumed`. The persisted state stays as it is shown, so that a first
  result that confirms it is no transition, and one that contradicts it is exactly one.
"""

from dataclasses import dataclass, replace
from datetime import datetime

from vpplb.model.health import BackendHealth, HealthState


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """How a check begins: `health` is shown until its first verdict.

    `resume_up` goes into the assignment: the verdict whose confirmation is not reported, or
    None when the first result is news whatever it is.
    """

    health: BackendHealth
    resume_up: bool | None = None


def fresh(before: BackendHealth, *, at: datetime) -> Start:
    """Begin with nothing but the history; `at` is when the state becomes unknown."""
    return Start(health=_unknown(before, held=False, at=at))


def reconfigured(before: BackendHealth, *, at: datetime) -> Start:
    """Begin anew after a change of the check: what counted as up is held."""
    return Start(health=_unknown(before, held=before.counts_as_up, at=at))


def resumed(persisted: BackendHealth, *, at: datetime) -> Start:
    """Begin where the status says the last operator was.

    A backend persisted as paused or disabled was enabled or resumed meanwhile, or it would
    not be checked: it starts fresh. A status cannot show `held`; its newest transition does:
    only a change of the check leads from up to unknown.
    """
    match persisted.state:
        case HealthState.UP | HealthState.DOWN:
            up = persisted.state is HealthState.UP
            return Start(health=replace(persisted, held=False), resume_up=up)
        case HealthState.UNKNOWN:
            return Start(health=replace(persisted, held=persisted.held or _was_held(persisted)))
        case HealthState.PAUSED | HealthState.DISABLED:
            return fresh(persisted, at=at)


def _was_held(persisted: BackendHealth) -> bool:
    newest = persisted.transitions[0] if persisted.transitions else None
    return (
        newest is not None
        and newest.from_state is HealthState.UP
        and newest.to_state is HealthState.UNKNOWN
    )


def _unknown(before: BackendHealth, *, held: bool, at: datetime) -> BackendHealth:
    """Drop the verdict, keep the history; `since` moves only when the state does."""
    since = before.since if before.state is HealthState.UNKNOWN and before.since else at
    return BackendHealth(
        state=HealthState.UNKNOWN, since=since, held=held, transitions=before.transitions
    )
