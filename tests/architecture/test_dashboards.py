"""Dashboards ask for what is served, and are as `make chart` writes them."""

import json
import re
import subprocess
import sys
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from data.alert_rules import ROOT, find_unknown, list_selectors
from data.dashboards import DASHBOARDS, list_panels, list_queries

OF_OTHERS = {"ALERTS", "process_resident_memory_bytes"}
"""Series that Prometheus and its client have; all others are ours."""
PANELS = [panel for _, panel in list_panels()]
NAMES = [name for name, _ in list_panels()]


def test_the_files_are_as_they_are_written(tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    subprocess.run([sys.executable, ROOT / "charts" / "write_dashboards.py", tmp_path], check=True)
    written = {one.name: one.read_text() for one in (tmp_path / "files" / "dashboards").iterdir()}
    assert written == {one.name: one.read_text() for one in DASHBOARDS}, "make chart"


@pytest.mark.parametrize("query", list_queries())
def test_a_query_asks_for_metrics_and_labels_that_are_served(query: str) -> None:
    assert find_unknown(query, set()) == []
    others = set(re.findall(r"\b([A-Za-z_:]+)\s*(?:\{|\[| \*)", query)) - {"by", "on", "group_left"}
    ours = {one.metric for one in list_selectors(query)}
    assert others <= ours | OF_OTHERS


@pytest.mark.parametrize("panel", PANELS, ids=NAMES)
def test_a_panel_says_what_it_shows_and_reads_from_where_people_choose(
    panel: dict[str, Any],
) -> None:
    assert panel["title"]
    assert panel["description"].endswith(".")
    for one in (panel, *panel["targets"]):
        assert one["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
    for target in panel["targets"]:
        named = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
        grouped = re.search(r"(?:by|group_left) \(([^)]*)\)", target["expr"])
        if grouped and "on (" not in target["expr"]:
            assert named <= set(re.split(r", ?", grouped[1])), "the label is not lost on the way"


@pytest.mark.parametrize("file", DASHBOARDS, ids=lambda file: file.stem)
def test_panels_have_numbers_and_places_of_their_own(file: Path) -> None:
    panels = json.loads(file.read_text())["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels) > 10
    places = [panel["gridPos"] for panel in panels]
    assert all(place["x"] + place["w"] <= 24 for place in places)
    for one, other in combinations(places, 2):
        apart = (
            one["x"] + one["w"] <= other["x"]
            or other["x"] + other["w"] <= one["x"]
            or one["y"] + one["h"] <= other["y"]
            or other["y"] + other["h"] <= one["y"]
        )
        assert apart, (one, other)


def test_dashboards_are_told_apart_and_lead_to_each_other() -> None:
    shown = [json.loads(file.read_text()) for file in DASHBOARDS]
    assert len({one["uid"] for one in shown}) == len(shown) == 2
    assert all(one["tags"] == one["links"][0]["tags"] == ["vpplb"] for one in shown)
    assert all("id" not in one for one in shown), "one of its own would replace somebody's"
