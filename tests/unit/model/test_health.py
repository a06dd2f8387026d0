import pytest

from vpplb.model.health import BackendHealth, HealthState, ProbeCode, ProbeResponse, ProbeResult

PASSED = {"L3OK", "L4OK", "L6OK", "L7OK"}


@pytest.mark.parametrize("code", list(ProbeCode))
def test_a_probe_passed_when_its_code_says_ok(code: ProbeCode) -> None:
    assert code.is_pass == (code.value in PASSED)


@pytest.mark.parametrize(
    ("state", "held", "counts"),
    [
        (HealthState.UP, False, True),
        (HealthState.UNKNOWN, True, True),
        (HealthState.UNKNOWN, False, False),
        (HealthState.DOWN, True, True),
        (HealthState.DOWN, False, False),
        (HealthState.PAUSED, True, False),
        (HealthState.DISABLED, True, False),
    ],
)
def test_up_counts_and_so_does_what_is_held_while_unknown_or_down(
    state: HealthState, held: bool, counts: bool
) -> None:
    assert BackendHealth(state=state, held=held).counts_as_up is counts


SILENT = {"L3TOUT", "L3UNR", "L4TOUT"}
STALLED = {"L6TOUT", "L7TOUT"}


@pytest.mark.parametrize("code", list(ProbeCode))
def test_only_passes_and_what_nobody_answered_are_no_failing_answers(code: ProbeCode) -> None:
    expected = (
        ProbeResponse.PASSED
        if code.value in PASSED
        else ProbeResponse.SILENT
        if code.value in SILENT
        else ProbeResponse.STALLED
        if code.value in STALLED
        else ProbeResponse.ANSWERED
    )
    assert ProbeResult(code=code).response is expected


def test_a_connection_that_failed_by_no_word_of_the_peer_is_silence() -> None:
    refused = ProbeResult(code=ProbeCode.L4CON, detail="connection refused")
    no_route = ProbeResult(code=ProbeCode.L4CON, detail="no route to host", unanswered=True)
    assert (refused.response, no_route.response) == (ProbeResponse.ANSWERED, ProbeResponse.SILENT)
