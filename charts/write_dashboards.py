"""Write the dashboards of `charts/dashboards.py` as Grafana reads them.

`python charts/write_dashboards.py FOLDER` writes into the chart in that folder.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dashboards import FRONTENDS, NODES, DashboardPanel, DashboardRow

WIDTH = 24
"""Columns of Grafana's grid."""
SOURCE = {"type": "prometheus", "uid": "${datasource}"}


def make_dashboard(
    uid: str, title: str, rows: tuple[DashboardRow, ...], *variables: dict[str, Any]
) -> dict[str, Any]:
    """Return a dashboard as Grafana imports it."""
    return {
        "uid": uid,
        "title": title,
        "tags": ["vpplb"],
        "schemaVersion": 39,
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "links": [{"type": "dashboards", "tags": ["vpplb"], "title": "vpplb", "asDropdown": True}],
        "templating": {"list": [_DATA_SOURCE, *variables]},
        "panels": list(_lay_out(rows)),
    }


_DATA_SOURCE = {
    "name": "datasource",
    "label": "Data source",
    "type": "datasource",
    "query": "prometheus",
}


def choose_label(label: str, query: str) -> dict[str, Any]:
    """Return a variable that lets people choose values of a label, all by default."""
    return {
        "name": label,
        "type": "query",
        "datasource": SOURCE,
        "query": {"query": query, "refId": label},
        "refresh": 2,
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"text": ["All"], "value": ["$__all"]},
    }


def _lay_out(rows: tuple[DashboardRow, ...]) -> Iterator[dict[str, Any]]:
    """Yield rows and panels, each with its place: from left to right, then below."""
    number, top = 0, 0
    for row in rows:
        number += 1
        place = {"x": 0, "y": top, "w": WIDTH, "h": 1}
        yield {"id": number, "type": "row", "title": row.title, "gridPos": place, "panels": []}
        left, top, lowest = 0, top + 1, top + 1
        for panel in row.panels:
            if left + panel.width > WIDTH:
                left, top = 0, lowest
            number += 1
            place = {"x": left, "y": top, "w": panel.width, "h": panel.height}
            yield {"id": number, "gridPos": place, **_describe_panel(panel)}
            left, lowest = left + panel.width, max(lowest, top + panel.height)
        top = lowest


def _describe_panel(panel: DashboardPanel) -> dict[str, Any]:
    table = panel.kind == "table"
    steps: list[dict[str, Any]] = [{"color": "green", "value": None}]
    if panel.bad_from is not None:
        steps.append({"color": "red", "value": panel.bad_from})
    described: dict[str, Any] = {
        "type": panel.kind,
        "title": panel.title,
        "description": panel.about,
        "datasource": SOURCE,
        "targets": [
            {
                "refId": chr(ord("A") + number),
                "datasource": SOURCE,
                "expr": query.expr,
                "legendFormat": query.legend or "__auto",
                **({"format": "table", "instant": True} if table else {}),
            }
            for number, query in enumerate(panel.queries)
        ],
        "fieldConfig": {
            "defaults": {
                "unit": panel.unit,
                "thresholds": {"mode": "absolute", "steps": steps},
                "color": {"mode": "palette-classic"},
            },
            "overrides": [],
        },
    }
    if panel.kind == "stat":
        described["fieldConfig"]["defaults"]["color"] = {"mode": "thresholds"}
        described["options"] = {"reduceOptions": {"calcs": ["lastNotNull"]}}
    if table:
        hidden = dict.fromkeys(("Time", "__name__", "alertstate"), True)
        described["transformations"] = [{"id": "organize", "options": {"excludeByName": hidden}}]
    return described


def main(chart: Path) -> None:
    """Write the dashboards of a chart."""
    folder = chart / "files" / "dashboards"
    folder.mkdir(exist_ok=True)
    namespaces = choose_label("namespace", "label_values(vpplb_frontend_state, namespace)")
    frontends = choose_label(
        "frontend", 'label_values(vpplb_frontend_state{namespace=~"$namespace"}, frontend)'
    )
    for dashboard in (
        make_dashboard("vpplb-frontends", "vpplb / Frontends", FRONTENDS, namespaces, frontends),
        make_dashboard("vpplb-nodes", "vpplb / Nodes and probing", NODES),
    ):
        file = folder / f"{dashboard['uid'].removeprefix('vpplb-')}.json"
        file.write_text(json.dumps(dashboard, indent=1) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
