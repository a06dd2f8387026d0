"""What a command costs: CPU time of processes, told for a machine that nothing else keeps busy.

A second of CPU does less where others use the caches, or the machine is slower. How much less is
told by a known command that runs beside it.
"""

import os
import resource
import statistics
import subprocess
import sys
from collections.abc import Callable

from lab.waiting import wait_for

_KNOWN = (sys.executable, "-c", "import click")
_KNOWN_TAKES = 0.042
"""Seconds on the machine that the figures in docs/benchmarks.md were measured on, at rest."""


def installed_environment() -> dict[str, str]:
    """Return the environment of a program whose modules are compiled, as an installed one's are."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def takes_less(run: Callable[[], object], seconds: float, what: str, *, runs: int = 1) -> None:
    """Assert that a run takes less CPU time than that (user and system, of all its processes).

    At the median of so many `runs`; once in as many times as there is patience for, since noise
    only ever adds.
    """

    def is_cheap() -> bool:
        used = statistics.median(_measure_at_rest(run) for _ in range(runs))
        assert used < seconds, f"{used:.3f} s, on a machine that is at rest"
        return True

    _run_known()  # so that it is compiled
    wait_for(is_cheap, f"{what} takes less than {seconds:g} s of CPU time")


def _measure_at_rest(run: Callable[[], object]) -> float:
    """Return what a run would take where the known command takes as long as it should."""
    slowness = max(1.0, _measure(_run_known) / _KNOWN_TAKES)
    return _measure(run) / slowness


def _run_known() -> None:
    subprocess.run(_KNOWN, check=True, env=installed_environment())


def _measure(run: Callable[[], object]) -> float:
    before = _children_cpu()
    run()
    return _children_cpu() - before


def _children_cpu() -> float:
    """Return the CPU time of all children that have ended, and of theirs."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
