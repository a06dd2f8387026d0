"""One probe by the real loop, in this process."""

import time
from datetime import timedelta
from ipaddress import ip_address

from vpplb.model.check import CheckSpec, ProbeCadence, ProbeKind
from vpplb.model.names import ObjectKey
from vpplb.probers.check_loop import CheckLoop
from vpplb.reconcile.ports import ProbeAssignment


def spec(
    probe: ProbeKind, address: str = "127.0.0.1", *, source: str = "", timeout: float = 5.0
) -> CheckSpec:
    """Apply a probe to an address, with a timeout in seconds."""
    return CheckSpec(
        address=ip_address(address),
        probe=probe,
        cadence=ProbeCadence(timeout=timedelta(seconds=timeout)),
        source=ip_address(source) if source else None,
    )


def first_verdict(check: CheckSpec) -> tuple[str, str]:
    """Probe once; return the code and the detail."""
    loop = CheckLoop()
    try:
        loop.assign_checks(
            [ProbeAssignment(backend=ObjectKey("ns", "b"), generation=1, spec=check)]
        )
        give_up = time.monotonic() + 10
        while not loop.verdicts and time.monotonic() < give_up:
            loop.run_once(1.0)
        return loop.verdicts[0].code.value, loop.verdicts[0].detail
    finally:
        loop.close()


def probed(
    probe: ProbeKind, address: str = "127.0.0.1", *, timeout: float = 5.0
) -> tuple[str, str]:
    """Probe once with a timeout in seconds; return the code and the detail."""
    return first_verdict(spec(probe, address, timeout=timeout))
