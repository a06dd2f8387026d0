"""The garbage collector: rare while a program runs, and not once more at its end."""

import subprocess
import sys

import pytest

from vpplb.cli.collector import COLLECTOR, VERB_COLLECTOR

PROGRAM = """
import atexit, gc

atexit.register(lambda: print(gc.get_freeze_count() > 1000))  # the first that is told, runs last
from vpplb.cli.{main} import main
try:
    main()
finally:
    print(gc.get_threshold())
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("main", "thresholds"), [("main", COLLECTOR), ("kubectl.main", VERB_COLLECTOR)]
)
def test_programs_walk_seldom_and_not_at_their_end(
    main: str, thresholds: tuple[int, int, int]
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(main=main), "--version"],
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    assert done.stdout.splitlines()[1:] == [str(thresholds), "True"]
