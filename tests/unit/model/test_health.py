import pytest

from vpplb.model.health import BackendHealth, HealthState, ProbeCode

PASSED = {"L3OK", "L4OK", "L6OK", "L7OK"}


@pytest.mark.parametrize("code", list(ProbeCode))
def test_a_probe_passed_when_its_code_says_ok(code: ProbeCode) -> None:
    assert code.ok == (code.value in PASSED)


@pytest.mark.parametrize(
    ("state", "held", "counts"),
    [
        (HealthState.UP, False, True),
        (HealthState.UNKNOWN, True, True),
        (HealthState.UNKNOWN, False, False),
        (HealthState.DOWN, True, False),
        (HealthState.PAUSED, True, False),
        (HealthState.DISABLED, True, False),
    ],
)
def test_up_counts_and_so_does_what_is_held_while_unknown(
    state: HealthState, held: bool, counts: bool
) -> None:
    assert BackendHealth(state=state, held=held).counts_as_up is counts
