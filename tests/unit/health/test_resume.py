from datetime import UTC, datetime, timedelta

import pytest

from vpplb.health.resume import Start, fresh, reconfigured, resumed
from vpplb.model.health import BackendHealth, HealthState, Transition
from vpplb.model.names import ObjectKey

THEN = datetime(2025, 3, 1, 12, tzinfo=UTC)
NOW = THEN + timedelta(minutes=5)


def transition(old: HealthState, new: HealthState) -> Transition:
    return Transition(backend=ObjectKey("ns", "b"), from_state=old, to_state=new, at=THEN)


def health(state: HealthState, *, held: bool = False) -> BackendHealth:
    return BackendHealth(
        state=state,
        since=THEN,
        code="L7OK",
        detail="200 OK",
        held=held,
        transitions=(transition(HealthState.UNKNOWN, state),),
    )


@pytest.mark.parametrize("state", list(HealthState))
def test_enabled_or_resumed_by_a_person_holds_nothing_and_keeps_the_history(
    state: HealthState,
) -> None:
    before = health(state, held=True)
    start = fresh(before, at=NOW)
    assert start.health.state is HealthState.UNKNOWN
    assert not start.health.counts_as_up
    assert start.health.transitions == before.transitions
    assert start.resume_up is None


@pytest.mark.parametrize(
    ("state", "held", "counts"),
    [
        (HealthState.UP, False, True),
        (HealthState.DOWN, False, False),
        (HealthState.UNKNOWN, False, False),
        (HealthState.UNKNOWN, True, True),
    ],
)
def test_a_change_of_the_check_makes_unknown_but_holds_a_backend_that_counted_as_up(
    state: HealthState, held: bool, counts: bool
) -> None:
    start = reconfigured(health(state, held=held), at=NOW)
    assert start.health.state is HealthState.UNKNOWN
    assert start.health.counts_as_up is counts
    assert (start.health.code, start.health.detail) == ("", "")
    assert start.resume_up is None


def test_since_moves_only_when_the_state_does() -> None:
    assert reconfigured(health(HealthState.UP), at=NOW).health.since == NOW
    assert reconfigured(health(HealthState.UNKNOWN), at=NOW).health.since == THEN
    assert fresh(BackendHealth(), at=NOW).health.since == NOW


@pytest.mark.parametrize(("state", "up"), [(HealthState.UP, True), (HealthState.DOWN, False)])
def test_a_restart_of_the_operator_shows_what_was_persisted_and_resumes_from_it(
    state: HealthState, up: bool
) -> None:
    assert resumed(health(state), at=NOW) == Start(health=health(state), resume_up=up)


def test_a_restart_amid_a_change_of_the_check_goes_on_holding() -> None:
    persisted = BackendHealth(
        since=THEN, transitions=(transition(HealthState.UP, HealthState.UNKNOWN),)
    )
    start = resumed(persisted, at=NOW)
    assert start.health.held
    assert start.resume_up is None


@pytest.mark.parametrize(
    "history",
    [(), (transition(HealthState.PAUSED, HealthState.UNKNOWN),)],
    ids=["no history", "resumed by a person"],
)
def test_a_restart_holds_nothing_that_was_not_up(history: tuple[Transition, ...]) -> None:
    assert not resumed(BackendHealth(since=THEN, transitions=history), at=NOW).health.held


@pytest.mark.parametrize("state", [HealthState.PAUSED, HealthState.DISABLED])
def test_a_backend_enabled_while_the_operator_was_away_starts_fresh(state: HealthState) -> None:
    assert resumed(health(state), at=NOW) == fresh(health(state), at=NOW)
