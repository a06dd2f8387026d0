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
from vpplb.resources.messages import SECRET_FIELD, spell_path

DEEPEST = 64
"""Levels that may be nested. Kubernetes has no object of so many, and composing is recursive."""
MOST_FIELDS = 1_000_000
MOST_REPETITIONS = 100_000
"""Fields that aliases may bring again: a few lines of them could stand for billions."""


class UnparseableYaml(Exception):
    """The text is not YAML that can be read, from `line` on (1 is the first)."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line
        self.message = message


class YamlFault(NamedTuple):
    """What is wrong with a field as YAML, before anybody asks what it means.

    `broken`: its value is not what its tag says (`!!int foo`); a text stands in its place.
    """

    field: str
    line: int
    message: str
    broken: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class YamlDocument:
    """One document: its value, its first line, the line of each field, and what is wrong."""

    value: object = field(repr=False)
    line: int
    lines: Mapping[str, int]
    faults: tuple[YamlFault, ...] = ()

    def line_of(self, field_path: str) -> int:
        """Return the line of a field (`spec.pools[0].name`), or of the nearest that is there."""
        while field_path and field_path not in self.lines:
            field_path = _LAST_PART.sub("", field_path, count=1)
        return self.lines.get(field_path, self.line)

    def list_items(self) -> "list[YamlDocument]":
        """Return the entries of the document's `items`, each as a document of its own."""
        items = self.value.get("items") if isinstance(self.value, Mapping) else None
        if not isinstance(items, list):
            return []
        lines: list[dict[str, int]] = [{} for _ in items]
        faults: list[list[YamlFault]] = [[] for _ in items]
        for path, line in self.lines.items():
            if entry := _ENTRY.fullmatch(path):
                lines[int(entry[1])][entry[2] or ""] = line
        for fault in self.faults:
            if entry := _ENTRY.fullmatch(fault.field):
                faults[int(entry[1])].append(fault._replace(field=entry[2] or ""))
        return [
            YamlDocument(
                value=value,
                line=lines[n].pop("", self.line),
                lines=lines[n],
                faults=tuple(faults[n]),
            )
            for n, value in enumerate(items)
        ]


_ENTRY = re.compile(r"items\[(\d+)\](?:\.(.*))?", re.DOTALL)
_LAST_PART = re.compile(r'(\.[^.\[\]]*|\[("[^"]*"|\d+)\]|^[^.\[\]]*)$')


class _YamlLoader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # one of two
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


def _add_resolver(tag: str, pattern: str, first: str) -> None:
    _YamlLoader.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", re.compile(pattern), list(first))


