"""How the plugin writes: ages as kubectl's, and tables, JSON or YAML as asked."""

import dataclasses
import json
from collections.abc import Callable, Mapping
from datetime import datetime
from enum import StrEnum

from vpplb.cli.terminal import print_block, print_coloured
from vpplb.model.printable import make_printable


class OutputFormat(StrEnum):
    """What `-o` takes; WIDE is a table with more columns."""

    TABLE = "table"
    WIDE = "wide"
    JSON = "json"
    YAML = "yaml"


def format_age(since: datetime | None, now: datetime) -> str:
    """Write how long ago something was, as kubectl does: `45s`, `3m12s`, `5h`, `12d`."""
    if since is None:
        return ""
    seconds = max(0, int((now - since).total_seconds()))
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86400
    if seconds < 120:
        return f"{seconds}s"
    if minutes < 10:
        return f"{minutes}m{seconds % 60}s" if seconds % 60 else f"{minutes}m"
    if hours < 3:
        return f"{minutes}m"
    if hours < 8:
        return f"{hours}h{minutes % 60}m" if minutes % 60 else f"{hours}h"
    if days < 2:
        return f"{hours}h"
    if days < 8:
        return f"{days}d{hours % 24}h" if hours % 24 else f"{days}d"
    return f"{days}d"


def format_percent(part: float | None) -> str:
    """Write a part of 1, `?` where it is not known."""
    return "?" if part is None else f"{100 * part:.1f} %"


def print_output(output: OutputFormat, content: object, table: Callable[[], str]) -> None:
    """Print as asked: the content for programs, or the table for people."""
    match output:
        case OutputFormat.JSON:
            print_block(to_json(content, indent=2))
        case OutputFormat.YAML:
            import yaml

            text = yaml.safe_dump(to_plain(content), sort_keys=False, allow_unicode=True)
            if not text.replace(
                "\n", ""
            ).isprintable():  # YAML itself lets marks of direction through
                text = yaml.safe_dump(to_plain(content), sort_keys=False)
            print_block(text.rstrip("\n"))
        case _:
            print_coloured(table())


def to_json(content: object, indent: int | None = None) -> str:
    """Write for programs, readable by people; what cannot be printed is escaped as JSON does."""
    text = json.dumps(to_plain(content), indent=indent, ensure_ascii=False)
    return make_printable(text, keep="\n")


def to_plain(value: object) -> object:
    """Turn what is to be shown into JSON's types: fields in camelCase, None left out."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = [(one.name, getattr(value, one.name)) for one in dataclasses.fields(value)]
        return {_to_camel(name): to_plain(given) for name, given in fields if given is not None}
    match value:
        case None | bool() | int() | float():
            return value
        case datetime():
            return value.isoformat()
        case Mapping():
            return {str(key): to_plain(given) for key, given in value.items()}
        case list() | tuple() if not hasattr(value, "_fields"):
            return [to_plain(one) for one in value]
        case _:
            return str(value)


def _to_camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)
