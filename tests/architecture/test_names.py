"""A name means one thing in the whole product, and says what it means in the words of the field."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from data.product_code import (
    PACKAGE,
    Definition,
    product_definitions,
    product_nodes,
    product_trees,
)

FUNCTIONS, CLASSES = (ast.FunctionDef, ast.AsyncFunctionDef), (ast.ClassDef,)

GONE = re.compile(
    "alone|announcer|ballot|blamed?|board|calm|caveats?|dangling|doubts?|excuse|foregone|gate"
    "|happened|intake|keeper|lanes?|muster|newflows|permit|recipe|rehearsal|say|sentry|shelf"
    "|stalls?|standing|taskset|vipbook|vitals|wish"
)
"""Words of our own that once were in names, for which the field has its own or plain English has
better: `alone` is now disconnected or without the API server, `doubt` a gap or a suspicion, …"""
GONE_AS_NAMES = re.compile("claim|console|echo|known|memory|meter|move|progress|pull|row|wrong")
"""Words that mean something beside another one (`packet_meter`, `VipRow`), but not alone."""


def _definitions() -> Iterator[tuple[str, Definition]]:
    """Yield what the product defines, with its module, but for Python's own `__names__`."""
    for path, node in product_definitions():
        if not node.name.startswith("__"):
            yield _name_module(path), node


def _names() -> Iterator[tuple[str, str]]:
    """Yield all that is named beyond one function, with the module: the module itself as well."""
    others = product_nodes(ast.Attribute, ast.Module)
    for path, node in (*product_definitions(), *others):
        module = _name_module(path)
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                yield module, node.name
            case ast.Attribute(ctx=ast.Store()):
                yield module, node.attr
            case ast.Module():
                yield from ((module, part) for part in Path(module).with_suffix("").parts)
        if isinstance(node, ast.Module | ast.ClassDef):
            yield from ((module, name) for name in _assigned_names(node.body))


@cache
def _name_module(path: Path) -> str:
    return str(path.relative_to(PACKAGE))


def _assigned_names(body: list[ast.stmt]) -> Iterator[str]:
    for statement in body:
        if isinstance(statement, ast.Assign | ast.AnnAssign):
            yield from (
                node.id
                for node in ast.walk(statement)
                if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
            )


@cache
def _split_words(name: str) -> list[str]:
    return re.findall(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z0-9]+|[A-Z]+", name)


@pytest.mark.parametrize(("kinds", "share"), [(FUNCTIONS, 0.35), (CLASSES, 0.15)])
def test_most_names_say_more_than_one_word(kinds: tuple[type[ast.AST], ...], share: float) -> None:
    names = [node.name for _, node in _definitions() if isinstance(node, kinds)]
    assert sum(len(_split_words(name)) == 1 for name in names) / len(names) <= share


def test_a_name_of_a_class_or_of_a_type_means_one_thing() -> None:
    places = defaultdict[str, set[str]](set)
    for module, node in _definitions():
        if isinstance(node, ast.ClassDef):
            places[node.name].add(module)
    for path, tree in product_trees().items():
        for name in _assigned_names(tree.body):
            if re.fullmatch(r"_?[A-Z][a-z]+([A-Z][a-z0-9]+)*", name):
                places[name].add(_name_module(path))
    shared = {name: modules for name, modules in places.items() if len(modules) > 1}
    assert shared == {}


def test_words_that_are_gone_from_names_stay_away() -> None:
    found = set()
    for module, name in _names():
        words = [word.lower() for word in _split_words(name)]
        if any(map(GONE.fullmatch, words)) or GONE_AS_NAMES.fullmatch("_".join(words)):
            found.add(f"{module}: {name}")
    assert found == set()


def test_a_docstring_says_more_than_three_words_and_more_than_its_name() -> None:
    found = {
        f"{module}: {node.name}: {said}"
        for module, node in _definitions()
        if (said := ast.get_docstring(node)) is not None and _is_filler(said, node.name)
    }
    assert found == set()


def _is_filler(said: str, name: str) -> bool:
    """Whether a docstring adds nothing; `Read `1` or `1-2`.` gives a form, which no name does."""
    words = {word.lower().rstrip("s") for word in re.findall("[A-Za-z]+", said)}
    of_name = {word.lower().rstrip("s") for word in _split_words(name)}
    articles = {"a", "an", "the", "of", "and", "to", "it", "in", "for"}
    return "`" not in said and (len(said.split()) <= 3 or words - articles <= of_name)
