"""The users' objects in the core's terms: parsed and defaulted, not yet resolved.

`ignored` says which fields of an object this version does not know, and so passes over.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from vpplb.model.names import ObjectKey
from vpplb.model.problem import Problem
from vpplb.model.vip import Encap, IPAddress, VipId

if TYPE_CHECKING:  # half of the time that this takes to import, and few need it at once
    from vpplb.model.check import ProbeCadence, ProbeKind

NodeSelector = tuple[tuple[str, str], ...]
"""Labels that a node must have, sorted by their names; none select every node."""


class SecretHeader(NamedTuple):
    """A header whose value is that of `key` in a Secret, at `position` of all of a check's."""

    position: int
    name: str
    secret: ObjectKey
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretValues:
    """What is known of a Secret: its values by key, None for one that no header can have.

    `trouble` says why nothing is known, as the end of a sentence. No `repr` shows the values.
    """

    values: Mapping[str, str | None] = field(default_factory=dict, repr=False)
    trouble: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthCheck:
    """A HealthCheck. `source_ipv4`/`source_ipv6` are the probes' source address by family.

    `probe` has those headers whose values are given; `plan.headers` adds `secret_headers`.
    """

    key: ObjectKey
    probe: "ProbeKind"
    cadence: "ProbeCadence"
    secret_headers: tuple[SecretHeader, ...] = ()
    source_ipv4: IPAddress | None = None
    source_ipv6: IPAddress | None = None
    generation: int = 0
    ignored: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Backend:
    """A Backend. `health_check` None: assumed healthy, no traffic is sent."""

    key: ObjectKey
    address: IPAddress
    health_check: ObjectKey | None = None
    enabled: bool = True
    paused: bool = False
    generation: int = 0
    ignored: tuple[Problem, ...] = ()


class PoolMember(NamedTuple):
    """A backend in a pool, with its configured weight (0 to 100)."""

    backend: ObjectKey
    weight: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """A named set of members; the order of pools is the order of preference."""

    name: str
    members: tuple[PoolMember, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Frontend:
    """A Frontend. Fields that are None are chosen from the backends (encap, table_length).

    The older of two conflicting frontends wins: by `created`, then by `key`.
    """

    key: ObjectKey
    vip: VipId
    pools: tuple[Pool, ...]
    encap: Encap | None = None
    dscp: int = 0
    target_port: int = 0
    src_ip_sticky: bool = False
    flush_on_down: bool = True
    table_length: int | None = None
    node_selector: NodeSelector = ()
    created: datetime | None = None
    generation: int = 0
    ignored: tuple[Problem, ...] = ()
