"""Which checks are put aside, since processes ended while they were busy with them (decision 22).

A worker that dies of a check, or never comes back from it, is replaced by one that does the same,
and nobody is probed. But a worker may also die of something else (killed for lack of memory, or by
hand), whatever it has in hand. So one death says nothing, the second costs a check a minute, and
only those that follow cost it more.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from vpplb.model.backoff import backoff_seconds
from vpplb.model.check import IcmpProbe
from vpplb.model.health import ProbeCode, ProbeResponse
from vpplb.model.names import ObjectKey
from vpplb.probers.worker_messages import WorkerReport
from vpplb.reconcile.ports import CheckVerdict, ProbeAssignment, ResponseChange, VerdictReason

SHORTEST = 60.0
"""Seconds for which a check is put aside at the second death; doubled at each that follows …"""
LONGEST = 3600.0
"""… up to here."""
FORGOTTEN = 600.0
"""A check that ends no process for so many seconds while it is probed begins anew."""


@dataclass(slots=True)
class _DeathRecord:
    """Deaths of processes with one check in hand. `until`: when it was, or is, probed again."""

    deaths: int = 0
    until: float = 0.0


class CheckQuarantine:
    """The checks that have ended processes. Times are of any steady clock."""

    def __init__(self) -> None:
        self._records: dict[tuple[ObjectKey, int], _DeathRecord] = {}
        self._held: set[tuple[ObjectKey, int]] = set()

    def note_death(self, check: ProbeAssignment, now: float) -> float:
        """Take note of a death; return for how many seconds the check is put aside for it."""
        name = (check.backend, check.generation)
        self._records = {
            each: record
            for each, record in self._records.items()
            if now - record.until <= FORGOTTEN
        }
        record = self._records.setdefault(name, _DeathRecord())
        record.deaths += 1
        seconds = backoff_seconds(record.deaths - 1, SHORTEST, LONGEST)
        record.until = now + seconds
        if seconds:
            self._held.add(name)
        return seconds

    def holds_check(self, check: ProbeAssignment) -> bool:
        """Say whether this check, as it is now, is put aside."""
        return (check.backend, check.generation) in self._held

    def count_held(self, assigned: Mapping[ObjectKey, ProbeAssignment]) -> int:
        """Return how many of these checks, by their backends, are put aside."""
        held = ((assigned.get(backend), generation) for backend, generation in self._held)
        return sum(check is not None and check.generation == number for check, number in held)

    def release_check(self, check: ProbeAssignment) -> None:
        self._held.discard((check.backend, check.generation))


def report_given_up(check: ProbeAssignment, *, down: bool, at: datetime) -> WorkerReport:
    """Say of a check that is put aside why it is not probed; `down`: this counts as silence.

    Else its verdict stays, and a backend that is down anyway says why.
    """
    code = ProbeCode.L3UNR if isinstance(check.spec.probe, IcmpProbe) else ProbeCode.L4CON
    detail = "the prober cannot probe: its processes ended while busy with this check"
    backend, generation = check.backend, check.generation
    if not down or check.resume_up is False:
        return WorkerReport(reasons=(VerdictReason(backend, generation, code, detail),))
    verdict = CheckVerdict(
        backend=backend,
        generation=generation,
        up=False,
        code=code,
        detail=detail,
        at=at,
    )
    return WorkerReport(
        changes=(ResponseChange(backend, generation, ProbeResponse.SILENT),), verdicts=(verdict,)
    )
