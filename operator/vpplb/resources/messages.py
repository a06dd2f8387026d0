"""What is wrong with a field, in words for people: pydantic's errors, translated at the seam."""

import json
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from functools import cache
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from vpplb.resources.base import Finding, Loc

SECRET_FIELD = "headers"
"""What stands below a field of this name is never quoted: tokens and passwords are there."""


def spell_path(loc: Loc) -> str:
    """Spell a path as users write it: `spec.pools[0].backends[1].weight`."""
    text = ""
    for part in loc:
        if isinstance(part, int):
            text += f"[{part}]"
        elif not _is_plain(part):
            text += f"[{json.dumps(part)}]"
        else:
            text += f".{part}" if text else part
    return text


def _is_plain(key: str) -> bool:
    return key.isascii() and key.replace("_", "a").replace("-", "a").isalnum()


def list_findings(error: ValidationError, model: type[BaseModel]) -> list[Finding]:
    """Return one finding for each of the errors that `model` raised, in their order."""
    return [
        (_locate_error(details), _explain_error(details, model))
        for details in error.errors(include_url=False)
    ]


def unknown_fields(error: ValidationError) -> list[Loc]:
    """Return the fields, of those that an error is about, that the model does not know."""
    return [
        details["loc"]
        for details in error.errors(include_url=False)
        if details["type"] == "extra_forbidden"
    ]


def _locate_error(details: ErrorDetails) -> Loc:
    """Blame the mapping where one of its keys is wrong, which pydantic marks with `[key]`."""
    loc = details["loc"]
    return loc[:-2] if loc and loc[-1] == "[key]" else loc


def _explain_error(details: ErrorDetails, model: type[BaseModel]) -> str:
    kind, context = details["type"], details.get("ctx", {})
    if kind == "extra_forbidden":
        return "is not a known field" + _guess_field(details["loc"], model)
    write = _SENTENCES.get(kind)
    sentence = write(context) if write else details["msg"]
    hidden = SECRET_FIELD in details["loc"]
    return sentence if hidden else sentence + _show_value(kind, sentence, details["input"])


_SENTENCES: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "missing": lambda _: "is required",
    "value_error": lambda c: str(c["error"]),
    "enum": lambda c: f"must be {_join_choices(c)}",
    "literal_error": lambda c: f"must be {_join_choices(c)}",
    "int_type": lambda _: "must be a whole number",
    "string_type": lambda _: "must be a string",
    "bool_type": lambda _: "must be true or false",
    "list_type": lambda _: "must be a list",
    "dict_type": lambda _: "must be a mapping",
    "model_type": lambda _: "must be a mapping of fields",
    "greater_than_equal": lambda c: f"must be at least {c['ge']}",
    "less_than_equal": lambda c: f"must be at most {c['le']}",
    "too_short": lambda c: f"must have at least {c['min_length']} entry",
    "too_long": lambda c: f"must have at most {c['max_length']} entries",
    "string_too_long": lambda c: f"must have at most {c['max_length']} characters",
}


def _join_choices(context: Mapping[str, Any]) -> str:
    """Write `A, B or C` from pydantic's `'A', 'B' or 'C'`."""
    return str(context["expected"]).replace("'", "")


def _show_value(kind: str, sentence: str, value: object) -> str:
    """Tell the value where that helps: short, and not contained in the sentence's field.

    A list or a mapping is not told: what is in it may be secret.
    """
    told = sentence.startswith("must be") and not kind.startswith("too_")
    if not told or isinstance(value, dict | list):
        return ""
    shown = json.dumps(value, default=str, ensure_ascii=False)
    return f", not {shown}" if len(shown) <= 60 else ""


def _guess_field(loc: Loc, model: type[BaseModel]) -> str:
    known = _fields_at(loc[:-1], model)
    close = get_close_matches(str(loc[-1]), known, n=1)
    return f"; did you mean {close[0]}?" if close else ""


@cache
def _make_schema(model: type[BaseModel]) -> dict[str, Any]:
    return model.model_json_schema()


def _fields_at(loc: Loc, model: type[BaseModel]) -> list[str]:
    schema = _make_schema(model)
    definitions = schema.get("$defs", {})
    for part in ("", *loc):
        if part != "":
            schema = schema["items"] if isinstance(part, int) else schema["properties"][part]
        for option in schema.get("anyOf", [schema]):
            if "$ref" in option or "items" in option:
                schema = option
        if "$ref" in schema:
            schema = definitions[schema["$ref"].rsplit("/", 1)[-1]]
    return list(schema.get("properties", {}))
