import logging

import pytest

from data.objects import NOON, key
from vpplb.model.health import HealthState, HealthTransition, ProberAlarm
from vpplb.telemetry.decision_log import log_suspicion, log_transition


@pytest.mark.parametrize(
    ("code", "detail", "line"),
    [
        ("L4CON", "connection refused", "backend default/a up → down (L4CON: connection refused)"),
        ("L7OK", "", "backend default/a up → down (L7OK)"),
        ("", "", "backend default/a up → down"),
    ],
)
def test_a_transition_is_one_line_with_its_parts_as_fields(
    caplog: pytest.LogCaptureFixture, code: str, detail: str, line: str
) -> None:
    caplog.set_level(logging.INFO, "vpplb.transitions")
    log_transition(
        HealthTransition(
            backend=key("a"),
            from_state=HealthState.UP,
            to_state=HealthState.DOWN,
            at=NOON,
            code=code,
            detail=detail,
        )
    )
    [record] = caplog.records
    assert record.getMessage() == line
    fields = ("backend", "from", "to", "code", "detail", "at")
    assert [getattr(record, field) for field in fields] == [
        "default/a",
        "up",
        "down",
        code,
        detail,
        NOON.isoformat(),
    ]


def test_a_suspicion_is_a_warning_with_the_numbers_and_so_is_its_end(
    caplog: pytest.LogCaptureFixture,
) -> None:
    log_suspicion(ProberAlarm(silent=11, were_up=12))
    log_suspicion(None)
    began, ended = caplog.records
    assert "the prober itself is suspected" in began.getMessage()
    assert "11 of 12 backends fell silent" in began.getMessage()
    assert [getattr(began, field) for field in ("silent", "were_up")] == [11, 12]
    assert "the prober is trusted again" in ended.getMessage()
    assert {began.levelno, ended.levelno} == {logging.WARNING}
