"""Frontend: a VIP, and the pools of backends that serve it."""

from collections.abc import Iterator, Sequence
from typing import Annotated

from pydantic import Field

from vpplb.model.health import HealthState
from vpplb.model.names import ObjectKind
from vpplb.model.vip import Encap, VipProtocol
from vpplb.resources.addresses import VipPrefix
from vpplb.resources.adjustable import DEFAULT_WEIGHT
from vpplb.resources.allowances import AddressAllowances
from vpplb.resources.base import (
    AGE,
    CelRule,
    Finding,
    KindDefinition,
    Loc,
    PrintColumn,
    SpecModel,
    StatusModel,
    reason_column,
)
from vpplb.resources.conditions import Conditions
from vpplb.resources.dataplane_codec import DecisionPlace, OrderedDataplane
from vpplb.resources.fields import (
    Count,
    EncapName,
    Port,
    PortOrAll,
    ProtocolName,
    TableLength,
    Weight,
)
from vpplb.resources.schema import MAP_BY_NAME, SchemaOf, make_cel_rule
from vpplb.resources.text import (
    LABEL_KEY,
    LABEL_KEY_SAYS,
    DnsLabel,
    LabelKey,
    LabelValue,
    ObjectName,
)

MOST_POOLS = 16
"""Pools that a Frontend may have."""


class PoolBackend(SpecModel):
    """A backend in a pool, with its weight there."""

    name: ObjectName
    """Name of a Backend of the namespace."""
    weight: Weight = DEFAULT_WEIGHT
    """Its share of new flows, relative to the other backends of the pool; 0 drains it."""


class PoolSpec(SpecModel):
    """Backends that serve together."""

    name: DnsLabel
    """Name of the pool."""
    backends: Annotated[
        list[PoolBackend], Field(max_length=1024, json_schema_extra=MAP_BY_NAME)
    ] = Field(default=[])
    """The backends of the pool."""


_KEY_RULES = [make_cel_rule(f'self.all(key, key.matches(r"^{LABEL_KEY}$"))', LABEL_KEY_SAYS)]


class FrontendSpec(SpecModel):
    """A VIP and the pools of backends that serve it."""

    description: Annotated[str | None, Field(max_length=4096)] = None
    """Free text; by default none."""
    address: VipPrefix
    """The VIP: an IPv4 or IPv6 address, or a prefix."""
    protocol: ProtocolName = VipProtocol.TCP
    """TCP, UDP, or Any for all protocols and all ports."""
    port: PortOrAll | None = None
    """Port of the VIP; absent or 0 with protocol Any, required otherwise."""
    encap: EncapName | None = None
    """How packets get to the backends; by default GRE of the backends' family."""
    dscp: Annotated[int, Field(ge=0, le=63)] | None = None
    """DSCP that tells the VIP to the servers; only with L3DSR, by default 0."""
    target_port: Port | None = None
    """Port of the backends, by default that of the VIP; only with NAT4 or NAT6."""
    src_ip_sticky: Annotated[
        bool, Field(validation_alias="srcIPSticky", serialization_alias="srcIPSticky")
    ] = False
    """Whether a client's flows all go to one backend."""
    flush_on_down: bool = True
    """Whether a backend's flows are cut when it goes down."""
    flow_table_length: TableLength | None = None
    """Buckets of the table of new flows, a power of two; by default what the weights need, when
    the VIP is made."""
    node_selector: Annotated[
        dict[LabelKey, LabelValue] | None,
        Field(max_length=32, json_schema_extra={"x-kubernetes-validations": _KEY_RULES}),
    ] = None
    """Labels of the nodes that carry this VIP; by default all nodes do."""
    pools: Annotated[
        list[PoolSpec], Field(min_length=1, max_length=MOST_POOLS, json_schema_extra=MAP_BY_NAME)
    ]
    """Pools in order of preference: the first that has a healthy backend serves."""


