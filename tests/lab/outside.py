"""What customers see meanwhile: `vpplb monitor` beside whatever a test does."""

import json
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.processes import Program
from lab.waiting import wait_for

MONITOR = (str(Path(sys.executable).with_name("vpplb")), "monitor")
# Enough in flight for a timeout of 900 ms: no turn is skipped, a spell is exact to an interval.
PACE = ("--interval", "20ms", "--in-flight", "50", "--report", "100ms", "-o", "json")


@dataclass(frozen=True, slots=True, kw_only=True)
class OutsideMonitor:
    """A monitor that runs. `end` makes it tell what it saw."""

    program: Program

    def lines(self) -> list[dict[str, Any]]:
        """Return what it has said so far; the last line may still be on its way."""
        text = self.program.log.read_text() if self.program.log.exists() else ""
        return [json.loads(line) for line in text.splitlines(keepends=True) if line[-1] == "\n"]

    def wait_passing(self) -> None:
        """Return when a whole period has passed without a failure."""
        said = len(self.lines())

        def passes() -> bool:
            figures = [one for one in self.lines()[said:] if one["what"] == "figures"]
            return any(one["passed"] and not one["failed"] for one in figures)

        wait_for(passes, "probes that pass")

    def end(self) -> dict[str, Any]:
        """Interrupt it; return its summary."""
        os.kill(self.program.pid, signal.SIGINT)
        wait_for(lambda: not self.program.alive, "the monitor's end")
        (summary,) = [one for one in self.lines() if one["what"] == "summary"]
        return summary


@contextmanager
def monitor_outside(
    target: str, log: Path, *flags: str, prefix: Sequence[str] = ()
) -> Iterator[OutsideMonitor]:
    """Probe a target each 20 ms, from where `prefix` leads."""
    log.unlink(missing_ok=True)
    with Program([*prefix, *MONITOR, target, *PACE, *flags], log=log) as program:
        yield OutsideMonitor(program=program)
