"""`Frontend.status.dataplane`: a VIP's whole wanted state, written by the operator for the agents.

The revision is a hash of all that nodes program, so it changes exactly when any of that does. The
order beside it (`term`, `sequence`) says which of two decisions is the newer one; it may be renewed
while the content stays. Where the VIP must not exist, the order is in `status.withdrawn`.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Annotated, TypeGuard

from pydantic import Field, ValidationError

from vpplb.model.decision_order import LATEST, LATEST_BELIEVED, UNORDERED, DecisionOrder
from vpplb.model.vip import AppServer, Encap, Vip, VipId, VipProtocol, VipSettings
from vpplb.resources.addresses import StoredAddress, StoredPrefix
from vpplb.resources.base import StatusModel
from vpplb.resources.fields import Count, PortOrAll, Weight
from vpplb.resources.messages import list_findings, spell_path


class DataplaneServer(StatusModel):
    """An application server of the VIP, as VPP is to have it."""

    address: StoredAddress
    """Its address."""
    weight: Weight
    """Its entries in the table of new flows."""
    flush_epoch: Count
    """Grows each time its flows are to be cut."""
    undecided: bool = False
    """Not known to be up or down: a tentative VIP keeps its weight."""


class FrontendDataplane(StatusModel):
    """A VIP as every node's VPP shall have it."""

    prefix: StoredPrefix
    """Prefix of the VIP."""
    protocol: VipProtocol
    """Protocol of the VIP."""
    port: PortOrAll
    """Port of the VIP; 0 with protocol Any."""
    encap: Encap
    """How packets get to the servers."""
    dscp: Count
    """DSCP; 0 but with L3DSR."""
    target_port: PortOrAll
    """Port of the servers; 0 but with NAT."""
    src_ip_sticky: Annotated[
        bool, Field(validation_alias="srcIPSticky", serialization_alias="srcIPSticky")
    ]
    """Whether a client's flows all go to one server."""
    flow_table_length: Annotated[int, Field(ge=1)]
    """Buckets of the table of new flows."""
    node_selector: dict[str, str] | None = None
    """Labels of the nodes that carry it; absent: those of the spec."""
    servers: tuple[DataplaneServer, ...]
    """The application servers, IPv4 before IPv6, then in numeric order."""
    any_flow_table_length: bool = False
    """Whether a VIP that is there keeps its own."""
    tentative: bool = False
    """Not all servers have a verdict: a VIP that serves keeps them."""
    revision: str
    """Hash of everything above."""


class DecisionPlace(StatusModel):
    """Which of two decisions is the newer one; absent where a version that tells none decided."""

    term: Count = 0
    """When the operator that decided it began to lead, in microseconds since 1970."""
    sequence: Count = 0
    """Counts that operator's decisions, on all frontends: the later term, then sequence, counts."""


class OrderedDataplane(DecisionPlace, FrontendDataplane):
    """All that stands there. The two are read apart: nonsense in one does not spoil the other."""


def dump_dataplane(
    vip_id: VipId,
    vip: Vip,
    node_selector: Iterable[tuple[str, str]] = (),
    order: DecisionOrder = UNORDERED,
) -> dict[str, object]:
    """Return `status.dataplane` with its revision; the same for the same arguments."""
    settings = vip.settings
    content: dict[str, object] = {
        "prefix": str(vip_id.prefix),
        "protocol": vip_id.protocol.value,
        "port": vip_id.port,
        "encap": settings.encap.value,
        "dscp": settings.dscp,
        "targetPort": settings.target_port,
        "srcIPSticky": settings.src_ip_sticky,
        "flowTableLength": settings.table_length,
        "servers": [
            {"address": str(address), "weight": server.weight, "flushEpoch": server.flush_epoch}
            | ({"undecided": True} if server.undecided else {})
            for address, server in vip.servers.items()
        ],
    }
    if vip.any_length:
        content["anyFlowTableLength"] = True
    if vip.tentative:
        content["tentative"] = True
    if selector := dict(node_selector):
        content["nodeSelector"] = selector
    return content | {"revision": _hash_content(content)} | dump_order(order)


def dump_order(order: DecisionOrder) -> dict[str, int]:
    """Return what a status says of an order: nothing of one that is not known."""
    return {"term": order.term, "sequence": order.sequence} if order.is_known else {}


def _hash_content(content: Mapping[str, object]) -> str:
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:12]


def load_dataplane(status: object) -> tuple[VipId, Vip, str] | None:
    """Read what a Frontend's status says: the VIP, what it shall be, and the revision.

    `status` is the whole `status` of a Frontend. None where there is no computed `dataplane`;
    ValueError where there is one that cannot be read.
    """
    found = status.get("dataplane") if isinstance(status, Mapping) else None
    if found is None:
        return None
    try:
        return _load_vip(FrontendDataplane.model_validate(found))
    except ValidationError as error:
        field, message = list_findings(error, FrontendDataplane)[0]
        raise ValueError(f"status.dataplane: {spell_path(field)} {message}") from error


def load_order(status: object) -> DecisionOrder:
    """Read the order of what a Frontend's status decides.

    UNORDERED where it has none, or one that makes no sense.
    """
    shown = status if isinstance(status, Mapping) else {}
    found = shown.get("dataplane") or shown.get("withdrawn")
    if not isinstance(found, Mapping):
        return UNORDERED
    term, sequence = found.get("term"), found.get("sequence")
    if not _is_count(term) or not _is_count(sequence) or not 0 < term <= LATEST_BELIEVED:
        return UNORDERED
    return DecisionOrder(term, sequence)


def _is_count(found: object) -> TypeGuard[int]:
    return isinstance(found, int) and not isinstance(found, bool) and 0 <= found <= LATEST


def _load_vip(read: FrontendDataplane) -> tuple[VipId, Vip, str]:
    settings = VipSettings(
        encap=read.encap,
        dscp=read.dscp,
        target_port=read.target_port,
        src_ip_sticky=read.src_ip_sticky,
        table_length=read.flow_table_length,
    )
    servers = {
        server.address: AppServer(
            weight=server.weight, flush_epoch=server.flush_epoch, undecided=server.undecided
        )
        for server in read.servers
    }
    vip = Vip(
        settings=settings,
        servers=servers,
        tentative=read.tentative,
        any_length=read.any_flow_table_length,
    )
    vip_id = VipId(read.prefix, read.protocol, read.port)
    return vip_id, vip, read.revision
