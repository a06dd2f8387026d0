"""The rules as data, and what the queries of rules and dashboards refer to."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from vpplb.telemetry.catalog import METRICS

ROOT = Path(__file__).parents[2]
RULES = sorted((ROOT / "charts" / "vpplb" / "files" / "rules").glob("*.yaml"))
CASES = sorted((Path(__file__).parent / "alerts").glob("*.yaml"))
RUNBOOKS = ROOT / "docs" / "runbooks"
TARGET_LABELS = frozenset({"cluster", "job", "router", "namespace", "pod", "instance", "node"})
"""Labels that a target has, or may be given; `le` is one of each histogram."""
SERIES = {
    spec.name + end: frozenset(spec.labels) | ({"le"} if end == "_bucket" else set())
    for spec in METRICS
    for end in (("_bucket", "_sum", "_count") if spec.type == "histogram" else ("",))
}
"""The series of the catalogue by name, each with its own labels."""


class QuerySelector(NamedTuple):
    """A metric as a query names it, and the labels that it asks for, with what it asks."""

    metric: str
    labels: tuple[tuple[str, str], ...]


def list_rules() -> list[dict[str, Any]]:
    """Return the rules of all files, in order."""
    return [
        rule
        for file in RULES
        for group in yaml.safe_load(file.read_text())["groups"]
        for rule in group["rules"]
    ]


def list_selectors(query: str) -> Iterator[QuerySelector]:
    """Yield what a query selects, also of recorded series."""
    for metric, inside in re.findall(r"\b((?:\w+:)?vpplb_\w+(?::\w+)?)(?:\s*\{([^}]*)\})?", query):
        yield QuerySelector(metric, tuple(re.findall(r'(\w+)\s*(?:=~|!~|!=|=)\s*"(.*?)"', inside)))


def list_groupings(query: str) -> set[str]:
    """Return all labels that a query groups or matches by."""
    inside = re.findall(r"\b(?:by|on|without|ignoring|group_left|group_right)\s*\(([^)]*)\)", query)
    return {label for part in inside for label in re.split(r"[,\s]+", part) if label}


def find_unknown(query: str, recorded: set[str]) -> list[str]:
    """Say what of a query nobody serves: metrics, labels, states."""
    selected = list(list_selectors(query))
    known = {one.metric: SERIES.get(one.metric, frozenset[str]()) for one in selected}
    own = frozenset[str]().union(*known.values())
    strangers = list_groupings(query) - own - TARGET_LABELS
    unknown = [one.metric for one in selected if one.metric not in SERIES.keys() | recorded]
    for metric, labels in selected:
        asked = {name for name, _ in labels} - known[metric] - TARGET_LABELS
        unknown += [f"{metric}{{{name}}}" for name in sorted(asked)]
    return [*unknown, *(f"by {label}" for label in sorted(strangers) if not recorded & {*known})]
