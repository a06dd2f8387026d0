"""Which backends are probed, and how; and the checks that run, told apart by generation.

A check that is replaced or stopped is dead at once, whatever its prober still has under way:
only what the current generation reports counts.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from itertools import count

from vpplb.health.lifecycle import (
    AssumedMode,
    CheckStart,
    DisabledMode,
    IdleMode,
    PausedMode,
    ProbedMode,
    ProbeMode,
)
from vpplb.model.check import CheckSpec, ProbeKind
from vpplb.model.names import ObjectKey
from vpplb.model.objects import Backend, HealthCheck
from vpplb.plan.headers import Secrets, resolved_probe
from vpplb.reconcile.ports import ProbeAssignment, Prober


class ProbeAssignments:
    """Gives checks to a prober and knows which of them are current."""

    def __init__(self, prober: Prober) -> None:
        self._prober = prober
        self._current: dict[ObjectKey, int] = {}
        self._generation = 0

    def __len__(self) -> int:
        return len(self._current)

    def apply_changes(
        self, starts: Mapping[ObjectKey, CheckStart], stops: Collection[ObjectKey]
    ) -> None:
        """Stop checks, then start checks, each in place of the backend's earlier one.

        Checks started together are spread in the order of their backends' names.
        """
        stopped = [key for key in sorted(stops) if self._current.pop(key, None) is not None]
        if stopped:
            self._prober.cancel_checks(stopped)
        if starts:
            self._prober.assign_checks(
                spread_starts([self._make_assignment(key, starts[key]) for key in sorted(starts)])
            )

    def is_current(self, backend: ObjectKey, generation: int) -> bool:
        """Whether a report of this generation still counts."""
        return self._current.get(backend) == generation

    def _make_assignment(self, key: ObjectKey, start: CheckStart) -> ProbeAssignment:
        self._generation += 1
        self._current[key] = self._generation
        return ProbeAssignment(
            backend=key,
            generation=self._generation,
            spec=start.spec,
            resume_up=start.resume_up,
            held=start.held,
        )


def spread_starts(assignments: Sequence[ProbeAssignment]) -> list[ProbeAssignment]:
    """Let checks start one after the other, those that are known and the others each by themselves.

    What is unknown is not to wait for what is not.
    """
    of = Counter(each.has_verdict for each in assignments)
    positions = {known: count() for known in of}
    return [
        replace(each, position=next(positions[each.has_verdict]), of=of[each.has_verdict])
        for each in assignments
    ]


def choose_mode(
    backend: Backend,
    health_checks: Mapping[ObjectKey, HealthCheck],
    secrets: Secrets,
    *,
    referenced: bool,
    denied: bool,
) -> ProbeMode:
    """Return a backend's situation; `referenced`: a frontend has it; `denied`: probes may not go.

    A health check that lacks the value of a header is as one that does not exist, and so is any
    of a backend where probes may not go.
    """
    if not backend.enabled:
        return DisabledMode()
    if backend.paused:
        return PausedMode()
    if not referenced:
        return IdleMode()
    if backend.health_check is None:
        return AssumedMode()
    check = health_checks.get(backend.health_check)
    probe = resolved_probe(check, secrets) if check is not None else None
    if check is None or probe is None or denied:
        return IdleMode(lost_check=True)
    return ProbedMode(_make_spec(check, probe, backend))


def _make_spec(check: HealthCheck, probe: ProbeKind, backend: Backend) -> CheckSpec:
    source = check.source_ipv4 if backend.address.version == 4 else check.source_ipv6
    return CheckSpec(address=backend.address, probe=probe, cadence=check.cadence, source=source)
