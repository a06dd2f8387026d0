"""A class name means one thing in the whole product."""

import ast
from collections import defaultdict
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "operator" / "vpplb"

MEAN_TWO_THINGS = frozenset(
    {
        "BadManifests",
        "Pool",
    }
)
"""Names that are still to go: whoever renames one of such classes takes its name out of here."""


def _modules_by_class() -> dict[str, list[str]]:
    """Return where each class is defined; what begins with `_` is its module's own affair."""
    modules = defaultdict[str, list[str]](list)
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                modules[node.name].append(str(path.relative_to(PACKAGE)))
    return modules


def test_a_class_name_means_one_thing() -> None:
    shared = {name: places for name, places in _modules_by_class().items() if len(places) > 1}
    assert {name: shared[name] for name in shared if name not in MEAN_TWO_THINGS} == {}
    assert {name for name in MEAN_TWO_THINGS if name not in shared} == set(), "take these out"
