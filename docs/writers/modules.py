"""The page of all modules, from the first sentences of the modules themselves."""

import ast
from collections.abc import Iterator
from pathlib import Path

import vpplb

PACKAGE = Path(vpplb.__file__).parent
INTRODUCTION = """\
# Every module

<!-- Generated from the modules in vpplb: edit their first lines, then run `make docs`. -->

What each module is for, in its own first sentence. How they fit together, and where a change
belongs, is in [architecture](architecture.md).
"""


def render_page() -> str:
    """Return docs/modules.md."""
    packages = sorted(path.parent for path in PACKAGE.glob("*/**/__init__.py"))
    return "\n".join([INTRODUCTION, *(line for one in packages for line in _describe(one))])


def _describe(package: Path) -> Iterator[str]:
    """Yield the part of one package: what it is, and a table of its modules."""
    yield f"## {_name_module(package)}\n"
    yield f"{_read_summary(package / '__init__.py')}\n"
    yield "| module | |"
    yield "| --- | --- |"
    for path in sorted(package.glob("*.py")):
        if path.stem != "__init__":
            said = _read_summary(path).replace("|", "\\|")
            yield f"| `{_name_module(path.with_suffix(''))}` | {said} |"
    yield ""


def _name_module(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE).parts)


def _read_summary(path: Path) -> str:
    """Return the first paragraph of a module's docstring, in one line."""
    said = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return " ".join(said.split("\n\n")[0].split())
