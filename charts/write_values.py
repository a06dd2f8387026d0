"""Write what comes from `charts/values.py`: values.yaml, values.schema.json, the README's table.

`python charts/write_values.py FOLDER` writes into the chart in that folder.
"""

import json
import re
import sys
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from values import ChartModel, ChartValues

HEADER = "# Written by `make chart` from charts/values.py: change it there."
WIDTH = 98
TABLE = re.compile(r"(?<=<!-- values -->\n).*?(?=<!-- /values -->)", re.S)
"""The part of the README that is written."""


def main(chart: Path) -> None:
    """Write the three files of a chart."""
    (chart / "values.yaml").write_text("\n".join(_values_lines()) + "\n")
    (chart / "values.schema.json").write_text(json.dumps(_schema(), indent=1) + "\n")
    readme = chart / "README.md"
    table = "\n".join(_table_lines())
    readme.write_text(TABLE.sub(lambda _: f"{table}\n", readme.read_text()))


def _fields(model: type[BaseModel]) -> Iterator[tuple[str, FieldInfo]]:
    """Yield a model's fields by the names that users write, its own before those it inherits."""
    fields = model.model_fields
    own = [name for name in fields if name in model.__annotations__]
    for name in [*own, *(name for name in fields if name not in own)]:
        yield fields[name].alias or name, fields[name]


def _description(field: FieldInfo) -> str:
    """Return a field's description, or what the class says of itself."""
    return " ".join((field.description or type(field.default).__doc__ or "").split())


# --- values.yaml ------------------------------------------------------------------------------


def _values_lines() -> Iterator[str]:
    yield HEADER
    for name, field in _fields(ChartValues):
        yield ""
        yield from _setting_lines(name, field)


def _setting_lines(name: str, field: FieldInfo) -> Iterator[str]:
    yield from (f"# {line}" for line in textwrap.wrap(_description(field), WIDTH - 8))
    if isinstance(field.default, ChartModel):
        yield f"{name}:"
        for below, setting in _fields(type(field.default)):
            yield from (f"  {line}" for line in _setting_lines(below, setting))
    else:
        yield f"{name}: {_flow(field.default)}"


def _flow(value: Any) -> str:
    """Write a value in one line of YAML."""
    if isinstance(value, Mapping):
        inner = ", ".join(f"{key}: {_flow(child)}" for key, child in value.items())
        return f"{{{inner}}}"
    if isinstance(value, list):
        return f"[{', '.join(_flow(child) for child in value)}]"
    return json.dumps(value) if value == "" else yaml.safe_dump(value).split("\n", 1)[0]


# --- the table --------------------------------------------------------------------------------


def _table_lines() -> Iterator[str]:
    yield "| value | default | what it is |"
    yield "| --- | --- | --- |"
    for name, field in _fields(ChartValues):
        yield from _table_rows(name, field)


def _table_rows(name: str, field: FieldInfo) -> Iterator[str]:
    words = _description(field).replace("|", "\\|")
    if isinstance(field.default, ChartModel):
        yield f"| **`{name}`** | | {words} |"
        for below, setting in _fields(type(field.default)):
            yield from _table_rows(f"{name}.{below}", setting)
    else:
        yield f"| `{name}` | `{_flow(field.default)}` | {words} |"


# --- the schema -------------------------------------------------------------------------------


def _schema() -> dict[str, Any]:
    schema = _plain(ChartValues.model_json_schema(by_alias=True))
    _require_parts(ChartValues, schema, schema["$defs"])
    # What helm and people set where another chart has this one below it.
    schema["properties"] |= {"global": {"type": "object"}, "enabled": {"type": "boolean"}}
    return {
        "$schema": "https://json-schema.org/draft-07/schema#",
        "title": "Values of the vpplb chart",
        **schema,
    }


def _require_parts(model: type[BaseModel], node: dict[str, Any], parts: dict[str, Any]) -> None:
    """Require the parts: those that are new are missing from `helm upgrade --reuse-values`."""
    below = {
        name: type(field.default)
        for name, field in _fields(model)
        if isinstance(field.default, ChartModel)
    }
    if below:
        node["required"] = list(below)
    for part in below.values():
        _require_parts(part, parts[part.__name__], parts)


def _plain(node: Any) -> Any:
    """Drop the titles that pydantic makes of names, and join docstrings into one line."""
    if isinstance(node, list):
        return [_plain(child) for child in node]
    if not isinstance(node, dict):
        return node
    plain = {name: _plain(child) for name, child in node.items() if not _is_title(name, child)}
    if isinstance(plain.get("description"), str):
        plain["description"] = " ".join(plain["description"].split())
    return plain


def _is_title(name: str, child: Any) -> bool:
    return name == "title" and isinstance(child, str)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
