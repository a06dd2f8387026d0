"""Backend: a server, how it is checked, and what its health is."""

from collections.abc import Iterator
from ipaddress import ip_network
from typing import Annotated

from pydantic import Field

from vpplb.model.health import HealthState
from vpplb.model.names import ObjectKind
from vpplb.resources.addresses import ServerAddress
from vpplb.resources.allowances import AddressAllowances
from vpplb.resources.base import (
    AGE,
    Finding,
    KindDefinition,
    PrintColumn,
    SpecModel,
    StatusModel,
    reason_column,
)
from vpplb.resources.conditions import Conditions
from vpplb.resources.fields import Count, Timestamp
from vpplb.resources.text import ObjectName


class HealthCheckRef(SpecModel):
    """Names a HealthCheck of the namespace."""

    name: ObjectName
    """Name of the HealthCheck."""


class BackendSpec(SpecModel):
    """A server."""

    address: ServerAddress
    """IPv4 or IPv6 address of the server."""
    health_check_ref: HealthCheckRef | None = None
    """How it is checked; without it the server is taken for healthy and nothing is sent."""
    enabled: bool = True
    """Whether it may serve; false cuts its flows."""
    paused: bool = False
    """Whether probing is suspended; while paused it gets no new flows and keeps those it has."""


class BackendTransition(StatusModel):
    """A change of state."""

    from_: Annotated[HealthState, Field(validation_alias="from", serialization_alias="from")]
    """State before."""
    to: HealthState
    """State after."""
    at: Timestamp
    """When."""
    code: str | None = None
    """What the deciding probe saw, such as L4CON; empty when a person did it."""
    detail: str | None = None
    """The same in words."""


class BackendStatus(StatusModel):
    """Health of the server, and what became of its spec."""

    state: HealthState = HealthState.UNKNOWN
    """unknown, up, down, paused or disabled."""
    since: Timestamp | None = None
    """When the state began."""
    code: str | None = None
    """What the deciding probe saw, such as L7OK or L4TOUT."""
    detail: str | None = None
    """The same in words, such as `503 Service Unavailable`."""
    held: bool | None = None
    """True while the server goes on serving though its state is not up: unknown after a restart
    of the check, up before; or down while the prober itself is suspected."""
    transitions: tuple[BackendTransition, ...] = ()
    """The latest changes of state, newest first."""
    conditions: Conditions = ()
    """Accepted and Healthy."""
    frontends: Count | None = None
    """Number of frontends that reference it."""
    observed_generation: Count | None = None
    """The generation of the spec that this status is about."""


def _not_allowed(spec: BackendSpec, allowed: AddressAllowances) -> Iterator[Finding]:
    for says in allowed.refuses_address(ip_network(spec.address)):
        yield ("address",), says


BACKEND = KindDefinition(
    kind=ObjectKind.BACKEND,
    plural="backends",
    short_name="vbe",
    description="A server that frontends may send traffic to.",
    spec=BackendSpec,
    status=BackendStatus,
    checks=_not_allowed,
    columns=(
        PrintColumn("Address", ".spec.address"),
        PrintColumn("Check", ".spec.healthCheckRef.name"),
        PrintColumn("State", ".status.state"),
        PrintColumn("Code", ".status.code"),
        PrintColumn("Since", ".status.since", "date"),
        PrintColumn("Detail", ".status.detail", wide=True),
        PrintColumn("Frontends", ".status.frontends", "integer", wide=True),
        reason_column("Accepted"),
        AGE,
    ),
)
