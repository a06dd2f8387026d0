"""Columns, ages, colours, and what programs read."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import click
import pytest

from vpplb.cli.kubectl.output import Output, age, emit, percent, plain
from vpplb.cli.tables import Cell, coloured, columns, paint

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def test_columns_are_as_wide_as_they_must_be_and_empty_cells_are_marked() -> None:
    text = columns(["NAME", "STATE"], [["a-long-name", Cell("up")], ["b", ""]])
    assert text == "NAME          STATE\na-long-name   up\nb             -"
    assert columns(["NAME"], [], indent="  ") == "  NAME"


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (-3, "0s"), (0, "0s"), (119, "119s"), (120, "2m"), (192, "3m12s"), (600, "10m"),
        (3 * 3600, "3h"), (5 * 3600 + 60, "5h1m"), (9 * 3600, "9h"), (49 * 3600, "2d1h"),
        (48 * 3600, "2d"), (30 * 86400, "30d"),
    ],
)  # fmt: skip
def test_ages_are_written_as_kubectl_writes_them(seconds: int, said: str) -> None:
    assert age(NOON, NOON + timedelta(seconds=seconds)) == said


def test_an_age_that_is_not_known_is_empty_and_a_part_that_is_not_known_a_question() -> None:
    assert age(None, NOON) == ""
    assert (percent(None), percent(0.3331)) == ("?", "33.3 %")


def test_states_are_coloured_unless_no_color_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert paint(coloured("down"), 6) == click.style("down  ", fg="red")
    assert paint(coloured("odd")) == "odd"
    monkeypatch.setenv("NO_COLOR", "1")
    assert paint(coloured("down"), 6) == "down  "


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    active_pool: str
    since: datetime | None = None
    state: Output = Output.TABLE
    parts: tuple[float, ...] = ()


def test_programs_get_camel_case_and_json_types_and_nothing_that_is_none() -> None:
    assert plain(Shown(active_pool="main", parts=(0.5,))) == {
        "activePool": "main",
        "state": "table",
        "parts": [0.5],
    }
    assert plain([Shown(active_pool="", since=NOON)]) == [
        {"activePool": "", "since": "2026-01-01T12:00:00+00:00", "state": "table", "parts": []}
    ]


@pytest.mark.parametrize(
    ("output", "text"),
    [
        (Output.JSON, json.dumps({"a": [1, True]}, indent=2) + "\n"),
        (Output.YAML, "a:\n- 1\n- true\n"),
        (Output.TABLE, "A TABLE\n"),
        (Output.WIDE, "A TABLE\n"),
    ],
)
def test_the_output_is_as_asked(
    output: Output, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    emit(output, {"a": (1, True)}, lambda: "A TABLE")
    assert capsys.readouterr().out == text
