"""Durations and times are read and written in one form each."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vpplb.model.durations import parse_duration
from vpplb.resources.fields import format_duration, format_time
from vpplb.resources.raw_fields import parse_time


@pytest.mark.parametrize(
    ("millis", "text"),
    [
        (0, "0s"),
        (1, "1ms"),
        (200, "200ms"),
        (1000, "1s"),
        (1500, "1s500ms"),
        (90_000, "1m30s"),
        (3_600_000, "1h"),
        (3_661_001, "1h1m1s1ms"),
        (99_999 * 3_600_000, "99999h"),
    ],
)
def test_durations_are_written_as_the_gateway_api_does(millis: int, text: str) -> None:
    assert format_duration(timedelta(milliseconds=millis)) == text


@given(millis=st.integers(0, 99_999 * 3_600_000))
def test_a_duration_that_was_written_is_read_as_it_was(millis: int) -> None:
    duration = timedelta(milliseconds=millis)
    assert parse_duration(format_duration(duration)) == duration


def test_times_are_written_in_utc_with_microseconds() -> None:
    time = datetime(2026, 1, 2, 4, 0, 5, tzinfo=timezone(timedelta(hours=1)))
    assert format_time(time) == "2026-01-02T03:00:05.000000Z"


@pytest.mark.parametrize(
    "text", ["2026-01-02T03:00:05Z", "2026-01-02T04:00:05+01:00", "2026-01-02T03:00:05.000000Z"]
)
def test_times_are_read_from_any_zone(text: str) -> None:
    assert parse_time(text) == datetime(2026, 1, 2, 3, 0, 5, tzinfo=UTC)


@pytest.mark.parametrize("value", ["", "today", "2026-01-02T03:00:05", 5, None])
def test_what_is_no_time_is_refused(value: object) -> None:
    with pytest.raises(ValueError):
        parse_time(value)