_add_resolver("null", "^(~|null|Null|NULL|)$", "~nN")
_YamlLoader.add_implicit_resolver("tag:yaml.org,2002:null", re.compile("^$"), [""])
_add_resolver("merge", "^<<$", "<")
_add_resolver(
    "bool",
    "^(yes|Yes|YES|no|No|NO|true|True|TRUE|false|False|FALSE|on|On|ON|off|Off|OFF)$",
    "yYnNtTfFoO",
)
_add_resolver(
    "int",
    "^[-+]?(0b[01_]*[01][01_]*|0[0-7_]+|0|[1-9][0-9_]*|0x[0-9a-fA-F_]*[0-9a-fA-F][0-9a-fA-F_]*)$",
    "-+0123456789",
)
_add_resolver(
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


def parse_documents(text: str) -> Iterator[YamlDocument]:
    """Read the documents of a text one by one; Unparseable at the first that cannot be read."""
    loader = _YamlLoader(text)
    try:
        while loader.check_node():
            node = loader.get_node()
            yield _DocumentReader(loader).read_document(node)
    except yaml.YAMLError as error:
        raise _translate_error(error, text) from error
    except RecursionError as error:
        raise UnparseableYaml(1, _NESTED) from error
    finally:
        loader.dispose()


def _translate_error(error: yaml.YAMLError, text: str) -> UnparseableYaml:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    if mark is not None:
        problem = getattr(error, "problem", None) or str(error)
        # A password may begin with `*`, `&` or `!`; PyYAML without libyaml would quote it.
        return UnparseableYaml(mark.line + 1, re.sub(r"(alias|anchor|handle) .*", r"\1", problem))
    position = getattr(error, "position", 0)
    return UnparseableYaml(text.count("\n", 0, position) + 1, getattr(error, "reason", str(error)))


_Pairs = dict[str, tuple[yaml.Node, yaml.Node]]  # by key: the nodes of the key and its value


@dataclass(slots=True)
class _DocumentReader:
    """The reading of one document: lines and faults are collected on the way."""

    loader: _YamlLoader
    lines: dict[str, int] = field(default_factory=dict)
    faults: list[YamlFault] = field(default_factory=list)
    _pairs: dict[int, _Pairs | None] = field(default_factory=dict)
    _seen: set[int] = field(default_factory=set)
    _repetitions: int = 0

    def read_document(self, node: yaml.Node) -> YamlDocument:
        value = self._read_value(node, ())
        return YamlDocument(
            value=value,
            line=_line_of(node),
            lines=self.lines,
            faults=tuple(self.faults),
        )

    def _read_value(self, node: yaml.Node, loc: Loc) -> object:
        self._check_bounds(node, loc)
        match node:
            case yaml.MappingNode(tag=tag) if tag == _MAP:
                return self._read_mapping(node, loc)
            case yaml.SequenceNode(tag=tag) if tag == _SEQUENCE:
                return [self._read_entry(item, (*loc, n)) for n, item in enumerate(node.value)]
            case yaml.ScalarNode(tag=tag) if tag in _SCALARS:
                return self._read_scalar(node, loc)
            case _:
                self._add_fault(node, loc, "has a tag that Kubernetes does not know", node.tag)
                return node.value if isinstance(node, yaml.ScalarNode) else None

    def _check_bounds(self, node: yaml.Node, loc: Loc) -> None:
        """End what aliases blow up, and what a recursive one would never end."""
        self._repetitions += id(node) in self._seen
        self._seen.add(id(node))
        if (
            len(loc) > DEEPEST
            or len(self.lines) > MOST_FIELDS
            or self._repetitions > MOST_REPETITIONS
        ):
            raise UnparseableYaml(_line_of(node), _NESTED)

    def _read_scalar(self, node: yaml.ScalarNode, loc: Loc) -> object:
        """Make what the tag says; a text, and a fault, where the value is none of that."""
        try:
            value = self.loader.construct_object(node)
            if isinstance(value, float) and not isfinite(value):
                raise ValueError
        except (ValueError, LookupError, yaml.YAMLError):
            # PyYAML's constructors trust its resolvers: `!!int foo`, `!!bool maybe`, and numbers
            # of more digits than Python converts end in errors of Python's. JSON has no infinity.
            self._add_fault(node, loc, f"is not {_SCALARS[node.tag]}", f"{node.value:.40}")
            return node.value
        return value

    def _add_fault(self, node: yaml.Node, loc: Loc, message: str, seen: str) -> None:
        said = message if SECRET_FIELD in loc else f"{message}: {seen}"
        self.faults.append(YamlFault(spell_path(loc), _line_of(node), said, broken=True))

    def _read_entry(self, node: yaml.Node, loc: Loc) -> object:
        self.lines[spell_path(loc)] = _line_of(node)
        return self._read_value(node, loc)

    def _read_mapping(self, node: yaml.MappingNode, loc: Loc) -> dict[str, object]:
        self._find_repeated(node, loc)
        mapping: dict[str, object] = {}
        for key, (key_node, value_node) in self._merge_pairs(node).items():
            self.lines[spell_path((*loc, key))] = _line_of(key_node)
            mapping[key] = self._read_value(value_node, (*loc, key))
        return mapping

    def _merge_pairs(self, node: yaml.MappingNode) -> _Pairs:
        """Return a mapping's pairs with those that `<<` merges into it, which its own hide.

        Each mapping is merged once, and a key is in it once: whatever is merged into what, the
        result is no larger than the keys that are written. (PyYAML copies all of them each time.)
        """
        if id(node) not in self._pairs:
            self._pairs[id(node)] = None  # under way
            own = {_key_text(key): (key, value) for key, value in node.value if key.tag != _MERGE}
            merged: _Pairs = {}
            for key, value in node.value:
                for source in _merge_sources(value) if key.tag == _MERGE else ():
                    merged = self._merge_pairs(source) | merged
            self._pairs[id(node)] = merged | own
        pairs = self._pairs[id(node)]
        if pairs is None:
            raise UnparseableYaml(_line_of(node), "a mapping is merged into itself")
        return pairs

    def _find_repeated(self, node: yaml.MappingNode, loc: Loc) -> None:
        seen: set[str] = set()
        for key_node, _ in node.value:
            key = _key_text(key_node)
            if key in seen and key_node.tag != _MERGE:
                fault = "is there twice in the same mapping"
                self.faults.append(YamlFault(spell_path((*loc, key)), _line_of(key_node), fault))
            seen.add(key)


def _merge_sources(node: yaml.Node) -> Iterator[yaml.MappingNode]:
    """Give the mappings that `<<` merges, the first of which counts most."""
    for source in node.value if isinstance(node, yaml.SequenceNode) else [node]:
        if not isinstance(source, yaml.MappingNode):
            raise UnparseableYaml(_line_of(source), "only mappings can be merged by <<")
        yield source


def _key_text(node: yaml.Node) -> str:
    if not isinstance(node, yaml.ScalarNode):
        raise UnparseableYaml(_line_of(node), "a key must be text")
    return str(node.value)


def _line_of(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1
