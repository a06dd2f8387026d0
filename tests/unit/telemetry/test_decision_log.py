import asyncio
import logging
from datetime import datetime

import pytest

from data.objects import NOON, backend, frontend, health_check, key, pool
from in_memory.world import World
from vpplb.model.health import HealthState, HealthTransition, ProberAlarm
from vpplb.plan.decisions import Decisions
from vpplb.standalone.local_statuses import LocalObjects
from vpplb.telemetry.decision_log import DecisionLog, log_suspicion, log_transition
from vpplb.telemetry.event_stream import OLDEST, EventStream, StreamEvent
from vpplb.telemetry.metrics import DecisionMetrics, MetricsRegistry
from vpplb.telemetry.state_view import DecidedStateView


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


async def read_events(stream: EventStream) -> list[StreamEvent]:
    """Return all events that are held."""
    told: list[StreamEvent] = []

    async def read() -> None:
        told.extend([one async for one in stream.subscribe(OLDEST)])

    reading = asyncio.create_task(read())
    await asyncio.sleep(0)
    stream.close()
    await reading
    return told


class LoggedWorld(World):
    """Decisions are logged as a program has them logged."""

    def __init__(self) -> None:
        super().__init__()
        self.stream = EventStream()
        view = DecidedStateView(LocalObjects(), self.decided, lambda kind, key: None, self.stream)
        self.log = DecisionLog(DecisionMetrics(MetricsRegistry("operator"), view), view, self.clock)

    def _note(self, decisions: Decisions) -> None:
        super()._note(decisions)
        self.log.log_decisions(decisions)

    async def failovers(self) -> list[tuple[object, object]]:
        """Return from which pool to which it was told that frontends went, in order."""
        told = await read_events(self.stream)
        moves = [one.data for one in told if one.type == "failover"]
        assert all(move["frontend"] == "default/web" for move in moves)
        assert all(datetime.fromisoformat(str(move["at"])).tzinfo for move in moves)
        return [(move["from"], move["to"]) for move in moves]


async def test_a_pool_that_takes_over_is_a_line_and_an_event_but_not_the_first_to_serve(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "vpplb.transitions")
    world = LoggedWorld()
    world.put(
        health_check(),
        backend("a", "10.0.0.1"),
        backend("b", "10.0.0.2"),
        frontend("web", pool("primary", a=10), pool("spare", b=10)),
    )
    for name, up in (("a", True), ("b", True), ("a", False), ("b", False), ("a", True)):
        world.verdict(name, up=up)
        world.reconcile()
    lines = [one.getMessage() for one in caplog.records if " pool " in one.getMessage()]
    assert lines == [
        "frontend default/web pool primary → spare",
        "frontend default/web pool spare → none",
        "frontend default/web pool none → primary",
    ]
    moves = [("primary", "spare"), ("spare", ""), ("", "primary")]
    assert await world.failovers() == moves
