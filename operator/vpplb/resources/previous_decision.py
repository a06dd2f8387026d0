"""What a Frontend's status tells of the decision that it shows: what to go on from."""

from collections.abc import Mapping
from ipaddress import ip_address

from vpplb.model.health import HealthState
from vpplb.model.names import ObjectKey
from vpplb.model.vip import IPAddress, Vip, VipId
from vpplb.plan.desired import DecisionContent, PreviousDecision
from vpplb.resources.conditions import load_condition
from vpplb.resources.dataplane_codec import load_dataplane, load_order
from vpplb.resources.stored import decided_selector


def load_previous(key: ObjectKey, status: object) -> PreviousDecision:
    """Read what was decided last from a Frontend's status; nothing where it makes no sense."""
    if not isinstance(status, Mapping):
        return PreviousDecision()
    try:
        loaded = load_dataplane(status)
    except ValueError:
        return PreviousDecision()
    states: dict[ObjectKey, HealthState] = {}
    addresses: dict[ObjectKey, IPAddress] = {}
    for entry in status.get("backends") or ():
        try:
            member = ObjectKey(key.namespace, entry["name"])
            states[member] = HealthState(entry["state"])
            addresses[member] = ip_address(entry["address"])
        except (ValueError, KeyError, TypeError):
            continue
    return PreviousDecision(
        content=_load_content(status, loaded),
        order=load_order(status),
        states=states,
        addresses=addresses,
    )


def _load_content(
    status: Mapping[str, object], loaded: tuple[VipId, Vip, str] | None
) -> DecisionContent:
    if loaded is None:
        return DecisionContent(withdrawn=is_withdrawn(status))
    selector = decided_selector({"status": status}) or {}
    return DecisionContent(loaded[0], loaded[1], tuple(sorted(selector.items())))


def is_withdrawn(status: object) -> bool:
    """Whether a Frontend's status says that its VIP must not exist: another object has it."""
    if not isinstance(status, Mapping) or status.get("dataplane") is not None:
        return False
    if status.get("withdrawn") is not None:
        return True
    accepted = load_condition(status, "Accepted")
    return accepted is not None and accepted.status == "False" and accepted.reason == "Conflict"
