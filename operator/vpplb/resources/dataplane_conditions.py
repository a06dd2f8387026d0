"""The conditions of a Dataplane, in words: whether VPP is connected, and as it should be."""

from collections.abc import Mapping, Sequence

from vpplb.model.names import ObjectKey
from vpplb.resources import condition_reasons as reasons
from vpplb.resources.conditions import StatusCondition, load_condition
from vpplb.resources.dataplane import AGENT_GONE, DataplaneVpp, agent_gone

FEW = 5
"""So many errors are said in a condition; `errors` of the status has more."""


def is_declared_gone(status: Mapping[str, object]) -> bool:
    """Whether the operator has taken this agent for gone, which is now to be put right."""
    connected = load_condition(status, "Connected")
    return connected is not None and connected.reason == AGENT_GONE


def connected_condition(vpp: DataplaneVpp, reason: str, lapsed: bool) -> StatusCondition:
    """Say whether VPP is connected, and for which `reason` not.

    An agent whose lease has lapsed says the same as the operator, or they would undo each other.
    """
    if lapsed:
        return agent_gone()
    if vpp.connected:
        return reasons.CONNECTED.make_condition(f"VPP {vpp.version} answers")
    return reasons.VPP_UNREACHABLE.make_condition(reason)


def list_errors(conf_error: str, failures: Mapping[ObjectKey, str]) -> list[str]:
    """Put into sentences what VPP refused: the plugin's settings, then frontends."""
    return [
        *([conf_error] if conf_error else []),
        *(f"{key}: {error}" for key, error in sorted(failures.items())),
    ]


def synced_condition(
    vpp: DataplaneVpp, reason: str, carried: int, total: int, errors: Sequence[str]
) -> StatusCondition:
    """Say whether `carried` of `total` frontends are all, and why not."""
    said = f"{carried} of {total} frontends are programmed"
    if not vpp.connected:
        return reasons.SYNC_UNKNOWN.make_condition(reason)
    if errors:
        return reasons.SYNC_FAILED.make_condition(f"{said}; {'; '.join(errors[:FEW])}")
    return (reasons.SYNCING if carried < total else reasons.SYNCED).make_condition(said)
