"""The text of a keepalived.conf: statements of words, some with a block of statements.

Definitions (`$NAME=value`) are put in where they are used; what is only for some hosts (`@id`),
sequences (`~SEQ`), lists (`~LST`) and included files are not looked at, and are faults.
"""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field

from vpplb.migration.drafts import UnparseableConfig

DEEPEST = 16
"""Blocks within each other; keepalived has four."""
_DEFINITION = re.compile(r"\s*\$([A-Za-z_][A-Za-z0-9_]*)=(.*)")
_USE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}|\$([A-Za-z_][A-Za-z0-9_]*)(?=\s|$)")
_MOST_EXPANSIONS = 16
_LONGEST = 4096
_UNREAD = {
    "@": "a line for some hosts only is not looked at",
    "~": "sequences and lists are not written out",
    "include": "included files are not read: give each to this command",
}


@dataclass(slots=True, kw_only=True)
class ConfigStatement:
    """A keyword with its words, and the statements of its block."""

    words: tuple[str, ...]
    line: int
    block: list["ConfigStatement"] = field(default_factory=list)

    @property
    def keyword(self) -> str:
        return self.words[0]

    @property
    def text(self) -> str:
        return " ".join(self.words)[:60]

    def argument(self, position: int = 1) -> str:
        return self.words[position] if len(self.words) > position else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnreadLine:
    """A line that is not looked at, and why."""

    line: int
    text: str
    why: str


@dataclass(slots=True)
class _BlockReader:
    """The reading of one text."""

    root: ConfigStatement
    unread: list[UnreadLine] = field(default_factory=list)
    _open: list[ConfigStatement] = field(default_factory=list)
    _definitions: dict[str, str] = field(default_factory=dict)

    def read_line(self, number: int, line: str) -> None:
        if found := _DEFINITION.fullmatch(line):
            self._definitions[found[1]] = found[2]
            if found[2].endswith("\\"):
                why = "a definition of several lines is not put in"
                self.unread.append(UnreadLine(line=number, text=line.strip()[:60], why=why))
            return
        plain = line.strip()
        for start, why in _UNREAD.items():
            if plain.split(maxsplit=1)[:1] == [start] or (len(start) == 1 and plain[:1] == start):
                self.unread.append(UnreadLine(line=number, text=plain[:60], why=why))
                return
        self._read_words(number, _split_words(number, self._expand(line)))

    def _expand(self, line: str) -> str:
        for _ in range(_MOST_EXPANSIONS):
            expanded = _USE.sub(self._put_in, line)
            if expanded == line or len(expanded) > _LONGEST:
                break
            line = expanded
        return line

    def _put_in(self, use: re.Match[str]) -> str:
        return self._definitions.get(use[1] or use[2], use[0])

    def _read_words(self, number: int, words: list[str]) -> None:
        statement: list[str] = []
        for word in words:
            if word not in ("{", "}"):
                statement.append(word)
                continue
            self._add_statement(number, statement)
            statement = []
            if word == "{":
                self._open_block(number)
            elif len(self._open) == 1:
                raise UnparseableConfig(number, "} closes no block")
            else:
                self._open.pop()
        self._add_statement(number, statement)

    def _add_statement(self, number: int, words: list[str]) -> None:
        if words:
            self._open[-1].block.append(ConfigStatement(words=tuple(words), line=number))

    def _open_block(self, number: int) -> None:
        """Open the block of the statement before, which may stand on an earlier line."""
        if not self._open[-1].block:
            raise UnparseableConfig(number, "{ opens a block of nothing")
        if len(self._open) > DEEPEST:
            raise UnparseableConfig(number, "too deeply nested")
        self._open.append(self._open[-1].block[-1])

    def start(self) -> None:
        self._open = [self.root]

    @property
    def unclosed(self) -> int:
        """The line of the block that is still open, 0 where there is none."""
        return self._open[-1].line if len(self._open) > 1 else 0


def parse_blocks(text: str) -> tuple[list[ConfigStatement], list[UnreadLine]]:
    """Read a configuration; UnparseableConfig where blocks or quotes do not end."""
    reader = _BlockReader(ConfigStatement(words=("",), line=0))
    reader.start()
    for number, line in enumerate(text.split("\n"), 1):
        reader.read_line(number, line.rstrip("\r"))
    if reader.unclosed:
        raise UnparseableConfig(reader.unclosed, "the block that begins here does not end")
    return reader.root.block, reader.unread


def _split_words(number: int, line: str) -> list[str]:
    """Split at blanks; `"a b"` is one word, `#` and `!` begin a comment."""
    splitter = shlex.shlex(line, posix=True, punctuation_chars="")
    splitter.whitespace_split, splitter.commenters, splitter.quotes = True, "#!", '"'
    splitter.escape = ""
    try:
        return list(splitter)
    except ValueError as error:
        raise UnparseableConfig(number, f"cannot be split into words: {error}") from error


def iter_statements(statements: list[ConfigStatement], *keywords: str) -> Iterator[ConfigStatement]:
    """Give those statements that have one of these keywords."""
    return (one for one in statements if one.keyword in keywords)