class FrontendBackend(StatusModel):
    """A backend of the frontend, as it stands."""

    name: str
    """Name of the Backend."""
    address: str | None = None
    """Its address."""
    pool: str
    """The pool that it is in."""
    state: HealthState
    """Its state of health."""
    weight: Weight
    """Its weight as configured."""
    effective_weight: Weight
    """Its weight as it is now."""


class FrontendNodes(StatusModel):
    """Nodes that shall carry the VIP, and those that do."""

    desired: Count
    """Nodes selected."""
    programmed: Count
    """Nodes whose VPP has the state of `dataplane`."""
    summary: str = ""
    """Both, as `programmed/desired`."""
    holding: bool | None = None
    """True while nodes that are not selected any more have to go on carrying the VIP."""

    @classmethod
    def summarize_nodes(
        cls, programmed: int, desired: int, *, holding: bool = False
    ) -> "FrontendNodes":
        return cls(
            desired=desired,
            programmed=programmed,
            summary=f"{programmed}/{desired}",
            holding=holding or None,
        )


class FrontendStatus(StatusModel):
    """What the VIP does at present, and what became of the spec."""

    state: Annotated[str | None, Field(json_schema_extra={"enum": ["up", "down", "unknown"]})] = (
        None
    )
    """up when a backend serves and a node carries it, unknown while neither is known, else down."""
    problem: str | None = None
    """What is wrong, in words of conditions' reasons, the worst first; absent where nothing is."""
    active_pool: str | None = None
    """The pool that serves."""
    ready: str | None = None
    """Backends that count as up, of all: `2/3`."""
    backends: tuple[FrontendBackend, ...] = ()
    """Each backend of each pool."""
    dataplane: Annotated[dict[str, object], SchemaOf(OrderedDataplane)] | None = None
    """All that nodes program, and when that was decided."""
    withdrawn: Annotated[dict[str, int], SchemaOf(DecisionPlace)] | None = None
    """When it was decided that no node may carry the VIP; absent while one may."""
    nodes: FrontendNodes | None = None
    """On how many nodes it is programmed."""
    conditions: Conditions = ()
    """Accepted, ResolvedRefs, Available, Programmed, Degraded, and their sum Ready."""
    observed_generation: Count | None = None
    """The generation of the spec that this status is about."""


_NAT = (Encap.NAT4, Encap.NAT6)


def _is_ipv4(spec: FrontendSpec) -> bool:
    return spec.address.version == 4


MOST_BACKENDS = 2048
"""Backends in all pools of one frontend. Spec and status of more would exceed what etcd takes (1.5
MiB an object), and each decision is about all of them."""


def _list_backends(spec: FrontendSpec) -> int:
    return sum(len(pool.backends) for pool in spec.pools)


