"""The product's own source, parsed and walked once a process for all tests that look at it."""

import ast
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "operator" / "vpplb"


@cache
def product_trees() -> dict[Path, ast.Module]:
    """Return the syntax trees of all modules, in order of their paths."""
    return {path: ast.parse(path.read_text()) for path in sorted(PACKAGE.rglob("*.py"))}


@cache
def product_nodes() -> list[tuple[Path, ast.AST]]:
    """Return each node of each module, with its module."""
    return [(path, node) for path, tree in product_trees().items() for node in ast.walk(tree)]
