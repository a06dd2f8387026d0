from datetime import timedelta

import pytest

from data.objects import NOON, in_state, key, tcp_spec
from vpplb.health.lifecycle import (
    AssumedMode,
    CheckStart,
    DisabledMode,
    IdleMode,
    ModeChange,
    PausedMode,
    ProbedMode,
    ProbeMode,
    change_mode,
    change_state,
)
from vpplb.model.health import BackendHealth, HealthState

UP, DOWN, UNKNOWN = HealthState.UP, HealthState.DOWN, HealthState.UNKNOWN
PAUSED, DISABLED = HealthState.PAUSED, HealthState.DISABLED
SPEC, OTHER = tcp_spec(port=80), tcp_spec(port=81)
LATER = NOON + timedelta(minutes=1)

HELD = CheckStart(spec=OTHER, resume_up=True, held=True)
"""A check that starts anew, with the verdict up held."""


def go(before: ProbeMode | None, after: ProbeMode, health: BackendHealth) -> ModeChange:
    return change_mode(before, after, health, key("a"), LATER, 5)


@pytest.mark.parametrize(
    ("before", "after", "state", "becomes", "held", "start", "stop"),
    [
        # An edit of the check, the address or the reference: restart, the verdict is held.
        (ProbedMode(SPEC), ProbedMode(OTHER), UP, UNKNOWN, True, HELD, False),
        (ProbedMode(SPEC), ProbedMode(OTHER), DOWN, UNKNOWN, False, CheckStart(spec=OTHER), False),
        # Pause and disable stop the task and hold nothing.
        (ProbedMode(SPEC), PausedMode(), UP, PAUSED, False, None, True),
        (ProbedMode(SPEC), DisabledMode(), UP, DISABLED, False, None, True),
        (PausedMode(), DisabledMode(), PAUSED, DISABLED, False, None, False),
        # Resume and enable: a fresh task that must prove itself.
        (PausedMode(), ProbedMode(SPEC), PAUSED, UNKNOWN, False, CheckStart(spec=SPEC), False),
        (DisabledMode(), ProbedMode(SPEC), DISABLED, UNKNOWN, False, CheckStart(spec=SPEC), False),
        (DisabledMode(), PausedMode(), DISABLED, PAUSED, False, None, False),
        # No reference: not probed.
        (ProbedMode(SPEC), IdleMode(), UP, UNKNOWN, False, None, True),
        (IdleMode(), ProbedMode(SPEC), UNKNOWN, UNKNOWN, False, CheckStart(spec=SPEC), False),
        # A health check that is deleted takes no serving backend out.
        (ProbedMode(SPEC), IdleMode(lost_check=True), UP, UNKNOWN, True, None, True),
        # No health check: up at once, no task.
        (IdleMode(), AssumedMode(), UNKNOWN, UP, False, None, False),
        (ProbedMode(SPEC), AssumedMode(), DOWN, UP, False, None, True),
        (AssumedMode(), ProbedMode(OTHER), UP, UNKNOWN, True, HELD, False),
        # The operator restarts: the persisted verdict is resumed and shows no transition.
        (None, ProbedMode(SPEC), UP, UP, False, CheckStart(spec=SPEC, resume_up=True), False),
        (None, ProbedMode(SPEC), DOWN, DOWN, False, CheckStart(spec=SPEC, resume_up=False), False),
        (None, ProbedMode(SPEC), UNKNOWN, UNKNOWN, False, CheckStart(spec=SPEC), False),
        (None, PausedMode(), PAUSED, PAUSED, False, None, False),
        (None, DisabledMode(), DISABLED, DISABLED, False, None, False),
        # ... and resumed or enabled while it was away.
        (None, ProbedMode(SPEC), PAUSED, UNKNOWN, False, CheckStart(spec=SPEC), False),
        (None, ProbedMode(SPEC), DISABLED, UNKNOWN, False, CheckStart(spec=SPEC), False),
    ],
)
def test_changes_while_running(
    before: ProbeMode | None,
    after: ProbeMode,
    state: HealthState,
    becomes: HealthState,
    held: bool,
    start: CheckStart | None,
    stop: bool,
) -> None:
    outcome = go(before, after, in_state(state))
    assert outcome.health.state is becomes
    assert outcome.health.held is held
    assert outcome.start == start
    assert outcome.stop is stop
    shown = [(t.from_state, t.to_state) for t in outcome.health.transitions]
    assert shown == ([(state, becomes)] if state is not becomes else [])


def test_nothing_happens_when_the_mode_stays() -> None:
    health = in_state(UP)
    assert go(ProbedMode(SPEC), ProbedMode(tcp_spec(port=80)), health) == ModeChange(health=health)


def test_a_held_verdict_survives_a_second_edit() -> None:
    once = go(ProbedMode(SPEC), ProbedMode(OTHER), in_state(UP)).health
    twice = go(ProbedMode(OTHER), ProbedMode(SPEC), once)
    assert twice.health.held
    assert twice.start == CheckStart(spec=SPEC, resume_up=True, held=True)


def test_a_held_verdict_is_resumed_after_a_restart() -> None:
    outcome = go(None, ProbedMode(SPEC), in_state(UNKNOWN, held=True))
    assert outcome.health.held
    assert outcome.start == CheckStart(spec=SPEC, resume_up=True, held=True)


def test_history_is_kept_through_pause_and_disable_and_is_bounded() -> None:
    health = in_state(UP)
    steps: list[tuple[ProbeMode, ProbeMode]] = [
        (ProbedMode(SPEC), PausedMode()),
        (PausedMode(), DisabledMode()),
        (DisabledMode(), ProbedMode(SPEC)),
    ]
    for before, after in steps:
        health = change_mode(before, after, health, key("a"), LATER, 2).health
    assert [t.to_state for t in health.transitions] == [UNKNOWN, DISABLED]


def test_first_sight_sets_since() -> None:
    assert go(None, IdleMode(), BackendHealth()).health.since == LATER


def test_a_verdict_ends_what_was_held() -> None:
    held = in_state(UNKNOWN, held=True)
    down = change_state(held, key("a"), DOWN, LATER, 5, code="L4CON", detail="connection refused")
    assert (down.state, down.held, down.code, down.since) == (DOWN, False, "L4CON", LATER)
