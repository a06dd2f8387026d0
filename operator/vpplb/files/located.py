"""YAML whose every field knows its line.

Scalars mean what they mean to kubectl: neither times nor numbers in base 60 are made of text,
so that `1:2:3:4:5:6:7:8` stays an address. Names that repeat within a mapping are reported,
as the API server does, not silently overwritten.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import isfinite
from typing import ClassVar, NamedTuple

import yaml

from vpplb.resources.base import Loc
from vpplb.resources.messages import SECRET_FIELD, spell

DEEPEST = 64
"""Levels that may be nested. Kubernetes has no object of so many, and composing is recursive."""
MOST_FIELDS = 1_000_000
MOST_REPETITIONS = 100_000
"""Fields that aliases may bring again: a few lines of them could stand for billions."""


class Unparseable(Exception):
    """The text is not YAML that can be read, from `line` on (1 is the first)."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line
        self.message = message


class Fault(NamedTuple):
    """What is wrong with a field as YAML, before anybody asks what it means.

    `broken`: its value is not what its tag says (`!!int foo`); a text stands in its place.
    """

    field: str
    line: int
    message: str
    broken: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One document: its value, its first line, the line of each field, and what is wrong."""

    value: object = field(repr=False)
    line: int
    lines: Mapping[str, int]
    faults: tuple[Fault, ...] = ()

    def line_of(self, field_path: str) -> int:
        """Return the line of a field (`spec.pools[0].name`), or of the nearest that is there."""
        while field_path and field_path not in self.lines:
            field_path = _LAST_PART.sub("", field_path, count=1)
        return self.lines.get(field_path, self.line)

    def items(self) -> "list[Document]":
        """Return the entries of the document's `items`, each as a document of its own."""
        items = self.value.get("items") if isinstance(self.value, Mapping) else None
        if not isinstance(items, list):
            return []
        lines: list[dict[str, int]] = [{} for _ in items]
        faults: list[list[Fault]] = [[] for _ in items]
        for path, line in self.lines.items():
            if entry := _ENTRY.fullmatch(path):
                lines[int(entry[1])][entry[2] or ""] = line
        for fault in self.faults:
            if entry := _ENTRY.fullmatch(fault.field):
                faults[int(entry[1])].append(fault._replace(field=entry[2] or ""))
        return [
            Document(
                value=value,
                line=lines[n].pop("", self.line),
                lines=lines[n],
                faults=tuple(faults[n]),
            )
            for n, value in enumerate(items)
        ]


_ENTRY = re.compile(r"items\[(\d+)\](?:\.(.*))?", re.DOTALL)
_LAST_PART = re.compile(r'(\.[^.\[\]]*|\[("[^"]*"|\d+)\]|^[^.\[\]]*)$')


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # one of two
    """Resolves null, booleans, whole numbers and fractions; all else is text."""

    yaml_implicit_resolvers: ClassVar[dict[str, list[tuple[str, re.Pattern[str]]]]] = {}
    _depth = 0

    def descend_resolver(self, current_node: yaml.Node | None, current_index: object) -> None:
        """Count levels while nodes are composed (called for each by PyYAML's composers)."""
        self._depth += 1
        if self._depth > DEEPEST and current_node is not None:
            raise yaml.MarkedYAMLError(problem=_NESTED, problem_mark=current_node.start_mark)

    def ascend_resolver(self) -> None:
        self._depth -= 1


_NESTED = "too much, or too deeply, nested"


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
_resolve(
    "int",
    "^[-+]?(0b[01_]*[01][01_]*|0[0-7_]+|0|[1-9][0-9_]*|0x[0-9a-fA-F_]*[0-9a-fA-F][0-9a-fA-F_]*)$",
    "-+0123456789",
)
_resolve(
    "float",
    r"^([-+]?[0-9][0-9_]*\.[0-9_]*([eE][-+][0-9]+)?|[-+]?\.[0-9][0-9_]*([eE][-+][0-9]+)?"
    r"|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN))$",
    "-+0123456789.",
)

_TAG = "tag:yaml.org,2002:"
_MAP, _SEQUENCE, _MERGE = f"{_TAG}map", f"{_TAG}seq", f"{_TAG}merge"
_SCALARS = {
    f"{_TAG}null": "empty",
    f"{_TAG}bool": "a boolean",
    f"{_TAG}int": "a whole number",
    f"{_TAG}float": "a number",
    f"{_TAG}str": "text",
}
"""Tags of the scalars that JSON has, with what they say: all that Kubernetes' objects may hold."""


def documents(text: str) -> Iterator[Document]:
    """Read the documents of a text one by one; Unparseable at the first that cannot be read."""
    loader = _Loader(text)
    try:
        while loader.check_node():
            node = loader.get_node()
            yield _Reading(loader).document(node)
    except yaml.YAMLError as error:
        raise _unparseable(error, text) from error
    except RecursionError as error:
        raise Unparseable(1, _NESTED) from error
    finally:
        loader.dispose()


