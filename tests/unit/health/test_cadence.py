from dataclasses import replace
from datetime import timedelta

import pytest

from vpplb.health.cadence import (
    DetectionWindow,
    detection_time,
    first_wait,
    grid_of,
    mean_wait,
    next_start,
    return_time,
)
from vpplb.health.machine import HealthCounter
from vpplb.model.check import ProbeCadence

CADENCE = ProbeCadence(
    interval=timedelta(seconds=2),
    fast_interval=timedelta(seconds=1),
    down_interval=timedelta(seconds=5),
    rise=2,
    fall=3,
)


@pytest.mark.parametrize(
    ("counter", "seconds"),
    [
        (HealthCounter(rise=2, fall=3), 1),
        (HealthCounter(rise=2, fall=3, h=4, fresh=False), 2),
        (HealthCounter(rise=2, fall=3, h=3, fresh=False), 1),
        (HealthCounter(rise=2, fall=3, h=2, fresh=False), 1),
        (HealthCounter(rise=2, fall=3, h=1, fresh=False), 1),
        (HealthCounter(rise=2, fall=3, h=0, fresh=False), 5),
    ],
)
def test_full_waits_interval_empty_down_interval_anything_else_fast_interval(
    counter: HealthCounter, seconds: int
) -> None:
    assert mean_wait(CADENCE, counter) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("position", "of", "seconds"), [(0, 1, 0.0), (0, 4, 0.0), (1, 4, 0.5), (3, 4, 1.5)]
)
def test_known_checks_that_start_together_are_spread_over_the_interval(
    position: int, of: int, seconds: float
) -> None:
    assert first_wait(CADENCE, position, of, known=True) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("interval", "position", "of", "seconds"),
    [
        (30, 0, 1, 0.0),
        (30, 5, 10, 0.5),
        (0.2, 5, 10, 0.1),  # never longer than the interval
        (30, 9_999, 10_000, 9.999),  # a thousand a second
        (2, 9_999, 10_000, 1.9998),
    ],
)
def test_what_is_unknown_is_probed_soon(
    interval: float, position: int, of: int, seconds: float
) -> None:
    cadence = replace(CADENCE, interval=timedelta(seconds=interval))
    assert first_wait(cadence, position, of, known=False) == timedelta(seconds=seconds)


@pytest.mark.parametrize(("random", "seconds"), [(0.0, 0.9), (0.5, 1.0), (0.999999, 1.1)])
def test_a_wait_varies_by_a_tenth_up_and_down(random: float, seconds: float) -> None:
    assert next_start(100.0, 1.0, 0.0, random) == pytest.approx(100.0 + seconds, abs=1e-4)


@pytest.mark.parametrize(
    ("wait", "grid", "of_echoes"),
    [
        (60.0, 0.032, 0.032),
        (2.0, 0.032, 0.032),
        (1.0, 0.016, 0.032),
        (0.2, 0.008, 0.016),
        (0.1, 0.004, 0.008),
        (0.03, 0.001, 0.002),
        (0.01, 0.0, 0.0),
    ],
)
def test_the_grid_is_a_twenty_fifth_of_the_wait_at_most_and_two_for_echo_requests(
    wait: float, grid: float, of_echoes: float
) -> None:
    assert (grid_of(wait), grid_of(wait, icmp=True)) == (grid, of_echoes)


def test_checks_of_different_intervals_meet_on_the_grid() -> None:
    moments = [next_start(7.123, wait, grid_of(wait), 0.3) for wait in (2.0, 0.2)]
    assert [moment / 0.008 % 1 for moment in moments] == pytest.approx([0.0, 0.0], abs=1e-6)


@pytest.mark.parametrize(
    ("timeout", "fall", "seconds"),
    [
        (1.0, 1, 2.2 + 1),  # the wait for the first probe that fails, and its time-out
        (1.0, 3, 2.2 + 1.1 + 1.1 + 1),
        (3.0, 3, 2.2 + 3 + 3 + 3),  # probes never overlap
    ],
)
def test_the_longest_time_that_a_backend_stays_up_after_it_fell_silent(
    timeout: float, fall: int, seconds: float
) -> None:
    cadence = replace(CADENCE, timeout=timedelta(seconds=timeout), fall=fall)
    assert detection_time(cadence).total_seconds() == pytest.approx(seconds)


@pytest.mark.parametrize(("timeout", "seconds"), [(1.0, 5.5 + 5.5 + 1), (7.0, 7 + 7 + 7)])
def test_the_longest_time_until_a_backend_that_is_down_has_been_probed_twice(
    timeout: float, seconds: float
) -> None:
    cadence = replace(CADENCE, timeout=timedelta(seconds=timeout))
    assert return_time(cadence).total_seconds() == pytest.approx(seconds)


def noticed_within(seconds: float) -> ProbeCadence:
    """Return a cadence whose check notices what happens within so many seconds."""
    half = timedelta(seconds=seconds) / 2
    return ProbeCadence(interval=half / 1.1, timeout=half, fall=1)


@pytest.mark.parametrize(
    ("times", "window"),
    [
        ({}, 0.0),
        ({5.0: 10}, 5.0),
        ({5.0: 9, 60.0: 1}, 5.0),  # one slow check in ten is not waited for
        ({5.0: 8, 60.0: 2}, 60.0),
        ({1.0: 4, 5.0: 4, 60.0: 1}, 60.0),
    ],
)
def test_the_window_lasts_until_nine_in_ten_checks_have_noticed(
    times: dict[float, int], window: float
) -> None:
    found = DetectionWindow()
    for seconds, checks in times.items():
        for _ in range(checks):
            found.add_check(noticed_within(seconds))
    assert found.seconds == pytest.approx(window)


def test_the_window_follows_the_checks() -> None:
    window = DetectionWindow()
    window.add_check(noticed_within(2.1))
    assert window.seconds == pytest.approx(2.1)
    window.add_check(noticed_within(12))
    window.add_check(noticed_within(12))
    assert window.seconds == pytest.approx(12)
    window.remove_check(noticed_within(12))
    window.remove_check(noticed_within(12))
    assert window.seconds == pytest.approx(2.1)
