"""Whatever the product defines has a user in the product: what tests alone call is not needed."""

import ast
import re
from collections.abc import Iterable, Iterator
from importlib import import_module
from pathlib import Path

from data.product_code import product_definitions, product_nodes

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


def _definitions() -> Iterator[tuple[Path, str, str]]:
    """Yield functions and classes: the module, the class that they are in, and the name.

    Those that register are left out: a decorator with arguments (`@click.command(…)`,
    `@model_validator(…)`) hands a function to somebody who calls it.
    """
    classes = product_nodes(ast.ClassDef)
    owners = {child: node.name for _, node in classes for child in node.body}
    for path, node in product_definitions():
        if not re.fullmatch("__.*__", node.name) and not any(
            isinstance(one, ast.Call) for one in node.decorator_list
        ):
            yield path, owners.get(node, ""), node.name


def _is_of_a_base(module: Path, owner: str, name: str) -> bool:
    """Whether a method overrides one of a base, which calls it."""
    dotted = ".".join(module.relative_to(PRODUCT).with_suffix("").parts)
    bases = getattr(import_module(dotted), owner).__mro__[1:] if owner else ()
    return any(name in vars(base) for base in bases)


def test_whatever_is_defined_is_used_beyond_tests() -> None:
    others = [ast.parse(path.read_text()) for place in USERS for path in _files(place)]
    used = {name for tree in others for name in _used_names(ast.walk(tree))}
    read = product_nodes(ast.Name, ast.Attribute, ast.Constant)
    used |= set(_used_names(node for _, node in read))
    unused = {
        name: str(path.relative_to(PRODUCT))
        for path, owner, name in _definitions()
        if name not in used and not _is_of_a_base(path, owner, name)
    }
    assert unused.keys() == CALLED_BY_OTHERS.keys(), unused
