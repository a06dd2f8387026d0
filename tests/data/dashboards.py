"""The dashboards as data: their panels, and the queries of these."""

import json
from typing import Any

from data.alert_rules import ROOT

DASHBOARDS = sorted((ROOT / "charts" / "vpplb" / "files" / "dashboards").glob("*.json"))
VARIABLES = {"$__rate_interval": "5m", "$namespace": ".*", "$frontend": ".*"}
"""What Grafana puts in the place of its variables, or may."""


def list_panels() -> list[tuple[str, dict[str, Any]]]:
    """Return the panels of all dashboards, each with a name for people."""
    return [
        (f"{file.stem}: {panel['title']}", panel)
        for file in DASHBOARDS
        for panel in json.loads(file.read_text())["panels"]
        if panel["type"] != "row"
    ]


def list_queries() -> list[str]:
    """Return the queries of all panels and variables, as Prometheus gets them."""
    panels = [target["expr"] for _, panel in list_panels() for target in panel["targets"]]
    variables = [
        one["query"]["query"].removeprefix("label_values(").rpartition(",")[0]
        for file in DASHBOARDS
        for one in json.loads(file.read_text())["templating"]["list"]
        if one["type"] == "query"
    ]
    return [fill_in(query) for query in (*panels, *variables)]


def fill_in(query: str) -> str:
    """Return a query as Grafana asks it."""
    for name, value in VARIABLES.items():
        query = query.replace(name, value)
    return query
