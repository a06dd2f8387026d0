"""YAML whose every field knows its line.

Scalars mean what they mean to kubectl: neither times nor numbers in base 60 are made of text,
so that `1:2:3:4:5:6:7:8` stays an address. Names that repeat within a mapping are reported,
as the API server does, not silently overwritten.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import yaml

from vpplb.resources.base import Loc
from vpplb.resources.messages import spell

_DEEPEST = 64
_MOST_FIELDS = 1_000_000


class Unparseable(Exception):
    """The text is not YAML that can be read, from `line` on (1 is the first)."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line
        self.message = message


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One document: its value, its first line, the line of each field, and repeated fields."""

    value: object
    line: int
    lines: Mapping[str, int]
    repeated: tuple[tuple[str, int], ...] = ()

    def line_of(self, field_path: str) -> int:
        """Return the line of a field (`spec.pools[0].name`), or of the nearest that is there."""
        while field_path and field_path not in self.lines:
            field_path = _LAST_PART.sub("", field_path, count=1)
        return self.lines.get(field_path, self.line)

    def item(self, position: int) -> "Document":
        """Return an entry of the document's `items` as a document of its own."""
        start = f"items[{position}]"
        items = self.value.get("items") if isinstance(self.value, Mapping) else None
        return Document(
            value=items[position] if isinstance(items, list) else None,
            line=self.lines.get(start, self.line),
            lines={
                path.removeprefix(f"{start}."): line
                for path, line in self.lines.items()
                if path.startswith(f"{start}.")
            },
        )


_LAST_PART = re.compile(r'(\.[^.\[\]]*|\[("[^"]*"|\d+)\]|^[^.\[\]]*)$')


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # one of two
    """Resolves null, booleans, whole numbers and fractions; all else is text."""

    yaml_implicit_resolvers: ClassVar[dict[str, list[tuple[str, re.Pattern[str]]]]] = {}


def _resolve(tag: str, pattern: str, first: str) -> None:
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", re.compile(pattern), list(first))


_resolve("null", "^(~|null|Null|NULL|)$", "~nN")
_Loader.add_implicit_resolver("tag:yaml.org,2002:null", re.compile("^$"), [""])
_resolve("merge", "^<<$", "<")
_resolve(
    "bool",
    "^(yes|Yes|YES|no|No|NO|true|True|TRUE|false|False|FALSE|on|On|ON|off|Off|OFF)$",
    "yYnNtTfFoO",
)
_resolve("int", "^[-+]?(0b[01_]+|0[0-7_]+|0|[1-9][0-9_]*|0x[0-9a-fA-F_]+)$", "-+0123456789")
_resolve(
    "float",
    r"^([-+]?[0-9][0-9_]*\.[0-9_]*([eE][-+][0-9]+)?|[-+]?\.[0-9][0-9_]*([eE][-+][0-9]+)?"
    r"|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN))$",
    "-+0123456789.",
)


def documents(text: str) -> Iterator[Document]:
    """Read the documents of a text one by one; Unparseable at the first that cannot be read."""
    loader = _Loader(text)
    try:
        while loader.check_node():
            node = loader.get_node()
            yield _Reading(loader).document(node)
    except yaml.YAMLError as error:
        raise _unparseable(error, text) from error
    finally:
        loader.dispose()


def _unparseable(error: yaml.YAMLError, text: str) -> Unparseable:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    if mark is not None:
        return Unparseable(mark.line + 1, getattr(error, "problem", None) or str(error))
    position = getattr(error, "position", 0)
    return Unparseable(text.count("\n", 0, position) + 1, getattr(error, "reason", str(error)))


@dataclass(slots=True)
class _Reading:
    """The reading of one document: lines and repetitions are collected on the way."""

    loader: _Loader
    lines: dict[str, int] = field(default_factory=dict)
    repeated: list[tuple[str, int]] = field(default_factory=list)

    def document(self, node: yaml.Node) -> Document:
        value = self._value(node, ())
        return Document(
            value=value,
            line=_line(node),
            lines=self.lines,
            repeated=tuple(self.repeated),
        )

    def _value(self, node: yaml.Node, loc: Loc) -> object:
        # Bounds what anchors can blow up, and what a recursive one would never end.
        if len(loc) > _DEEPEST or len(self.lines) > _MOST_FIELDS:
            raise Unparseable(_line(node), "too much, or too deeply, nested")
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, loc)
        if isinstance(node, yaml.SequenceNode):
            return [self._entry(item, (*loc, n)) for n, item in enumerate(node.value)]
        return self.loader.construct_object(node)

    def _entry(self, node: yaml.Node, loc: Loc) -> object:
        self.lines[spell(loc)] = _line(node)
        return self._value(node, loc)

    def _mapping(self, node: yaml.MappingNode, loc: Loc) -> dict[str, object]:
        self._find_repeated(node, loc)
        self.loader.flatten_mapping(node)
        mapping: dict[str, object] = {}
        for key_node, value_node in node.value:
            key = _key(key_node)
            self.lines[spell((*loc, key))] = _line(key_node)
            mapping[key] = self._value(value_node, (*loc, key))
        return mapping

    def _find_repeated(self, node: yaml.MappingNode, loc: Loc) -> None:
        seen: set[str] = set()
        for key_node, _ in node.value:
            key = _key(key_node)
            if key in seen:
                self.repeated.append((spell((*loc, key)), _line(key_node)))
            seen.add(key)


def _key(node: yaml.Node) -> str:
    if not isinstance(node, yaml.ScalarNode):
        raise Unparseable(_line(node), "a key must be text")
    return str(node.value)


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1
