"""A short run of each fuzzer; for a long one, start it by hand (its docstring says how)."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

# A mark, for a skip while tests are collected is none that CI=true turns into a failure.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        find_spec("atheris") is None,
        reason="atheris is not installed (x86_64 and Python < 3.14 only)",
    ),
]

ROOT = Path(__file__).parents[2]
RUNS = {"fuzz_manifests": 3000, "fuzz_probe_machines": 20000}
"""Inputs by fuzzer: some ten seconds of each."""


@pytest.mark.parametrize(
    "fuzzer", sorted(Path(__file__).parent.glob("fuzz_*.py")), ids=lambda path: path.stem
)
def test_no_input_breaks_what_reads_it(fuzzer: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, fuzzer, f"-runs={RUNS[fuzzer.stem]}", "-max_len=4096", "-seed=1"],
        cwd=tmp_path,  # where libFuzzer leaves an input that fails
        env={**os.environ, "PYTHONPATH": str(ROOT / "tests")},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    assert f"Done {RUNS[fuzzer.stem]} runs" in done.stderr
