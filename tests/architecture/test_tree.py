"""The tree is the architecture: what stands where, how large it is, and what says so."""

import ast
import re
from pathlib import Path

import pytest

from data.product_code import product_nodes

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "operator" / "vpplb"
TESTS = ROOT / "tests"

MODULE_LIMIT = 500
TEST_LIMIT = 600
CONSTRUCTOR_LIMIT = 40
KOPF_LIMIT = 200
MODULES = {"kube": 14, "reconcile": 10, "sync": 10}
"""How many modules a package may have; where more are wanted, it is two things."""


def _sources(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*.py") if "__pycache__" not in path.parts)


def _ids(paths: list[Path]) -> list[str]:
    return [str(path.relative_to(ROOT)) for path in paths]


PACKAGES = [path for path in _sources(PACKAGE) if path.name == "__init__.py"]
UNIT_TESTS = sorted((TESTS / "unit").rglob("test_*.py"))


@pytest.mark.parametrize("init", PACKAGES, ids=_ids(PACKAGES))
def test_a_package_says_what_it_knows_and_holds_no_code(init: Path) -> None:
    tree = ast.parse(init.read_text())
    said = ast.get_docstring(tree)
    assert said
    assert len(said.split()) >= 8
    assert not [node for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)]


@pytest.mark.parametrize(("folder", "limit"), [(PACKAGE, MODULE_LIMIT), (TESTS, TEST_LIMIT)])
def test_a_module_can_be_read_in_one_sitting(folder: Path, limit: int) -> None:
    lines = {
        str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in _sources(folder)
    }
    assert [path for path, count in lines.items() if count > limit] == []


def test_what_uses_kopf_is_one_small_module() -> None:
    """More than that is what works against it (decision 3)."""
    users = {
        path for path, node in product_nodes(ast.Import, ast.ImportFrom) if "kopf" in _imports(node)
    }
    assert _ids(list(users)) == ["operator/vpplb/kube/object_watch.py"]
    assert len(users.pop().read_text().splitlines()) <= KOPF_LIMIT


def _imports(node: ast.AST) -> set[str]:
    """Return the packages from which a statement imports."""
    match node:
        case ast.Import(names=names):
            return {name.name.partition(".")[0] for name in names}
        case ast.ImportFrom(module=str(module)):
            return {module.partition(".")[0]}
    return set()


def test_a_constructor_puts_few_parts_together() -> None:
    """One that is longer puts several things together, each of which has a name."""
    long = [
        f"{path.relative_to(PACKAGE)}: {node.lineno}"
        for path, node in product_nodes(ast.FunctionDef)
        if node.name == "__init__"
        if (node.end_lineno or 0) - node.lineno >= CONSTRUCTOR_LIMIT
    ]
    assert long == []


@pytest.mark.parametrize(("package", "limit"), MODULES.items())
def test_a_package_is_one_thing(package: str, limit: int) -> None:
    assert len(list((PACKAGE / package).glob("[!_]*.py"))) <= limit


@pytest.mark.parametrize("test", UNIT_TESTS, ids=_ids(UNIT_TESTS))
def test_a_unit_test_stands_where_its_module_does(test: Path) -> None:
    place = test.relative_to(TESTS / "unit").parent
    assert (PACKAGE / place / f"{test.stem.removeprefix('test_')}.py").exists()


def test_the_architecture_page_names_what_is_there() -> None:
    packages = [path.name for path in PACKAGE.iterdir() if path.is_dir()]
    named = re.compile(rf"`((?:{'|'.join(packages)})(?:\.\w+)*)`")
    page = (ROOT / "docs" / "architecture.md").read_text()
    places = sorted(set(named.findall(page)))
    assert len(places) > 50
    assert [place for place in places if not _is_there(place)] == []


def _is_there(place: str) -> bool:
    """Whether `package.module` or `package.module.Name` is in the tree."""
    *within, last = place.split(".")
    folder = PACKAGE.joinpath(*within)
    if (folder / last).is_dir() or (folder / f"{last}.py").exists():
        return True
    module = folder.with_suffix(".py")
    return module.exists() and re.search(rf"^class {last}\b", module.read_text(), re.M) is not None
