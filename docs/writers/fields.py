"""The page of all fields, from the schemas of the CustomResourceDefinitions."""

from collections.abc import Iterator
from typing import Any

from vpplb.resources.base import KindDefinition
from vpplb.resources.crd import DEFINITIONS, make_structural, show_default
from vpplb.resources.schema import Schema

INTRODUCTION = """\
# Fields

<!-- Generated from the models in vpplb/resources: edit those, then run `make docs`. -->

Every field of every kind, of `vpplb.dev/v1alpha1`. `kubectl explain frontend.spec` says the same in
a terminal, defaults included. What is required has **required** in place of a default; a field
without either may be absent, and its description says what holds then. A field that is not listed
here is refused.

Durations are written as the Gateway API has them: `200ms`, `1s`, `1m30s`.
"""


def render_page() -> str:
    """Return docs/fields.md."""
    return "\n".join(
        [INTRODUCTION, *(line for kind in DEFINITIONS for line in _describe_kind(kind))]
    )


def _describe_kind(definition: KindDefinition[Any]) -> Iterator[str]:
    scope = "in a namespace" if definition.kind.is_namespaced else "one a node, in no namespace"
    yield f"## {definition.kind}\n"
    yield f"{definition.description} Short name `{definition.short_name}`; {scope}.\n"
    yield f"### Spec of a {definition.kind}\n"
    spec = make_structural(definition.spec)
    yield from _table(("field", "type", "default", "meaning"), _list_spec(spec, "spec"))
    if definition.rules:
        yield "What is refused beside a value of another type or out of its range:\n"
        yield from (f"- `spec.{rule.field}` {rule.message}" for rule in definition.rules)
        yield ""
    yield f"### Status of a {definition.kind}\n"
    status = make_structural(definition.status, defaults=False)
    yield from _table(("field", "type", "meaning"), _list_status(status, "status"))


def _table(head: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{' --- |' * len(head)}"
    yield from (f"| {' | '.join(row)} |" for row in rows)
    yield ""


def _list_spec(schema: Schema, path: str) -> Iterator[tuple[str, ...]]:
    """Yield a row for each field below a schema: path, type, default, meaning."""
    required = schema.get("required", ())
    for name, field in schema.get("properties", {}).items():
        default = f"`{show_default(field['default'])}`" if "default" in field else ""
        here = f"{path}.{name}"
        yield (
            f"`{here}`",
            _name_type(field),
            "**required**" if name in required else default,
            _describe(field),
        )
        yield from _list_spec(_inner(field), _below(here, field))


def _list_status(schema: Schema, path: str) -> Iterator[tuple[str, ...]]:
    for name, field in schema.get("properties", {}).items():
        here = f"{path}.{name}"
        yield f"`{here}`", _name_type(field), _describe(field)
        yield from _list_status(_inner(field), _below(here, field))


def _inner(field: Schema) -> Schema:
    inner: Schema = field.get("items", field)
    return inner


def _below(path: str, field: Schema) -> str:
    return f"{path}[]" if "items" in field else path


def _name_type(field: Schema) -> str:
    """Say what a value is: its type, or the choice; and within which bounds."""
    if "enum" in field:
        return ", ".join(f"`{one}`" for one in field["enum"])
    kind = str(field.get("format", field["type"]))
    if kind == "array":
        kind = f"list of {field['items']['type']}s"
    elif kind == "object" and "additionalProperties" in field:
        kind = "map"
    bounds = [
        f"{field[least]}–{field[most]}"
        for least, most in (("minimum", "maximum"), ("minItems", "maxItems"))
        if least in field and most in field
    ]
    return " ".join([kind, *bounds])


def _describe(field: Schema) -> str:
    """Return the meaning, with what a value must be."""
    meaning = " ".join(field["description"].split())
    rules = [rule["message"] for rule in field.get("x-kubernetes-validations", ())]
    said = [meaning, *(f"It {rule}." for rule in rules if rule.startswith("must "))]
    return " ".join(said).replace("|", "\\|")
