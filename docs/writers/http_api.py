"""The page of the HTTP API, and its OpenAPI document, from `telemetry.openapi`."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from vpplb.telemetry.object_queries import PARAMETERS
from vpplb.telemetry.openapi import DESCRIPTION, EVENTS, describe_api

INTRODUCTION = f"""\
# HTTP API

<!-- Generated from vpplb/telemetry/openapi.py: edit that, then run `make docs`. -->

{DESCRIPTION}

The whole of it is an OpenAPI document, [openapi.json](openapi.json), which each program serves at
`/api/v1/openapi.json` as far as it applies. Errors are JSON: `{{"error": "…"}}`. Large answers are
packed by gzip for whoever accepts it.

## Paths

| path | answers |
| --- | --- |"""
LISTS = """
## Lists

Of a list one may ask for a part, as `?namespace=shop&fields=metadata.name,status.state&limit=200`:

| parameter | what is given |
| --- | --- |"""
STREAM = """
## Events

{about}

| event | its data |
| --- | --- |"""


def render_page() -> str:
    """Return docs/http-api.md."""
    paths = describe_api()["paths"]
    about = paths["/api/v1/events"]["get"]["summary"]
    rows = [*_list_paths(paths)]
    lists = [f"| `{name}` | {said} |" for name, said in PARAMETERS.items()]
    stream = [STREAM.format(about=about), *_list_events()]
    return "\n".join([INTRODUCTION, *rows, LISTS, *lists, *stream, ""])


def _list_paths(paths: Mapping[str, Any]) -> Iterator[str]:
    """Give a row for each path, with the methods that are not GET named."""
    for path, one in paths.items():
        for method, operation in one.items():
            if method in ("get", "post", "delete"):
                verb = "" if method == "get" else f"{method.upper()} "
                yield f"| `{verb}{path}` | {operation['summary']} |"


def _list_events() -> Iterator[str]:
    for name, schema in EVENTS.items():
        fields = ", ".join(f"`{field}`" for field in schema["properties"])
        yield f"| `{name}` | {schema['description']}{f' {fields}' if fields else ''} |"


def render_document() -> str:
    """Return docs/openapi.json."""
    return json.dumps(describe_api(), indent=1, ensure_ascii=False) + "\n"
