"""Imports go down the layers only, and are made when a program starts."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from data.product_code import PACKAGE, product_nodes
from vpplb.cli.service_runner import IMPORTED_LATE

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_no_import_goes_up() -> None:
    lint_imports = Path(sys.executable).parent / "lint-imports"
    done = subprocess.run([lint_imports], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_what_a_function_imports_is_imported_when_a_program_that_stays_begins() -> None:
    """But for commands, which run once: an upgrade may replace what is not imported yet."""
    functions = product_nodes(ast.FunctionDef, ast.AsyncFunctionDef)
    late = {
        name
        for path, function in functions
        if not path.is_relative_to(PACKAGE / "cli")
        for node in ast.walk(function)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in _imported(node)
    }
    assert late == set(IMPORTED_LATE)


def _imported(node: ast.Import | ast.ImportFrom) -> list[str]:
    if isinstance(node, ast.ImportFrom):
        return [str(node.module)]
    return [one.name for one in node.names]
