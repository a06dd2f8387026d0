import logging

import pytest

from support.objects import NOON, key
from vpplb.model.health import HealthState, Transition
from vpplb.telemetry.transitions import log_transition


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
        Transition(
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
    fields = ("backend", "from", "to", "code", "detail")
    assert [getattr(record, field) for field in fields] == [
        "default/a",
        "up",
        "down",
        code,
        detail,
    ]