def _unparseable(error: yaml.YAMLError, text: str) -> Unparseable:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    if mark is not None:
        problem = getattr(error, "problem", None) or str(error)
        # A password may begin with `*`, `&` or `!`; PyYAML without libyaml would quote it.
        return Unparseable(mark.line + 1, re.sub(r"(alias|anchor|handle) .*", r"\1", problem))
    position = getattr(error, "position", 0)
    return Unparseable(text.count("\n", 0, position) + 1, getattr(error, "reason", str(error)))


_Pairs = dict[str, tuple[yaml.Node, yaml.Node]]  # by key: the nodes of the key and its value


@dataclass(slots=True)
class _Reading:
    """The reading of one document: lines and faults are collected on the way."""

    loader: _Loader
    lines: dict[str, int] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    _pairs: dict[int, _Pairs | None] = field(default_factory=dict)
    _seen: set[int] = field(default_factory=set)
    _repetitions: int = 0

    def document(self, node: yaml.Node) -> Document:
        value = self._value(node, ())
        return Document(
            value=value,
            line=_line(node),
            lines=self.lines,
            faults=tuple(self.faults),
        )

    def _value(self, node: yaml.Node, loc: Loc) -> object:
        self._bound(node, loc)
        match node:
            case yaml.MappingNode(tag=tag) if tag == _MAP:
                return self._mapping(node, loc)
            case yaml.SequenceNode(tag=tag) if tag == _SEQUENCE:
                return [self._entry(item, (*loc, n)) for n, item in enumerate(node.value)]
            case yaml.ScalarNode(tag=tag) if tag in _SCALARS:
                return self._scalar(node, loc)
            case _:
                self._broken(node, loc, "has a tag that Kubernetes does not know", node.tag)
                return node.value if isinstance(node, yaml.ScalarNode) else None

    def _bound(self, node: yaml.Node, loc: Loc) -> None:
        """End what aliases blow up, and what a recursive one would never end."""
        self._repetitions += id(node) in self._seen
        self._seen.add(id(node))
        if (
            len(loc) > DEEPEST
            or len(self.lines) > MOST_FIELDS
            or self._repetitions > MOST_REPETITIONS
        ):
            raise Unparseable(_line(node), _NESTED)

    def _scalar(self, node: yaml.ScalarNode, loc: Loc) -> object:
        """Make what the tag says; a text, and a fault, where the value is none of that."""
        try:
            value = self.loader.construct_object(node)
            if isinstance(value, float) and not isfinite(value):
                raise ValueError
        except (ValueError, LookupError, yaml.YAMLError):
            # PyYAML's constructors trust its resolvers: `!!int foo`, `!!bool maybe`, and numbers
            # of more digits than Python converts end in errors of Python's. JSON has no infinity.
            self._broken(node, loc, f"is not {_SCALARS[node.tag]}", f"{node.value:.40}")
            return node.value
        return value

    def _broken(self, node: yaml.Node, loc: Loc, message: str, seen: str) -> None:
        said = message if SECRET_FIELD in loc else f"{message}: {seen}"
        self.faults.append(Fault(spell(loc), _line(node), said, broken=True))

    def _entry(self, node: yaml.Node, loc: Loc) -> object:
        self.lines[spell(loc)] = _line(node)
        return self._value(node, loc)

    def _mapping(self, node: yaml.MappingNode, loc: Loc) -> dict[str, object]:
        self._find_repeated(node, loc)
        mapping: dict[str, object] = {}
        for key, (key_node, value_node) in self._merged(node).items():
            self.lines[spell((*loc, key))] = _line(key_node)
            mapping[key] = self._value(value_node, (*loc, key))
        return mapping

    def _merged(self, node: yaml.MappingNode) -> _Pairs:
        """Return a mapping's pairs with those that `<<` merges into it, which its own hide.

        Each mapping is merged once, and a key is in it once: whatever is merged into what, the
        result is no larger than the keys that are written. (PyYAML copies all of them each time.)
        """
        if id(node) not in self._pairs:
            self._pairs[id(node)] = None  # under way
            own = {_key(key): (key, value) for key, value in node.value if key.tag != _MERGE}
            merged: _Pairs = {}
            for key, value in node.value:
                for source in _sources(value) if key.tag == _MERGE else ():
                    merged = self._merged(source) | merged
            self._pairs[id(node)] = merged | own
        pairs = self._pairs[id(node)]
        if pairs is None:
            raise Unparseable(_line(node), "a mapping is merged into itself")
        return pairs

    def _find_repeated(self, node: yaml.MappingNode, loc: Loc) -> None:
        seen: set[str] = set()
        for key_node, _ in node.value:
            key = _key(key_node)
            if key in seen and key_node.tag != _MERGE:
                fault = "is there twice in the same mapping"
                self.faults.append(Fault(spell((*loc, key)), _line(key_node), fault))
            seen.add(key)


def _sources(node: yaml.Node) -> Iterator[yaml.MappingNode]:
    """Give the mappings that `<<` merges, the first of which counts most."""
    for source in node.value if isinstance(node, yaml.SequenceNode) else [node]:
        if not isinstance(source, yaml.MappingNode):
            raise Unparseable(_line(source), "only mappings can be merged by <<")
        yield source


def _key(node: yaml.Node) -> str:
    if not isinstance(node, yaml.ScalarNode):
        raise Unparseable(_line(node), "a key must be text")
    return str(node.value)


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1
