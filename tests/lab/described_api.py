"""What programs answer, compared with the document of their HTTP API."""

import json
from collections.abc import Sequence
from typing import Any

import jsonschema

from lab.event_reader import ReadEvent
from lab.http_get import http_get


def read(url: str) -> Any:
    status, text = http_get(url)
    assert status == 200, text
    return json.loads(text)


def validate(base: str, value: object, name: str) -> None:
    """Compare a value with a schema of a program's document."""
    schemas = read(f"{base}/api/v1/openapi.json")["components"]["schemas"]
    schema = {"$ref": f"#/components/schemas/{name}", "components": {"schemas": schemas}}
    jsonschema.Draft202012Validator(schema).validate(value)


def validate_events(base: str, events: Sequence[ReadEvent]) -> None:
    """Compare the data of each event with the schema of its type, and an object with its kind's."""
    for one in events:
        validate(base, one.data, one.type)
        if one.type in ("frontend", "backend") and not one.data.get("deleted"):
            validate(base, one.data["object"], one.type.capitalize())
