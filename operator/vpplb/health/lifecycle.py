"""What happens to a backend's check and state when its situation changes.

A backend is in one `ProbeMode`: probed by a spec, assumed up, idle, paused or disabled.
`change_mode` is the table of semantics: given the mode before and after, what becomes of the
health and of the check. It is pure; `reconcile` carries the actions out.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import assert_never

from vpplb.model.check import CheckSpec
from vpplb.model.health import BackendHealth, HealthState, HealthTransition, ProbeCode
from vpplb.model.names import ObjectKey


@dataclass(frozen=True, slots=True)
class ProbedMode:
    """Probed by this spec."""

    spec: CheckSpec


@dataclass(frozen=True, slots=True)
class AssumedMode:
    """It names no health check: assumed healthy, no traffic is sent."""


@dataclass(frozen=True, slots=True)
class IdleMode:
    """Not probed though active. `lost_check`: it names a health check and cannot have it."""

    lost_check: bool = False


@dataclass(frozen=True, slots=True)
class PausedMode:
    """Paused by a person."""


@dataclass(frozen=True, slots=True)
class DisabledMode:
    """Disabled by a person; wins over paused."""


ProbeMode = ProbedMode | AssumedMode | IdleMode | PausedMode | DisabledMode


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckStart:
    """Start a check. `resume_up` is the verdict it resumes from; None: the first result decides.

    `held`: that verdict is up and counts, but the state is unknown until a pass confirms it.
    """

    spec: CheckSpec
    resume_up: bool | None = None
    held: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ModeChange:
    """Outcome of a change: the new health, and what to do with the check.

    `start` replaces a running check; `stop` ends it; neither leaves it alone.
    """

    health: BackendHealth
    start: CheckStart | None = None
    stop: bool = False


def change_mode(
    before: ProbeMode | None,
    after: ProbeMode,
    health: BackendHealth,
    key: ObjectKey,
    at: datetime,
    history: int,
) -> ModeChange:
    """Apply a change of mode. `before` None: first sight, `health` comes from its status.

    `history` bounds the transitions kept. Nothing changes when the modes are equal.
    """
    if before == after:
        return ModeChange(health=health)
    running = isinstance(before, ProbedMode)
    if health.since is None:
        health = replace(health, since=at)

    def to(
        state: HealthState, *, held: bool = False, code: str = "", detail: str = ""
    ) -> BackendHealth:
        return change_state(health, key, state, at, history, held=held, code=code, detail=detail)

    match after:
        case DisabledMode():
            return ModeChange(health=to(HealthState.DISABLED), stop=running)
        case PausedMode():
            return ModeChange(health=to(HealthState.PAUSED), stop=running)
        case AssumedMode():
            up = to(HealthState.UP, code=ProbeCode.L7OK.value, detail="no health check")
            return ModeChange(health=up, stop=running)
        case IdleMode(lost_check=lost):
            # A deleted health check is an edit like any other: it takes no serving backend out.
            held = lost and health.counts_as_up
            return ModeChange(health=to(HealthState.UNKNOWN, held=held), stop=running)
        case ProbedMode(spec=spec):
            return _start_check(
                before,
                spec,
                health,
                to(HealthState.UNKNOWN, held=health.counts_as_up),
                to(HealthState.UNKNOWN),
            )
    assert_never(after)


def _start_check(
    before: ProbeMode | None,
    spec: CheckSpec,
    health: BackendHealth,
    held: BackendHealth,
    fresh: BackendHealth,
) -> ModeChange:
    match before:
        case None if health.state in (HealthState.UP, HealthState.DOWN):
            resumed = health.state is HealthState.UP
            return ModeChange(health=health, start=CheckStart(spec=spec, resume_up=resumed))
        case None if health.state is HealthState.UNKNOWN:
            return _begin_check(spec, health)
        case ProbedMode() | AssumedMode() | IdleMode():
            return _begin_check(spec, held)
        case None | PausedMode() | DisabledMode():
            return _begin_check(spec, fresh)
    assert_never(before)


def _begin_check(spec: CheckSpec, unknown: BackendHealth) -> ModeChange:
    """Start a check in an unknown state, from the verdict that is held if there is one."""
    held = unknown.held
    return ModeChange(
        health=unknown, start=CheckStart(spec=spec, resume_up=held or None, held=held)
    )


def change_state(
    health: BackendHealth,
    key: ObjectKey,
    state: HealthState,
    at: datetime,
    history: int,
    *,
    held: bool = False,
    code: str = "",
    detail: str = "",
) -> BackendHealth:
    """Return the health in a new state, the transition recorded; the same state records none."""
    if state is health.state:
        return replace(health, held=held)
    transition = HealthTransition(
        backend=key, from_state=health.state, to_state=state, at=at, code=code, detail=detail
    )
    return BackendHealth(
        state=state,
        since=at,
        code=code,
        detail=detail,
        held=held,
        transitions=(transition, *health.transitions)[:history],
    )


def explain_state(health: BackendHealth, code: ProbeCode, detail: str) -> BackendHealth:
    """Return the health with why it is so now; the reason of another verdict changes nothing."""
    if health.state is not (HealthState.UP if code.is_pass else HealthState.DOWN):
        return health
    return replace(health, code=code.value, detail=detail)