_RULES: tuple[CelRule[FrontendSpec], ...] = (
    CelRule(
        field="pools",
        message=f"must have at most {MOST_BACKENDS} backends in all",
        holds=lambda spec: _list_backends(spec) <= MOST_BACKENDS,
        cel=f"self.pools.map(pool, size(pool.backends)).sum() <= {MOST_BACKENDS}",
    ),
    CelRule(
        field="port",
        reads=("protocol",),
        message="is required with protocol TCP or UDP",
        holds=lambda spec: spec.protocol is VipProtocol.ANY or bool(spec.port),
        cel="self.protocol == 'Any' || (has(self.port) && self.port != 0)",
    ),
    CelRule(
        field="port",
        reads=("protocol",),
        message="must be absent with protocol Any, which carries all ports",
        holds=lambda spec: spec.protocol is not VipProtocol.ANY or not spec.port,
        cel="self.protocol != 'Any' || !has(self.port) || self.port == 0",
    ),
    CelRule(
        field="dscp",
        reads=("encap",),
        message="must be absent unless encap is L3DSR",
        holds=lambda spec: spec.dscp is None or spec.encap is Encap.L3DSR,
        cel="!has(self.dscp) || (has(self.encap) && self.encap == 'L3DSR')",
    ),
    CelRule(
        field="targetPort",
        reads=("encap",),
        message="must be absent unless encap is NAT4 or NAT6",
        holds=lambda spec: spec.target_port is None or spec.encap in _NAT,
        cel="!has(self.targetPort) || (has(self.encap) && self.encap in ['NAT4', 'NAT6'])",
    ),
    CelRule(
        field="encap",
        reads=("address",),
        message="L3DSR and NAT4 need an IPv4 VIP",
        holds=lambda spec: spec.encap not in (Encap.L3DSR, Encap.NAT4) or _is_ipv4(spec),
        cel="!has(self.encap) || !(self.encap in ['L3DSR', 'NAT4']) || !self.address.contains(':')",
    ),
    CelRule(
        field="encap",
        reads=("address",),
        message="NAT6 needs an IPv6 VIP",
        holds=lambda spec: spec.encap is not Encap.NAT6 or not _is_ipv4(spec),
        cel="!has(self.encap) || self.encap != 'NAT6' || self.address.contains(':')",
    ),
    CelRule(
        field="encap",
        reads=("protocol",),
        message="L3DSR needs protocol Any: it carries all ports",
        holds=lambda spec: spec.encap is not Encap.L3DSR or spec.protocol is VipProtocol.ANY,
        cel="!has(self.encap) || self.encap != 'L3DSR' || self.protocol == 'Any'",
    ),
    # VPP has no NAT of all-port VIPs, yet accepts one and leaves its route without a node
    # (lb.c, lb_vip_add_adjacency: only lb_vip_is_nat4_port and lb_vip_is_nat6_port).
    CelRule(
        field="encap",
        reads=("protocol",),
        message="NAT4 and NAT6 need protocol TCP or UDP with a port",
        holds=lambda spec: spec.encap not in _NAT or spec.protocol is not VipProtocol.ANY,
        cel="!has(self.encap) || !(self.encap in ['NAT4', 'NAT6']) || self.protocol != 'Any'",
    ),
)


def _find_mistakes(spec: FrontendSpec, allowed: AddressAllowances) -> Iterator[Finding]:
    yield from _repeated_names(spec)
    for says in allowed.refuses_address(spec.address):
        yield ("address",), says
    for says in allowed.refuses_encap(spec.encap):
        yield ("encap",), says


def _repeated_names(spec: FrontendSpec) -> Iterator[Finding]:
    """Find what the API server refuses since the lists are maps keyed by name."""
    yield from _find_repeats(("pools",), [pool.name for pool in spec.pools])
    for position, pool in enumerate(spec.pools):
        yield from _find_repeats(
            ("pools", position, "backends"), [backend.name for backend in pool.backends]
        )


def _find_repeats(loc: Loc, names: Sequence[str]) -> Iterator[Finding]:
    seen: set[str] = set()
    for position, name in enumerate(names):
        if name in seen:
            yield (*loc, position), f'must not repeat the name "{name}" within the list'
        seen.add(name)


FRONTEND = KindDefinition(
    kind=ObjectKind.FRONTEND,
    short_name="vfe",
    description="A virtual IP address that VPP balances over pools of backends.",
    spec=FrontendSpec,
    status=FrontendStatus,
    rules=_RULES,
    checks=_find_mistakes,
    columns=(
        PrintColumn("VIP", ".spec.address"),
        PrintColumn("Protocol", ".spec.protocol"),
        PrintColumn("Port", ".spec.port", "integer"),
        PrintColumn("State", ".status.state"),
        PrintColumn("Pool", ".status.activePool"),
        PrintColumn("Ready", ".status.ready"),
        PrintColumn("Nodes", ".status.nodes.summary"),
        PrintColumn("Problem", ".status.problem"),
        PrintColumn("Encap", ".status.dataplane.encap", wide=True),
        reason_column("Accepted"),
        reason_column("Programmed"),
        AGE,
    ),
)
