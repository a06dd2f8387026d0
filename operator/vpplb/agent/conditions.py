"""The conditions of a Dataplane, from what its agent knows."""

from collections.abc import Sequence

from vpplb.resources.conditions import Condition
from vpplb.resources.dataplane import DataplaneVpp

_FEW = 5
"""So many errors are said in a condition; `errors` of the status has more."""


def connected(vpp: DataplaneVpp, reason: str) -> Condition:
    """Say whether VPP is connected, and for which `reason` not."""
    if vpp.connected:
        said = f"VPP {vpp.version} answers"
        return Condition(type="Connected", status="True", reason="Connected", message=said)
    return Condition(type="Connected", status="False", reason="VppUnreachable", message=reason)


def synced(
    vpp: DataplaneVpp, reason: str, carried: int, total: int, errors: Sequence[str]
) -> Condition:
    """Say whether `carried` of `total` frontends are all, and why not."""
    said = f"{carried} of {total} frontends are programmed"
    if not vpp.connected:
        return Condition(type="Synced", status="Unknown", reason="VppUnreachable", message=reason)
    if errors:
        message = f"{said}; {'; '.join(errors[:_FEW])}"
        return Condition(type="Synced", status="False", reason="Failed", message=message)
    if carried < total:
        return Condition(type="Synced", status="False", reason="Pending", message=said)
    return Condition(type="Synced", status="True", reason="Synced", message=said)
