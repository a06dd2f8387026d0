"""The situation a backend is in by what the users' objects say."""

from collections.abc import Mapping

from vpplb.health.lifecycle import Assumed, Disabled, Idle, Mode, Paused, Probed
from vpplb.model.check import CheckSpec
from vpplb.model.names import ObjectKey
from vpplb.model.objects import Backend, HealthCheck


def mode_of(
    backend: Backend, health_checks: Mapping[ObjectKey, HealthCheck], *, referenced: bool
) -> Mode:
    """Return a backend's situation; `referenced`: a frontend has it."""
    if not backend.enabled:
        return Disabled()
    if backend.paused:
        return Paused()
    if not referenced:
        return Idle()
    if backend.health_check is None:
        return Assumed()
    check = health_checks.get(backend.health_check)
    return Probed(_spec(check, backend)) if check is not None else Idle(lost_check=True)


def _spec(check: HealthCheck, backend: Backend) -> CheckSpec:
    """Apply a health check to a backend."""
    source = check.source_ipv4 if backend.address.version == 4 else check.source_ipv6
    return CheckSpec(
        address=backend.address, probe=check.probe, cadence=check.cadence, source=source
    )
