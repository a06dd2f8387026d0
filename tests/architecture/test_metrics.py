"""What is documented as a metric is observed by the product, not by tests alone."""

import ast
from collections import defaultdict
from collections.abc import Iterator

from data.product_code import PACKAGE, product_nodes, product_trees

TELEMETRY = PACKAGE / "telemetry"
METRICS = TELEMETRY / "metrics.py"
CATALOG = TELEMETRY / "catalog.py"

Function = ast.FunctionDef | ast.AsyncFunctionDef


def _loaded(node: ast.AST) -> set[str]:
    """Return the names and attributes that are read below a node."""
    return {
        one.attr if isinstance(one, ast.Attribute) else one.id
        for one in ast.walk(node)
        if isinstance(one, ast.Attribute | ast.Name) and isinstance(one.ctx, ast.Load)
    }


def _classes_of_metrics() -> Iterator[ast.ClassDef]:
    for one in product_trees()[METRICS].body:
        if isinstance(one, ast.ClassDef) and one.name.endswith("Metrics"):
            yield one


def _attributes_set(tree: ast.ClassDef) -> set[str]:
    return {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)
    }


def _methods(tree: ast.ClassDef) -> Iterator[ast.FunctionDef]:
    yield from (one for one in tree.body if isinstance(one, ast.FunctionDef))


def _asked_of_metrics() -> set[str]:
    """Return what is read of anything named `…metrics`, but where metrics are declared."""
    return {
        node.attr
        for path, node in product_nodes(ast.Attribute)
        if path != METRICS and _last_name(node.value).endswith("metrics")
    }


def _last_name(node: ast.AST) -> str:
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
    return ""


def test_each_method_that_observes_a_metric_is_called_on_metrics() -> None:
    methods = {
        name
        for tree in _classes_of_metrics()
        for name in {one.name for one in _methods(tree)} | _attributes_set(tree)
        if not name.startswith("_")
    }
    assert len(methods) > 10
    assert methods - _asked_of_metrics() == set()


def test_each_metric_that_is_kept_is_set_by_a_method() -> None:
    kept = {
        f"{tree.name}.{name}"
        for tree in _classes_of_metrics()
        for name in _attributes_set(tree)
        if name.startswith("_")
        and not any(name in _loaded(one) for one in _methods(tree) if one.name != "__init__")
    }
    assert kept == set()


def test_each_metric_of_the_catalog_is_reached_from_outside_telemetry() -> None:
    """From what other packages name, by what that names in its turn, to the metric."""
    used_by, named, read = defaultdict[str, set[str]](set), set[str](), set[str]()
    for path, tree in product_trees().items():
        if not path.is_relative_to(TELEMETRY):
            named |= _loaded(tree)
            continue
        for one in tree.body if path != CATALOG else []:
            if isinstance(one, Function | ast.ClassDef):
                used_by[one.name] |= _loaded(one)
    while found := {name for one in named | read for name in used_by.pop(one, ())}:
        read |= found
    specs = {
        ast.unparse(one.targets[0])
        for one in product_trees()[CATALOG].body
        if isinstance(one, ast.Assign) and "Spec(" in ast.unparse(one.value)
    }
    assert len(specs) > 20
    assert specs - read == set()
