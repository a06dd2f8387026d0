"""The fields of `-o json` are those that the documentation promises."""

import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from vpplb.cli.verbs.agents import VipPackets
from vpplb.cli.verbs.backends import BackendLine
from vpplb.cli.verbs.dataplane import DataplaneDetail, ServerLine, VipLine
from vpplb.cli.verbs.frontend_detail import FrontendDetail, HistoryLine, MemberLine, NodeLine
from vpplb.cli.verbs.frontends import FrontendLine
from vpplb.cli.verbs.nodes import NodeStatus
from vpplb.cli.verbs.object_problems import FieldDeviation, ObjectProblem
from vpplb.cli.verbs.watch import WatchedChange
from vpplb.monitor.figures import VipFigures

PAGE = Path(__file__).parents[2] / "docs" / "kubectl.md"
SHOWN: dict[str, Any] = {
    "`status`: a frontend": FrontendLine,
    "`status FRONTEND`": FrontendDetail,
    "… of `members`": MemberLine,
    "… of `nodes`": NodeLine,
    "… of `history`": HistoryLine,
    "of `problems`": ObjectProblem,
    "of `deviations`": FieldDeviation,
    "`backends`: a backend": BackendLine,
    "`watch`: a change": WatchedChange,
    "`dataplane`: a node": NodeStatus,
    "`dataplane NODE`": DataplaneDetail,
    "… of `vips`": VipLine,
    "… of `servers`": ServerLine,
    "… of `packets`": VipPackets,
}


def promised() -> dict[str, list[str]]:
    section = PAGE.read_text().split("## JSON for programs")[1].split("\n## ")[0]
    rows = re.findall(r"^\| ([^|]+) \| (`[^|]+`) \|$", section, re.M)
    return {what: re.findall(r"`(\w+)`", named) for what, named in rows}


@pytest.mark.parametrize("what", SHOWN)
def test_each_field_that_is_printed_is_promised_and_the_other_way_round(what: str) -> None:
    printed = [re.sub(r"_(\w)", lambda m: m[1].upper(), one.name) for one in fields(SHOWN[what])]
    assert promised()[what] == printed


def test_the_fields_of_what_the_monitor_measures_are_promised() -> None:
    page = (PAGE.parent / "monitor.md").read_text()
    (row,) = re.findall(r"^\| `figures`, `summary` \| (.+) \|$", page, re.M)
    printed = [re.sub(r"_(\w)", lambda m: m[1].upper(), one.name) for one in fields(VipFigures)]
    assert ["vip", *re.findall(r"`(\w+)`", row)] == printed


def test_nothing_else_is_promised() -> None:
    assert promised().keys() == SHOWN.keys()
