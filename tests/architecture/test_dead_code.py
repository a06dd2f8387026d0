"""Whatever the product defines has a user in the product: what tests alone call is not needed."""

import ast
import re
from collections.abc import Iterable, Iterator
from importlib import import_module
from pathlib import Path

from data.product_code import product_nodes, product_trees

ROOT = Path(__file__).parents[2]
PRODUCT = ROOT / "operator"
USERS = (ROOT / "docs" / "writers", ROOT / "charts", ROOT / "hatch_build.py")

CALLED_BY_OTHERS = {
    "do_GET": "`http.server` finds it by the method of a request",
    "struct_form": "what the contract suite compares with VPP's own definitions",
}


def _files(place: Path) -> Iterator[Path]:
    yield from sorted(place.rglob("*.py")) if place.is_dir() else [place]


def _used_names(nodes: Iterable[ast.AST]) -> Iterator[str]:
    for node in nodes:
        match node:
            case ast.Name(id=name, ctx=ast.Load()) | ast.Attribute(attr=name):
                yield name
            case ast.Constant(value=str(text)) if text.isidentifier():
                yield text  # such as for getattr


def _definitions(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Yield functions and classes with the class that they are in, but those that register.

    A decorator with arguments (`@click.command(…)`, `@model_validator(…)`) hands a function to
    somebody who calls it.
    """
    owners: dict[ast.AST, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            owners |= dict.fromkeys(node.body, node.name)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and not (
            re.fullmatch("__.*__", node.name)
            or any(isinstance(one, ast.Call) for one in node.decorator_list)
        ):
            yield node.name, owners.get(node, "")


def _is_of_a_base(module: Path, owner: str, name: str) -> bool:
    """Whether a method overrides one of a base, which calls it."""
    dotted = ".".join(module.relative_to(PRODUCT).with_suffix("").parts)
    bases = getattr(import_module(dotted), owner).__mro__[1:] if owner else ()
    return any(name in vars(base) for base in bases)


def test_whatever_is_defined_is_used_beyond_tests() -> None:
    others = [ast.parse(path.read_text()) for place in USERS for path in _files(place)]
    used = {name for tree in others for name in _used_names(ast.walk(tree))}
    used |= set(_used_names(node for _, node in product_nodes()))
    unused = {
        name: str(path.relative_to(PRODUCT))
        for path, tree in product_trees().items()
        for name, owner in _definitions(tree)
        if name not in used and not _is_of_a_base(path, owner, name)
    }
    assert unused.keys() == CALLED_BY_OTHERS.keys(), unused
