"""Columns, ages, colours, and what programs read."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import click
import pytest

from vpplb.cli.tables import TableCell, colour_state, paint_cell, write_table
from vpplb.cli.verbs.output import (
    OutputFormat,
    format_age,
    format_percent,
    print_output,
    to_plain,
)

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def test_columns_are_as_wide_as_they_must_be_and_empty_cells_are_marked() -> None:
    text = write_table(["NAME", "STATE"], [["a-long-name", TableCell("up")], ["b", ""]])
    assert text == "NAME          STATE\na-long-name   up\nb             -"
    assert write_table(["NAME"], [], indent="  ") == "  NAME"


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (-3, "0s"), (0, "0s"), (119, "119s"), (120, "2m"), (192, "3m12s"), (600, "10m"),
        (3 * 3600, "3h"), (5 * 3600 + 60, "5h1m"), (9 * 3600, "9h"), (49 * 3600, "2d1h"),
        (48 * 3600, "2d"), (30 * 86400, "30d"),
    ],
)  # fmt: skip
def test_ages_are_written_as_kubectl_writes_them(seconds: int, said: str) -> None:
    assert format_age(NOON, NOON + timedelta(seconds=seconds)) == said


def test_an_age_that_is_not_known_is_empty_and_a_part_that_is_not_known_a_question() -> None:
    assert format_age(None, NOON) == ""
    assert (format_percent(None), format_percent(0.3331)) == ("?", "33.3 %")


def test_states_are_coloured_unless_no_color_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert paint_cell(colour_state("down"), 6) == click.style("down  ", fg="red")
    assert paint_cell(colour_state("odd")) == "odd"
    monkeypatch.setenv("NO_COLOR", "1")
    assert paint_cell(colour_state("down"), 6) == "down  "


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownStatus:
    active_pool: str
    since: datetime | None = None
    state: OutputFormat = OutputFormat.TABLE
    parts: tuple[float, ...] = ()


def test_programs_get_camel_case_and_json_types_and_nothing_that_is_none() -> None:
    assert to_plain(ShownStatus(active_pool="main", parts=(0.5,))) == {
        "activePool": "main",
        "state": "table",
        "parts": [0.5],
    }
    assert to_plain([ShownStatus(active_pool="", since=NOON)]) == [
        {"activePool": "", "since": "2026-01-01T12:00:00+00:00", "state": "table", "parts": []}
    ]


@pytest.mark.parametrize(
    ("output", "text"),
    [
        (OutputFormat.JSON, json.dumps({"a": [1, True]}, indent=2) + "\n"),
        (OutputFormat.YAML, "a:\n- 1\n- true\n"),
        (OutputFormat.TABLE, "A TABLE\n"),
        (OutputFormat.WIDE, "A TABLE\n"),
    ],
)
def test_the_output_is_as_asked(
    output: OutputFormat, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    print_output(output, {"a": (1, True)}, lambda: "A TABLE")
    assert capsys.readouterr().out == text
