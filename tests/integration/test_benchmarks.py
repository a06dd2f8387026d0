"""The benchmarks run: small ones here, so that none is found broken when its figure is wanted."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.control_plane]

ROOT = Path(__file__).parents[2]
SMALL = {
    "bench_dashboard": {"FLEET": "20", "STILL": "1"},
    "bench_direct": {"AGENTS": "10", "ROUNDS": "1", "STILL": "1"},
    "bench_monitor": {"SECONDS": "0.5"},
    "bench_vpp": {"VIPS": "3", "ROUNDS": "1", "CHANGES": "3", "IDLE": "1"},
    "bench_failover": {
        "KILLS": "8",
        "OUTSIDE": "3",
        "PATCHES": "3",
        "DOOMED": "2",
        "CLIENTS": "2",
        "OUTAGE": "8",
    },
    "bench_scale": {"FLEET": "3", "PATCHES": "3", "STILL": "2"},
    "bench_probes": {"SHARE": "0.002", "WINDOW": "0.3"},
}
"""Their sizes, by what they are called in the environment."""


def test_each_benchmark_has_a_small_size() -> None:
    assert {path.stem for path in (ROOT / "benchmarks").glob("bench_*.py")} == set(SMALL)


@pytest.mark.parametrize("name", SMALL)
def test_a_benchmark_runs_to_its_end(name: str) -> None:
    """Whether its figures are good is not asked: they are of this small size, on a busy machine."""
    sizes = {f"VPPLB_BENCH_{what}": size for what, size in SMALL[name].items()}
    ended = subprocess.run(
        [sys.executable, ROOT / "benchmarks" / f"{name}.py"],
        env={**os.environ, "PYTHONPATH": str(ROOT / "tests"), **sizes},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ended.returncode in (0, 1), ended.stderr
    assert "Traceback" not in ended.stderr, ended.stderr
    assert "ms" in ended.stdout
