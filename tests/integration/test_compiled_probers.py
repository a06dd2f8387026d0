"""Probing compiled by mypyc (`make compiled-wheel`) behaves as the modules it is compiled from.

The suites that ask what is probed, and what is said of it, are run against such a wheel. Those
that put a stand-in in the place of a class of ours are not: a compiled class has no place for it.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SUITES = (
    "contract/test_prober.py",
    "integration/test_backend_behaviours.py",
    "property/test_health.py",
    "property/test_probe_machines.py",
    "unit/health/test_cadence.py",
    "unit/probers/test_conversation.py",
    "unit/probers/test_http.py",
    "unit/probers/test_icmp_packets.py",
    "unit/probers/test_scheduled_check.py",
    "unit/probers/test_socket_pool.py",
    "unit/probers/test_stats.py",
)
NEEDED = shutil.which("cc") and Path(sysconfig.get_path("include"), "Python.h").exists()

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not NEEDED, reason="needs a C compiler and Python's headers"),
]


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return an environment in which vpplb is that of a compiled wheel."""
    folder = tmp_path_factory.mktemp("compiled")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HATCH_BUILD_HOOK_ENABLE_CUSTOM", "true")
        build = (sys.executable, "-m", "build", "--wheel", "--outdir", str(folder), str(ROOT))
        subprocess.run(build, check=True, capture_output=True, stdin=subprocess.DEVNULL)
    (wheel,) = folder.glob("vpplb-*.whl")
    zipfile.ZipFile(wheel).extractall(folder / "installed")
    return {**os.environ, "PYTHONPATH": str(folder / "installed")}


def test_what_runs_at_each_probe_is_compiled_in_the_worker(compiled: dict[str, str]) -> None:
    """Its sources are there too, for tracebacks; they are not what runs."""
    names = ["check_loop", "http", "icmp_socket", "scheduled_check", "stream_probe"]
    shown = "; ".join(f"print(vpplb.probers.{name}.__file__)" for name in names)
    done = subprocess.run(
        [sys.executable, "-P", "-c", f"import vpplb.probers.worker; {shown}"],
        env=compiled,
        capture_output=True,
        text=True,
        check=True,
    )
    endings = [line.rpartition(".")[2] for line in done.stdout.splitlines()]
    assert endings == ["so"] * len(names)


def test_what_holds_of_the_sources_holds_of_what_is_compiled(compiled: dict[str, str]) -> None:
    # The fake prober is compiled by nobody, and two workers are as one.
    chosen = ["-k", "not (fake or two)"]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *chosen]
    suites = [str(ROOT / "tests" / suite) for suite in SUITES]
    done = subprocess.run(
        [*command, *suites], env=compiled, cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
