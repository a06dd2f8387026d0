"""The text of a haproxy.cfg: sections of lines, lines of words (configuration manual, 2.2)."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from vpplb.migration.drafts import UnparseableConfig

SECTIONS = frozenset(
    [
        "acme",
        "backend",
        "cache",
        "crt-store",
        "defaults",
        "fcgi-app",
        "frontend",
        "global",
        "http-errors",
        "listen",
        "log-forward",
        "log-profile",
        "mailers",
        "peers",
        "program",
        "resolvers",
        "ring",
        "traces",
        "userlist",
    ]
)
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t"}
_WORD = re.compile(
    r"""[ \t]+ | (?P<comment>\#) | (?P<quote>["']) | \\(?P<escaped>.) | (?P<plain>[^ \t\#"'\\]+)
      | (?P<end>\\)""",
    re.VERBOSE,
)


class ConfigLine(NamedTuple):
    """The words of a line, the first of which is its keyword."""

    number: int
    words: tuple[str, ...]

    @property
    def text(self) -> str:
        """The line as words, short enough for a message."""
        text = " ".join(self.words)
        return text if len(text) <= 60 else f"{text[:59]}…"


@dataclass(slots=True, kw_only=True)
class ConfigSection:
    """A section: `kind` is its keyword, `words` what follows that, `lines` what is in it."""

    kind: str
    words: tuple[str, ...]
    line: int
    lines: list[ConfigLine] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.words[0] if self.words else ""


def parse_sections(text: str) -> list[ConfigSection]:
    """Read a configuration; UnparseableConfig where a quote has no end, or no section began."""
    sections: list[ConfigSection] = []
    for line in _iter_lines(text):
        keyword = line.words[0]
        if keyword in SECTIONS:
            sections.append(ConfigSection(kind=keyword, words=line.words[1:], line=line.number))
        elif sections:
            sections[-1].lines.append(line)
        elif keyword.startswith("."):  # a condition may stand before all sections
            sections.append(ConfigSection(kind="global", words=(), line=line.number, lines=[line]))
        else:
            raise UnparseableConfig(line.number, f"{keyword:.40} stands in no section")
    return sections


def _iter_lines(text: str) -> Iterator[ConfigLine]:
    for number, line in enumerate(text.split("\n"), 1):
        if words := split_words(line.rstrip("\r"), number):
            yield ConfigLine(number, words)


def split_words(line: str, number: int) -> tuple[str, ...]:
    r"""Split a line at blanks: `"a b"`, `'a b'` and `a\ b` are one word; `#` begins a comment."""
    words: list[str] = []
    word: str | None = None
    place = 0
    while place < len(line):
        found = _WORD.match(line, place)
        assert found is not None, line  # the pattern takes any character
        place = found.end()
        match found.lastgroup:
            case "comment":
                break
            case "quote":
                quoted, place = _read_quoted(line, place, found["quote"], number)
                word = (word or "") + quoted
            case "escaped":
                word = (word or "") + _ESCAPES.get(found["escaped"], found["escaped"])
            case "plain":
                word = (word or "") + found["plain"]
            case "end":
                raise UnparseableConfig(number, "the line ends within an escape")
            case _:
                if word is not None:
                    words.append(word)
                word = None
    return (*words, word) if word is not None else tuple(words)


def _read_quoted(line: str, start: int, quote: str, number: int) -> tuple[str, int]:
    """Return what stands in quotes from `start` on, and where the line goes on behind them."""
    said: list[str] = []
    place = start
    while place < len(line):
        letter = line[place]
        place += 1
        if letter == quote:
            return "".join(said), place
        if letter == "\\" and quote == '"' and place < len(line):
            letter = _ESCAPES.get(line[place], line[place])
            place += 1
        said.append(letter)
    raise UnparseableConfig(number, f"the quote {quote} has no end")
