"""What cannot be written, since when and why: in words, for readiness."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from vpplb.kube.errors import KubeError, NotFound

FAILING = 3.0
"""Seconds that a write fails before that is told: most failures pass within a moment."""


@dataclass(slots=True)
class Troubles:
    """Takes note of how each write ended."""

    clock: Callable[[], float] = time.monotonic
    _failing: dict[str, tuple[float, str]] = field(default_factory=dict)

    def note(self, what: str, error: KubeError | None) -> None:
        """Say how the latest write of an object ended; one that is gone needs none."""
        if error is None or isinstance(error, NotFound):
            self._failing.pop(what, None)
            return
        since, _ = self._failing.get(what, (self.clock(), ""))
        self._failing[what] = since, str(error)

    @property
    def text(self) -> str:
        """Say which status cannot be written for a while, the oldest first; empty: all can."""
        if not self._failing:
            return ""
        what, (since, why) = next(iter(self._failing.items()))
        seconds = self.clock() - since
        if seconds < FAILING:
            return ""
        more = f" (nor {len(self._failing) - 1} others)" if len(self._failing) > 1 else ""
        return f"the status of {what} cannot be written for {seconds:.0f} s{more}: {why}"
