from datetime import timedelta

import pytest

from vpplb.model.durations import parse_duration


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("200ms", timedelta(milliseconds=200)),
        ("1s", timedelta(seconds=1)),
        ("1m30s", timedelta(seconds=90)),
        ("1s500ms", timedelta(milliseconds=1500)),
        ("2h3m4s5ms", timedelta(hours=2, minutes=3, seconds=4, milliseconds=5)),
        ("0s", timedelta()),
        ("90s", timedelta(seconds=90)),
        ("99999h", timedelta(hours=99999)),
    ],
)
def test_durations_as_the_gateway_api_writes_them(text: str, expected: timedelta) -> None:
    assert parse_duration(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1",
        "s",
        "-1s",
        "+1s",
        "1.5s",
        "1 s",
        "1s ",
        "1S",
        "1d",
        "100000s",
        "30s1m",
        "1s1s",
        "٣s",
    ],
)
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a duration such as 200ms, 1s or 1m30s"):
        parse_duration(text)
