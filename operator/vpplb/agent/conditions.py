"""The conditions of a Dataplane, from what its agent knows."""

from collections.abc import Mapping, Sequence

from vpplb.model.names import ObjectKey
from vpplb.resources.conditions import Condition
from vpplb.resources.dataplane import DataplaneVpp, agent_gone

_FEW = 5
"""So many errors are said in a condition; `errors` of the status has more."""


def connected(vpp: DataplaneVpp, reason: str, lapsed: bool) -> Condition:
    """Say whether VPP is connected, and for which `reason` not.

    An agent whose lease has lapsed says the same as the operator, or they would undo each other.
    """
    if lapsed:
        return agent_gone()
    if vpp.connected:
        said = f"VPP {vpp.version} answers"
        return Condition(type="Connected", status="True", reason="Connected", message=said)
    return Condition(type="Connected", status="False", reason="VppUnreachable", message=reason)


def all_errors(conf_error: str, failures: Mapping[ObjectKey, str]) -> list[str]:
    """Put into sentences what VPP refused: the plugin's settings, then frontends."""
    return [
        *([conf_error] if conf_error else []),
        *(f"{key}: {error}" for key, error in sorted(failures.items())),
    ]


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
