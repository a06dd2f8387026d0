import asyncio
import time
from collections.abc import Mapping

import pytest

from lab.scrape import scrape_metrics
from vpplb.telemetry.metrics import MetricsRegistry
from vpplb.telemetry.process_health import (
    LAG_EVERY,
    LAG_WINDOW,
    LoopLag,
    ProcessHealth,
    complain_late,
)


class Lag(LoopLag):
    def worst_seconds(self) -> float:
        return 0.0123456


class MeasuredProgram:
    """What a program would tell."""

    def __init__(self) -> None:
        self.ages: Mapping[str, float] = {"backends": 12.3456, "frontends": 0.5}
        self.api_age = 1.5
        self.processes = (2, 2)
        self.trouble: str | None = None

    def health(self) -> ProcessHealth:
        return ProcessHealth(
            lag=Lag(),
            watch_ages=lambda: self.ages,
            api_age=lambda: self.api_age,
            writes_due=lambda: 7,
            write_tokens=lambda: -2.5,
            processes=lambda: self.processes,
            prober=lambda: self.trouble,
            reload=lambda: (False, 1764374400.0),
        )


def test_figures_are_given_whether_anything_is_wrong_or_not() -> None:
    assert MeasuredProgram().health().list_figures() == {
        "loop_lag_seconds": 0.012,
        "watch_age_seconds": {"backends": 12.346, "frontends": 0.5},
        "api_last_success_seconds": 1.5,
        "writes_due": 7,
        "probe_workers": {"working": 2, "wanted": 2},
    }


def test_what_a_program_does_not_have_is_left_out() -> None:
    health = ProcessHealth(lag=Lag())
    assert health.list_figures() == {"loop_lag_seconds": 0.012}
    registry = MetricsRegistry("test")
    registry.register(health)
    assert "vpplb_watch_age_seconds" not in scrape_metrics(registry)
    assert (health.check_api(), health.check_probers(), health.check_any_prober()) == (
        None,
        None,
        None,
    )


def test_the_metrics_say_the_same() -> None:
    registry = MetricsRegistry("test")
    registry.register(MeasuredProgram().health())
    lines = scrape_metrics(registry).splitlines()
    for line in (
        "vpplb_loop_lag_seconds 0.0123456",
        'vpplb_watch_age_seconds{kind="backends"} 12.3456',
        'vpplb_watch_age_seconds{kind="frontends"} 0.5',
        "vpplb_api_last_success_seconds 1.5",
        "vpplb_status_writes_due 7.0",
        "vpplb_status_write_tokens -2.5",
        "vpplb_probe_workers 2.0",
        "vpplb_manifests_last_reload_successful 0.0",
        "vpplb_manifests_last_reload_success_timestamp_seconds 1.7643744e+09",
    ):
        assert line in lines


def test_an_api_server_that_does_not_answer_is_told() -> None:
    program = MeasuredProgram()
    health = program.health()
    assert health.check_api() is None
    program.api_age = 31.2
    assert health.check_api() == "the API server has not answered for 31 s"


@pytest.mark.parametrize(
    ("processes", "missing", "none"),
    [
        ((2, 2), None, None),
        ((1, 2), "1 of 2 probing processes work", None),
        ((0, 2), "0 of 2 probing processes work", "no probing process works"),
        ((0, 0), None, None),
    ],
)
def test_missing_processes_are_told(
    processes: tuple[int, int], missing: str | None, none: str | None
) -> None:
    program = MeasuredProgram()
    program.processes = processes
    health = program.health()
    assert (health.check_probers(), health.check_any_prober()) == (missing, none)


def test_what_passes_is_no_reason_to_begin_anew() -> None:
    now, wrong = 100.0, "gone"
    said: list[str | None] = [wrong]
    check = complain_late(lambda: said[0], 60, clock=lambda: now)
    assert check() is None
    now = 159.0
    assert check() is None
    said[0] = None
    assert check() is None
    said[0] = wrong
    now = 200.0
    assert check() is None, "it counts from the beginning again"
    now = 260.0
    assert check() == wrong


def test_a_prober_that_cannot_probe_is_said_unless_processes_are_missing() -> None:
    program = MeasuredProgram()
    health = program.health()
    assert health.check_probers() is None
    program.trouble = "2 checks have no results"
    assert health.check_probers() == "2 checks have no results"
    assert health.check_any_prober() is None
    program.processes = (1, 2)
    assert health.check_probers() == "1 of 2 probing processes work"


@pytest.mark.looptime
async def test_a_loop_that_is_on_time_has_no_lag() -> None:
    lag = LoopLag()
    assert lag.worst_seconds() == 0
    running = asyncio.create_task(lag.run())
    await asyncio.sleep(3.1)
    assert lag.worst_seconds() < 0.01
    running.cancel()


@pytest.mark.slow
async def test_work_that_holds_up_the_loop_shows_at_once_and_afterwards(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("vpplb.telemetry.process_health.LAG_EVERY", 0.05)
    lag = LoopLag()
    running = asyncio.create_task(lag.run())
    await asyncio.sleep(0)
    time.sleep(0.05 + 0.2)  # noqa: ASYNC251 (that is what is to be noticed)
    assert 0.15 < lag.worst_seconds() < 1
    await asyncio.sleep(0.01)
    assert 0.15 < lag.worst_seconds() < 1, "the sample is taken"
    running.cancel()


@pytest.mark.looptime
async def test_a_lag_is_forgotten_after_a_while() -> None:
    lag = LoopLag()
    lag._samples.append(3.0)
    running = asyncio.create_task(lag.run())
    await asyncio.sleep(LAG_WINDOW - 2 * LAG_EVERY)
    assert lag.worst_seconds() == 3
    await asyncio.sleep(3 * LAG_EVERY)
    assert lag.worst_seconds() < 1
    running.cancel()
