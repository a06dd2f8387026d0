"""Backend: a server, how it is checked, and what its health is."""

from collections.abc import Iterator, Mapping
from ipaddress import ip_network
from typing import Annotated

from pydantic import Field, ValidationError

from vpplb.model.health import BackendHealth, HealthState, HealthTransition
from vpplb.model.names import ObjectKey, ObjectKind
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
    """A server that frontends may send traffic to, and how it is checked."""

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
    problem: str | None = None
    """What is wrong beside its state, in words of conditions' reasons; absent where nothing is."""
    transitions: tuple[BackendTransition, ...] = ()
    """The latest changes of state, newest first."""
    conditions: Conditions = ()
    """Accepted, Healthy, and their sum Ready."""
    frontends: Count | None = None
    """Number of frontends that reference it."""
    observed_generation: Count | None = None
    """The generation of the spec that this status is about."""


def _not_allowed(spec: BackendSpec, allowed: AddressAllowances) -> Iterator[Finding]:
    for says in allowed.refuses_address(ip_network(spec.address)):
        yield ("address",), says


BACKEND = KindDefinition(
    kind=ObjectKind.BACKEND,
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
        PrintColumn("Problem", ".status.problem"),
        PrintColumn("Detail", ".status.detail", wide=True),
        PrintColumn("Frontends", ".status.frontends", "integer", wide=True),
        reason_column("Accepted"),
        AGE,
    ),
)


# --- health, as the operator writes it and reads it when it restarts ------------------------------
#
# What an older version wrote, or someone else, is read as far as it can be: a status that makes no
# sense is the same as none, and the check starts fresh.


def dump_health(health: BackendHealth) -> BackendStatus:
    """Return the part of a Backend's status that shows its health."""
    return BackendStatus(
        state=health.state,
        since=health.since,
        code=health.code or None,
        detail=health.detail or None,
        held=health.held or None,
        transitions=tuple(_dump_transition(transition) for transition in health.transitions),
    )


def _dump_transition(transition: HealthTransition) -> BackendTransition:
    return BackendTransition(
        from_=transition.from_state,
        to=transition.to_state,
        at=transition.at,
        code=transition.code or None,
        detail=transition.detail or None,
    )


def load_health(key: ObjectKey, status: object) -> BackendHealth:
    """Return the health that the `status` of the Backend `key` shows; fresh where it shows none."""
    if not isinstance(status, Mapping):
        return BackendHealth()
    shown = {name: status.get(name) for name in ("state", "since", "code", "detail", "held")}
    try:
        read = BackendStatus.model_validate({k: v for k, v in shown.items() if v is not None})
    except ValidationError:
        return BackendHealth()
    return BackendHealth(
        state=read.state,
        since=read.since,
        code=read.code or "",
        detail=read.detail or "",
        held=bool(read.held),
        transitions=tuple(_load_transitions(key, status.get("transitions"))),
    )


def _load_transitions(key: ObjectKey, shown: object) -> Iterator[HealthTransition]:
    for entry in shown if isinstance(shown, list | tuple) else ():
        try:
            read = BackendTransition.model_validate(entry)
        except ValidationError:
            continue
        yield HealthTransition(
            backend=key,
            from_state=read.from_,
            to_state=read.to,
            at=read.at,
            code=read.code or "",
            detail=read.detail or "",
        )
