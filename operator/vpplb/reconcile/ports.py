"""What deciding asks of the world: who probes, and what goes in and comes out of that.

Adapters are in the packages above; fakes are `tests/fakes/<port>.py`, and verified by the suite
of the real thing.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple, Protocol

from vpplb.model.check import CheckSpec
from vpplb.model.health import ProbeCode, ProbeResponse
from vpplb.model.names import ObjectKey


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeAssignment:
    """One backend to probe from now on.

    `generation` grows with each assignment of a backend: what a worker reports of an older one
    is not recorded. `resume_up` is the verdict that the check goes on from, None for a fresh one,
    whose first result decides. `held`: that verdict is up but not shown, so the pass that confirms
    it is news. `position`/`of` spread checks that start together (0 of 1: probe at once), as
    `health.cadence.first_wait` says.
    """

    backend: ObjectKey
    generation: int
    spec: CheckSpec
    resume_up: bool | None = None
    held: bool = False
    position: int = 0
    of: int = 1

    @property
    def has_verdict(self) -> bool:
        """Whether there is a verdict that is shown."""
        return self.resume_up is not None and not self.held


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckVerdict:
    """A check of `generation` has changed its mind (or made it up): `up` is the new verdict.

    `nobody_heard`: it is down by silence, and nobody else has answered the prober since that began.
    `took` are the seconds of the probe that decided, which ended `at` that moment.
    """

    backend: ObjectKey
    generation: int
    up: bool
    code: ProbeCode
    detail: str
    at: datetime
    nobody_heard: bool = False
    took: float = field(default=0.0, compare=False)


class ResponseChange(NamedTuple):
    """A check's results turned, or began, or are the first answer after `nobody_heard`."""

    backend: ObjectKey
    generation: int
    response: ProbeResponse


class VerdictReason(NamedTuple):
    """Why a check's verdict stands at present, where that is not as told with it.

    A check tells it seldom, however often it changes; the newest is what counts.
    """

    backend: ObjectKey
    generation: int
    code: ProbeCode
    detail: str


class ProbeRecord(NamedTuple):
    """One probe as it ended: `at` is seconds since 1970, `took` seconds."""

    backend: ObjectKey
    at: float
    took: float
    code: ProbeCode
    detail: str


class ProbeHistory(NamedTuple):
    """The last probes of a backend, oldest first, each with its number; later ones have greater.

    `since` is when it began, None where there is no room for it; `is_probed` says whether there
    will be more.
    """

    is_probed: bool
    since: datetime | None
    records: Sequence[tuple[int, ProbeRecord]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeStats:
    """Counters of one worker since its last report. Histogram counts are by bucket, not summed up.

    `results`: (type, code) → probes. `durations`: type → (count by bucket of
    `DURATION_BUCKETS` with one more for the rest, sum in seconds). `lateness`: likewise with
    `LATENESS_BUCKETS`, all types together. `discarded`: by what the prober itself was short of,
    probes that say nothing about the backend.
    """

    results: Mapping[tuple[str, str], int]
    durations: Mapping[str, tuple[Sequence[int], float]]
    lateness: tuple[Sequence[int], float]
    discarded: Mapping[str, int] = field(default_factory=dict)


DURATION_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
LATENESS_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)
"""Upper bounds of histogram buckets, in seconds."""


class Prober(Protocol):
    """Runs checks somewhere.

    Only assignments go in; verdicts, turns, reasons and statistics come out.
    """

    async def start(
        self,
        on_verdict: Callable[[CheckVerdict], None],
        on_stats: Callable[[ProbeStats], None],
        on_response_change: Callable[[ResponseChange], None] = lambda _: None,
        on_reason: Callable[[VerdictReason], None] = lambda _: None,
    ) -> None:
        """Begin; the callbacks are called on the event loop that called this."""

    def assign_checks(self, assignments: Sequence[ProbeAssignment]) -> None:
        """Start these checks, each in place of the backend's earlier one if there is one."""

    def cancel_checks(self, backends: Sequence[ObjectKey]) -> None:
        """Stop these checks: no packet leaves for them any more."""

    def read_histories(self, backends: Sequence[ObjectKey]) -> Mapping[ObjectKey, ProbeHistory]:
        """Return the last probes of these backends, and go on recording them for a minute.

        A history begins when it is first asked for, and ends when nobody asks any more.
        """

    def count_processes(self) -> tuple[int, int]:
        """Return how many of the processes that run checks work, and how many should."""

    def list_lateness(self) -> Sequence[float]:
        """Return for each process by how many seconds it was late at worst of late."""

    def find_trouble(self) -> str | None:
        """Say what keeps the prober from probing as it should, None if nothing does."""

    async def stop(self) -> None:
        """End all checks and what runs them; never hangs."""
