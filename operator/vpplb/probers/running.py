"""A check that runs, and how it probes."""

from math import inf
from typing import Protocol

from vpplb.model.check import CheckSpec, probe_type
from vpplb.model.health import ProbeResult
from vpplb.probers.checker import Check


class Attempt(Protocol):
    """How one check probes, one probe after the other."""

    def begin(self) -> ProbeResult | None:
        """Begin a probe; None: it goes on. ProberShort when it was not possible at all."""
        ...

    def expire(self) -> ProbeResult:
        """End the probe for lack of time."""
        ...

    def abort(self) -> None:
        """End the probe, if there is one; nobody is told."""
        ...


class Running:
    """A check and the probe that runs for it. `deadline` is infinite while none does."""

    __slots__ = (
        "armed",
        "attempt",
        "cancelled",
        "check",
        "deadline",
        "generation",
        "kind",
        "started",
        "timeout",
        "without_result",
    )

    def __init__(self, check: Check, spec: CheckSpec) -> None:
        self.check = check
        self.attempt: Attempt
        self.generation = check.assignment.generation
        self.kind = probe_type(spec.probe)
        self.timeout = spec.cadence.timeout.total_seconds()
        self.started = 0.0
        self.deadline = inf
        self.armed = False  # among the deadlines, perhaps with that of an earlier probe
        self.cancelled = False
        self.without_result = False  # the last probe had none: it was the prober's fault

    @property
    def prolonged(self) -> bool:
        """Whether the probe that runs was given its timeout once more."""
        return self.deadline > self.started + 1.5 * self.timeout
