"""What is documented as a metric is observed by the product, not by tests alone."""

import ast
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "operator" / "vpplb"
METRICS = PACKAGE / "telemetry" / "metrics.py"
CATALOG = PACKAGE / "telemetry" / "catalog.py"


def _names_read(but: Path) -> set[str]:
    """Return the names that are read anywhere in the product but in one module."""
    return {
        node.attr if isinstance(node, ast.Attribute) else node.id
        for path in PACKAGE.rglob("*.py")
        if path != but
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute | ast.Name) and isinstance(node.ctx, ast.Load)
    }


def _methods_of_metrics() -> Iterator[str]:
    for one in ast.parse(METRICS.read_text()).body:
        if isinstance(one, ast.ClassDef) and one.name.endswith("Metrics"):
            for method in one.body:
                if isinstance(method, ast.FunctionDef):
                    names = [method.name, *_attributes_set(method)]
                    yield from (name for name in names if not name.startswith("_"))


def _attributes_set(method: ast.FunctionDef) -> Iterator[str]:
    for node in ast.walk(method):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr


def _specs_of_catalog() -> Iterator[str]:
    for one in ast.parse(CATALOG.read_text()).body:
        if isinstance(one, ast.Assign) and "Spec(" in ast.unparse(one.value):
            yield ast.unparse(one.targets[0])


def test_each_method_that_observes_a_metric_is_called() -> None:
    methods = set(_methods_of_metrics())
    assert len(methods) > 10
    assert methods - _names_read(METRICS) == set()


def test_each_metric_of_the_catalog_is_made() -> None:
    specs = set(_specs_of_catalog())
    assert len(specs) > 20
    assert specs - _names_read(CATALOG) == set()
