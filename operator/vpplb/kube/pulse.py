"""How long the API server has done, or has not done, what it is asked."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

FAILING = 3.0
"""Seconds that requests fail before that is told: most failures pass within a moment."""


@dataclass(slots=True)
class Pulse:
    """Takes note of each answer. At first the server counts as well."""

    clock: Callable[[], float] = time.monotonic
    _answered: float = field(init=False)
    _failure: str = ""
    _failing_since: float = 0.0

    def __post_init__(self) -> None:
        self._answered = self.clock()

    def answered(self) -> None:
        """Say that the server did, or refused, what it was asked."""
        self._answered, self._failure = self.clock(), ""

    def failed(self, why: str) -> None:
        """Say that it did neither: no answer, or one that is about nothing that was asked."""
        self._failing_since = self._failing_since if self._failure else self.clock()
        self._failure = why

    def age(self) -> float:
        """Return how many seconds ago the server last did, or refused, what was asked."""
        return self.clock() - self._answered

    @property
    def trouble(self) -> str:
        """Say why requests have been failing for a while; empty when they are not."""
        seconds = self.clock() - self._failing_since
        if not self._failure or seconds < FAILING:
            return ""
        return f"requests fail for {seconds:.0f} s: {self._failure}"
