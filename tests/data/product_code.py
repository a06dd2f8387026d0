"""The product's own source, parsed and walked once a process for all tests that look at it."""

import ast
import gc
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TypeVar, cast

PACKAGE = Path(__file__).parents[2] / "operator" / "vpplb"

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
Node = TypeVar("Node", bound=ast.AST)


@cache
def product_trees() -> dict[Path, ast.Module]:
    """Return the syntax trees of all modules, in order of their paths.

    They are most of all objects in the process, and stay: no search for garbage looks at them.
    """
    gc.collect()
    gc.disable()
    trees = {path: ast.parse(path.read_text()) for path in sorted(PACKAGE.rglob("*.py"))}
    gc.freeze()
    gc.enable()
    return trees


@cache
def _nodes_by_kind() -> Mapping[type[ast.AST], Sequence[tuple[Path, ast.AST]]]:
    found = defaultdict[type[ast.AST], list[tuple[Path, ast.AST]]](list)
    for path, tree in product_trees().items():
        for node in ast.walk(tree):
            found[type(node)].append((path, node))
    return found


def product_nodes(*kinds: type[Node]) -> Sequence[tuple[Path, Node]]:
    """Return the nodes of these kinds with their modules, kind by kind in order of the paths."""
    nodes = [one for kind in kinds for one in _nodes_by_kind().get(kind, ())]
    return cast(Sequence[tuple[Path, Node]], nodes)


def product_definitions() -> Iterator[tuple[Path, Definition]]:
    """Yield the functions and classes with their modules."""
    yield from product_nodes(ast.FunctionDef)
    yield from product_nodes(ast.AsyncFunctionDef)
    yield from product_nodes(ast.ClassDef)
