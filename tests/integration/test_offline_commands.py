"""What people run on manifests without a cluster costs as little as a command may."""

import subprocess
from pathlib import Path

import pytest

from cluster.stage import VPPLB
from lab.cpu_time import installed_environment, takes_less

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.slow


@pytest.mark.parametrize(("command", "status"), [("check", 0), ("plan", 1)])
def test_it_takes_three_tenths_of_a_second(command: str, status: int) -> None:
    given = [str(VPPLB), command, str(ROOT / "examples" / "http-failover.yaml")]

    def run() -> None:
        done = subprocess.run(
            given, capture_output=True, env=installed_environment(), timeout=60, check=False
        )
        assert done.returncode == status, done.stderr

    takes_less(run, 0.3, f"vpplb {command}")
