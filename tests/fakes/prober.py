"""A prober that only remembers what it was told; the test says what the checks find."""

from collections.abc import Callable, Sequence

from vpplb.engine.ports import Assignment, ProbeStats, Verdict
from vpplb.model.names import ObjectKey


class FakeProber:
    """Implements `engine.ports.Prober`: `running` by backend, `started` in order.

    Cancelling what does not run is a KeyError: nobody should have to.
    """

    def __init__(self) -> None:
        self.running: dict[ObjectKey, Assignment] = {}
        self.started: list[Assignment] = []

    async def start(
        self, on_verdict: Callable[[Verdict], None], on_stats: Callable[[ProbeStats], None]
    ) -> None:
        raise AssertionError("who assigns checks does not start the prober")

    def assign(self, assignments: Sequence[Assignment]) -> None:
        for one in assignments:
            self.running[one.backend] = one
            self.started.append(one)

    def cancel(self, backends: Sequence[ObjectKey]) -> None:
        for one in backends:
            del self.running[one]

    async def stop(self) -> None:
        raise AssertionError("who assigns checks does not stop the prober")
