"""Dataplane: one node's VPP."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from vpplb.model.names import ObjectKind
from vpplb.plan.settings import DesiredSettings
from vpplb.resources import condition_reasons
from vpplb.resources.addresses import AddressV4, AddressV6
from vpplb.resources.base import (
    AGE,
    KindDefinition,
    PrintColumn,
    SpecModel,
    StatusModel,
    condition_column,
)
from vpplb.resources.conditions import Conditions, StatusCondition
from vpplb.resources.fields import Count, Seconds, StickyBuckets, Timestamp

RELEASE = "vpplb.dev/release"
"""Annotation of a Dataplane: the release whose agent keeps it. Other releases do not count it."""


def release_of(metadata: Mapping[str, Any]) -> str:
    """Return whose a Dataplane is; empty where an agent of an older version does not tell."""
    return str((metadata.get("annotations") or {}).get(RELEASE) or "")


class DataplaneSpec(SpecModel):
    """Settings of one node's VPP."""

    paused: bool = False
    """Hands off: nothing is changed in this node's VPP while true."""
    ipv4_source_address: AddressV4 | None = None
    """Outer source address of GRE over IPv4; by default the agent's flag."""
    ipv6_source_address: AddressV6 | None = None
    """Outer source address of GRE over IPv6; by default the agent's flag."""
    sticky_buckets_per_core: StickyBuckets | None = None
    """Buckets of the table of known flows, a worker thread, a power of two; by default what VPP
    has."""
    allow_flow_loss: bool | None = None
    """Lets the buckets be changed while VIPs are in service, where VPP forgets all known flows; by
    default they are not."""
    flow_timeout: Seconds | None = None
    """How long an idle flow is remembered, in whole seconds; by default what VPP has."""

    def merge_settings(self, default: DesiredSettings) -> DesiredSettings:
        """Return the plugin's settings: `default` (the agent's flags) with what is given here."""
        timeout = self.flow_timeout
        return DesiredSettings(
            ipv4_source=self.ipv4_source_address or default.ipv4_source,
            ipv6_source=self.ipv6_source_address or default.ipv6_source,
            sticky_buckets_per_core=self.sticky_buckets_per_core or default.sticky_buckets_per_core,
            flow_timeout=timeout // timedelta(seconds=1) if timeout else default.flow_timeout,
            allow_flow_loss=bool(self.allow_flow_loss),
        )


MOST_ERRORS = 256
"""So many errors are listed: a VPP that refuses thousands of frontends must still be reported."""
AGENT_GONE = condition_reasons.AGENT_GONE.reason
"""Reason of `Connected` where the agent's lease has run out."""
DIRECT_ROAD_LOST = condition_reasons.HEARD_BY_STATUS.reason
"""Reason of `OperatorHeard` where an operator leads, and not directly."""


def agent_gone() -> StatusCondition:
    return condition_reasons.AGENT_GONE.make_condition("the agent's lease has run out")


class DataplaneVpp(StatusModel):
    """The VPP found on the node."""

    version: str | None = None
    """Its version."""
    pid: Count | None = None
    """Its process."""
    connected: bool = False
    """Whether the agent is connected to it."""
    since: Timestamp | None = None
    """Since when that is so."""


class DataplaneDirect(StatusModel):
    """The direct road: the operator that leads and is connected."""

    operator: str
    """Its process, as the lease of the election names it."""
    since: Timestamp | None = None
    """Since when that is so."""


class DataplaneFrontends(StatusModel):
    """How many frontends this node shall carry, and how many it does."""

    total: Count
    """Frontends selected for this node."""
    programmed: Count
    """Frontends that its VPP has as wanted."""
    summary: str = ""
    """Both, as `programmed/total`."""

    @classmethod
    def summarize_frontends(cls, programmed: int, total: int) -> "DataplaneFrontends":
        return cls(total=total, programmed=programmed, summary=f"{programmed}/{total}")


class DataplaneError(StatusModel):
    """A frontend that could not be programmed."""

    frontend: str
    """The frontend, as namespace/name."""
    message: str
    """What VPP said."""


class DataplaneStatus(StatusModel):
    """What the agent found and did."""

    vpp: DataplaneVpp | None = None
    """The VPP of the node."""
    direct: DataplaneDirect | None = None
    """The leader from which decisions come directly; absent: by the API server alone."""
    frontends: DataplaneFrontends | None = None
    """How many frontends are programmed."""
    programmed: dict[str, str] | None = None
    """What is programmed: revision by frontend (namespace/name)."""
    owned: str | None = None
    """VIPs that were made for a frontend, a line each: VIP and frontend (namespace/name)."""
    others: Count | None = None
    """Number of VIPs in this VPP that are not ours."""
    strange: tuple[str, ...] = ()
    """The first of those that no frontend can have, or that cannot be read back."""
    errors: tuple[DataplaneError, ...] = ()
    """What could not be programmed, the first 256."""
    last_change: Timestamp | None = None
    """When something was programmed last."""
    conditions: Conditions = ()
    """Connected, Synced, OperatorHeard and Accepted."""
    observed_generation: Count | None = None
    """The generation of the spec that this status is about."""


DATAPLANE = KindDefinition(
    kind=ObjectKind.DATAPLANE,
    short_name="vdp",
    description="The VPP of one node; named as the node and made by its agent.",
    spec=DataplaneSpec,
    status=DataplaneStatus,
    spec_required=False,
    columns=(
        PrintColumn("Version", ".status.vpp.version"),
        condition_column("Connected"),
        PrintColumn("Frontends", ".status.frontends.summary"),
        condition_column("Synced"),
        PrintColumn("Operator", '.status.conditions[?(@.type=="OperatorHeard")].status'),
        PrintColumn("Changed", ".status.lastChange", "date", wide=True),
        PrintColumn("Release", r".metadata.annotations.vpplb\.dev/release", wide=True),
        PrintColumn("Reason", '.status.conditions[?(@.type=="Connected")].reason', wide=True),
        AGE,
    ),
)
