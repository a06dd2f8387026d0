from datetime import timedelta

import pytest

from data.objects import NOON, in_state, key, tcp_spec
from vpplb.health.lifecycle import (
    Assumed,
    Disabled,
    Idle,
    Mode,
    Move,
    Paused,
    Probed,
    Start,
    changed,
    move,
)
from vpplb.model.health import BackendHealth, HealthState

UP, DOWN, UNKNOWN = HealthState.UP, HealthState.DOWN, HealthState.UNKNOWN
PAUSED, DISABLED = HealthState.PAUSED, HealthState.DISABLED
SPEC, OTHER = tcp_spec(port=80), tcp_spec(port=81)
LATER = NOON + timedelta(minutes=1)

HELD = Start(spec=OTHER, resume_up=True, held=True)
"""A check that starts anew, with the verdict up held."""


def go(before: Mode | None, after: Mode, health: BackendHealth) -> Move:
    return move(before, after, health, key("a"), LATER, 5)


@pytest.mark.parametrize(
    ("before", "after", "state", "becomes", "held", "start", "stop"),
    [
        # An edit of the check, the address or the reference: restart, the verdict is held.
        (Probed(SPEC), Probed(OTHER), UP, UNKNOWN, True, HELD, False),
        (Probed(SPEC), Probed(OTHER), DOWN, UNKNOWN, False, Start(spec=OTHER), False),
        # Pause and disable stop the task and hold nothing.
        (Probed(SPEC), Paused(), UP, PAUSED, False, None, True),
        (Probed(SPEC), Disabled(), UP, DISABLED, False, None, True),
        (Paused(), Disabled(), PAUSED, DISABLED, False, None, False),
        # Resume and enable: a fresh task that must prove itself.
        (Paused(), Probed(SPEC), PAUSED, UNKNOWN, False, Start(spec=SPEC), False),
        (Disabled(), Probed(SPEC), DISABLED, UNKNOWN, False, Start(spec=SPEC), False),
        (Disabled(), Paused(), DISABLED, PAUSED, False, None, False),
        # No reference: not probed.
        (Probed(SPEC), Idle(), UP, UNKNOWN, False, None, True),
        (Idle(), Probed(SPEC), UNKNOWN, UNKNOWN, False, Start(spec=SPEC), False),
        # A health check that is deleted takes no serving backend out.
        (Probed(SPEC), Idle(lost_check=True), UP, UNKNOWN, True, None, True),
        # No health check: up at once, no task.
        (Idle(), Assumed(), UNKNOWN, UP, False, None, False),
        (Probed(SPEC), Assumed(), DOWN, UP, False, None, True),
        (Assumed(), Probed(OTHER), UP, UNKNOWN, True, HELD, False),
        # The operator restarts: the persisted verdict is resumed and shows no transition.
        (None, Probed(SPEC), UP, UP, False, Start(spec=SPEC, resume_up=True), False),
        (None, Probed(SPEC), DOWN, DOWN, False, Start(spec=SPEC, resume_up=False), False),
        (None, Probed(SPEC), UNKNOWN, UNKNOWN, False, Start(spec=SPEC), False),
        (None, Paused(), PAUSED, PAUSED, False, None, False),
        (None, Disabled(), DISABLED, DISABLED, False, None, False),
        # ... and resumed or enabled while it was away.
        (None, Probed(SPEC), PAUSED, UNKNOWN, False, Start(spec=SPEC), False),
        (None, Probed(SPEC), DISABLED, UNKNOWN, False, Start(spec=SPEC), False),
    ],
)
def test_changes_while_running(
    before: Mode | None,
    after: Mode,
    state: HealthState,
    becomes: HealthState,
    held: bool,
    start: Start | None,
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
    assert go(Probed(SPEC), Probed(tcp_spec(port=80)), health) == Move(health=health)


def test_a_held_verdict_survives_a_second_edit() -> None:
    once = go(Probed(SPEC), Probed(OTHER), in_state(UP)).health
    twice = go(Probed(OTHER), Probed(SPEC), once)
    assert twice.health.held
    assert twice.start == Start(spec=SPEC, resume_up=True, held=True)


def test_a_held_verdict_is_resumed_after_a_restart() -> None:
    outcome = go(None, Probed(SPEC), in_state(UNKNOWN, held=True))
    assert outcome.health.held
    assert outcome.start == Start(spec=SPEC, resume_up=True, held=True)


def test_history_is_kept_through_pause_and_disable_and_is_bounded() -> None:
    health = in_state(UP)
    steps: list[tuple[Mode, Mode]] = [
        (Probed(SPEC), Paused()),
        (Paused(), Disabled()),
        (Disabled(), Probed(SPEC)),
    ]
    for before, after in steps:
        health = move(before, after, health, key("a"), LATER, 2).health
    assert [t.to_state for t in health.transitions] == [UNKNOWN, DISABLED]


def test_first_sight_sets_since() -> None:
    assert go(None, Idle(), BackendHealth()).health.since == LATER


def test_a_verdict_ends_what_was_held() -> None:
    held = in_state(UNKNOWN, held=True)
    down = changed(held, key("a"), DOWN, LATER, 5, code="L4CON", detail="connection refused")
    assert (down.state, down.held, down.code, down.since) == (DOWN, False, "L4CON", LATER)
