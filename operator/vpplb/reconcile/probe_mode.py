"""The situation a backend is in by what the users' objects say."""

from collections.abc import Mapping

from vpplb.health.lifecycle import Assumed, Disabled, Idle, Mode, Paused, Probed
from vpplb.model.check import CheckSpec, ProbeKind
from vpplb.model.names import ObjectKey
from vpplb.model.objects import Backend, HealthCheck
from vpplb.plan.headers import Secrets, resolved_probe


def mode_of(
    backend: Backend,
    health_checks: Mapping[ObjectKey, HealthCheck],
    secrets: Secrets,
    *,
    referenced: bool,
) -> Mode:
    """Return a backend's situation; `referenced`: a frontend has it.

    A health check that lacks the value of a header is as one that does not exist.
    """
    if not backend.enabled:
        return Disabled()
    if backend.paused:
        return Paused()
    if not referenced:
        return Idle()
    if backend.health_check is None:
        return Assumed()
    check = health_checks.get(backend.health_check)
    probe = resolved_probe(check, secrets) if check is not None else None
    if check is None or probe is None:
        return Idle(lost_check=True)
    return Probed(_spec(check, probe, backend))


def _spec(check: HealthCheck, probe: ProbeKind, backend: Backend) -> CheckSpec:
    """Apply a health check to a backend."""
    source = check.source_ipv4 if backend.address.version == 4 else check.source_ipv6
    return CheckSpec(address=backend.address, probe=probe, cadence=check.cadence, source=source)
