"""A class name means one thing in the whole product; most names say more than one word."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "operator" / "vpplb"

FUNCTIONS, CLASSES = (ast.FunctionDef, ast.AsyncFunctionDef), (ast.ClassDef,)
Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def _definitions() -> Iterator[tuple[str, Definition]]:
    """Yield what the product defines, with its module, but for Python's own `__names__`."""
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, Definition) and not node.name.startswith("__"):
                yield str(path.relative_to(PACKAGE)), node


def _words(name: str) -> int:
    return len(re.findall(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z0-9]+|[A-Z]+", name))


@pytest.mark.parametrize(("kinds", "share"), [(FUNCTIONS, 0.35), (CLASSES, 0.15)])
def test_most_names_say_more_than_one_word(kinds: tuple[type[ast.AST], ...], share: float) -> None:
    names = [node.name for _, node in _definitions() if isinstance(node, kinds)]
    assert sum(_words(name) == 1 for name in names) / len(names) <= share


def test_a_class_name_means_one_thing() -> None:
    places = defaultdict[str, list[str]](list)
    for module, node in _definitions():
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            places[node.name].append(module)  # what begins with _ is its module's own affair
    shared = {name: modules for name, modules in places.items() if len(modules) > 1}
    assert shared == {}
