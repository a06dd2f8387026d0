"""The documentation as data: its pages, and in each the blocks and spans of code, with their lines.

How a block is told what it is, by the first word behind its fence:

- `console`: commands behind `$ `, each followed by what it prints;
- `sh`: commands alone, one a line. A second word names what they need that tests of pages have
  not, which others have (`ELSEWHERE`), or that no test runs them (`unrun`);
- `yaml`, `json`, `python`: a file. A first line `# name.yaml` names it for what follows. Behind
  `yaml` stands who reads it (`READERS`) where it is neither named nor a manifest of ours.
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).parents[2]
PAGES = (
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "SECURITY.md",
    ROOT / "CHANGELOG.md",
    *sorted((ROOT / "charts").rglob("README.md")),
    *sorted(page for page in (ROOT / "docs").rglob("*.md") if page.parent.name != "decisions"),
)
COMMANDS = ("console", "sh")
LOCAL = ("docs/migration.md", "docs/simulator.md", "docs/start-simulator.md")
FOLLOWED = ("README.md", "docs/start-kind.md", "docs/start-router.md", *LOCAL)
"""Pages whose commands `tests/integration/test_pages.py` types; the local ones need no cluster."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeBlock:
    """A fenced block: the words behind its fence, its text, and the line of its fence."""

    page: Path
    line: int
    info: tuple[str, ...]
    text: str

    @property
    def language(self) -> str:
        return self.info[0] if self.info else ""

    @property
    def needs(self) -> str:
        """What its commands need that not every test has; empty: nothing."""
        return self.info[1] if self.language in COMMANDS and len(self.info) > 1 else ""

    @property
    def reader(self) -> str:
        """Who reads a file of YAML that is neither named nor a manifest of ours; else empty."""
        return self.info[1] if self.language == "yaml" and len(self.info) > 1 else ""

    @property
    def file_name(self) -> str:
        """The name that its first line gives it, empty where it gives none."""
        found = re.match(r"# ([\w.-]+\.(?:yaml|cfg|conf|json))\n", self.text)
        return found[1] if found else ""

    def list_steps(self) -> "list[CommandStep]":
        """Return its commands, each with the lines that it prints."""
        if self.language == "sh":
            lines = _join_continued(self.text.splitlines())
            return [
                CommandStep(command=line, output=())
                for line in lines
                if line.strip() and not line.startswith("#")
            ]
        return list(_read_console(self.text))

    def __str__(self) -> str:
        return f"{os.path.relpath(self.page, ROOT)}:{self.line}"


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandStep:
    """A command, and the lines that a page says it prints."""

    command: str
    output: tuple[str, ...]


@cache
def list_blocks(page: Path) -> list[CodeBlock]:
    """Return the fenced blocks of a page, in their order."""
    return [
        CodeBlock(
            page=page,
            line=token.map[0] + 1 if token.map else 0,
            info=tuple(token.info.split()),
            text=token.content,
        )
        for token in _parse_page(page)
        if token.type == "fence"
    ]


@cache
def list_samples(page: str) -> list[str]:
    """Return the blocks of `text` of a page: what programs say, which their tests compare."""
    return [block.text for block in list_blocks(ROOT / page) if block.language == "text"]


@cache
def list_spans(page: Path) -> list[str]:
    """Return the texts that a page has in backticks, within prose and tables."""
    return [
        " ".join(child.content.split())
        for token in _parse_page(page)
        for child in token.children or ()
        if child.type == "code_inline"
    ]


@cache
def _parse_page(page: Path) -> list[Token]:
    return MarkdownIt().enable("table").parse(page.read_text())


def _read_console(text: str) -> Iterator[CommandStep]:
    command: list[str] = []
    output: list[str] = []
    for line in text.splitlines():
        if line.startswith("$ "):
            if command:
                yield CommandStep(command="\n".join(command), output=tuple(output))
            command, output = [line.removeprefix("$ ")], []
        elif command and command[-1].endswith("\\") and not output:
            command.append(line)
        else:
            output.append(line)
    if command:
        yield CommandStep(command="\n".join(command), output=tuple(output))


def _join_continued(lines: list[str]) -> list[str]:
    """Join lines that are one command: continued by `\\`, or a text up to a word (`<<WORD`)."""
    joined: list[str] = []
    until = ""
    for line in lines:
        if until or (joined and joined[-1].endswith("\\")):
            joined[-1] += f"\n{line}"
        else:
            joined.append(line)
        begun = re.search(r"<<'?(\w+)", line)
        until = begun[1] if begun else "" if line == until else until
    return joined
