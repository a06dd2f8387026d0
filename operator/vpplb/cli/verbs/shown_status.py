"""What a status shows, as far as people are told: read leniently, and quick to import.

A status may be of another version of vpplb. A part of it that makes no sense is as if absent, and
its name is in `odd`. The models of `resources` say what we write; they take longer to import than
a command may, and so would frozen dataclasses: a tuple is made in a seventh of the time.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from ipaddress import ip_address, ip_network
from typing import Any, NamedTuple, TypeVar

from vpplb.kube.api_types import JsonObject
from vpplb.model.health import HealthState
from vpplb.model.vip import IPAddress, VipId, VipProtocol
from vpplb.resources.raw_fields import parse_time

T = TypeVar("T")


class ShownCondition(NamedTuple):
    """A condition; `since` when it came to be so."""

    type: str
    status: str
    reason: str
    message: str
    since: datetime | None


class ShownTransition(NamedTuple):
    """A transition of a backend's state."""

    at: datetime
    before: str
    after: str
    code: str
    detail: str


class ShownBackend(NamedTuple):
    """The status of a Backend; `frontends` None: it does not say how many use it."""

    state: HealthState
    code: str
    detail: str
    since: datetime | None
    held: bool
    frontends: int | None
    transitions: tuple[ShownTransition, ...]
    conditions: tuple[ShownCondition, ...]
    odd: tuple[str, ...]


class ShownMember(NamedTuple):
    """A backend in a pool, as a Frontend was decided."""

    pool: str
    name: str
    address: str
    state: HealthState
    effective_weight: int


class ShownVip(NamedTuple):
    """What nodes shall have: `weights` of servers in a table of `table_length` buckets."""

    vip: VipId
    encap: str
    table_length: int
    revision: str
    weights: Mapping[IPAddress, int]


class ShownFrontend(NamedTuple):
    """The status of a Frontend; `nodes` is such as `2/3`, `vip` None where none is wanted."""

    state: str
    active_pool: str
    ready: str
    nodes: str
    members: tuple[ShownMember, ...]
    vip: ShownVip | None
    conditions: tuple[ShownCondition, ...]
    odd: tuple[str, ...]


class ShownNode(NamedTuple):
    """The status of a Dataplane; `programmed` are revisions by frontend, `errors` its failures."""

    version: str
    pid: int | None
    vpp_since: datetime | None
    programmed_count: int
    total: int
    others: int
    direct: str
    direct_since: datetime | None
    last_change: datetime | None
    programmed: Mapping[str, str]
    errors: Mapping[str, str]
    conditions: tuple[ShownCondition, ...]
    odd: tuple[str, ...]


@dataclass(slots=True)
class _PartReader:
    """Reads parts of a status, and notes those that make no sense."""

    status: Mapping[str, Any]
    odd: set[str] = field(default_factory=set)

    @classmethod
    def of_object(cls, raw: JsonObject) -> "_PartReader":
        found = raw.get("status")
        if found is None or isinstance(found, Mapping):
            return cls(found or {})
        return cls({}, {"all of it"})

    def read(self, name: str, how: Callable[[Any], T], otherwise: T) -> T:
        value = self.status.get(name)
        if value is None:
            return otherwise
        try:
            return how(value)
        except (TypeError, ValueError, KeyError, AttributeError):
            self.odd.add(name)
            return otherwise

    def read_conditions(self) -> tuple[ShownCondition, ...]:
        """Read the conditions, the first of each type; those that make no sense are left out."""
        nothing: tuple[Mapping[str, Any], ...] = ()
        given = self.read("conditions", _entries, nothing)
        found: dict[str, ShownCondition] = {}
        for entry in given:
            try:
                one = _condition(entry)
            except (TypeError, ValueError, KeyError):
                self.odd.add("conditions")
            else:
                found.setdefault(one.type, one)
        return tuple(found.values())

    def list_odd(self) -> tuple[str, ...]:
        return tuple(sorted(self.odd))


def read_shown_backend(raw: JsonObject) -> ShownBackend:
    part = _PartReader.of_object(raw)
    return ShownBackend(
        state=part.read("state", HealthState, HealthState.UNKNOWN),
        code=part.read("code", _text, ""),
        detail=part.read("detail", _text, ""),
        since=part.read("since", parse_time, None),
        held=part.read("held", _flag, False),
        frontends=part.read("frontends", _number, None),
        transitions=part.read("transitions", _transitions, ()),
        conditions=part.read_conditions(),
        odd=part.list_odd(),
    )


def read_shown_frontend(raw: JsonObject) -> ShownFrontend:
    part = _PartReader.of_object(raw)
    return ShownFrontend(
        state=part.read("state", _text, ""),
        active_pool=part.read("activePool", _text, ""),
        ready=part.read("ready", _text, ""),
        nodes=part.read("nodes", lambda value: _text(value.get("summary", "")), ""),
        members=part.read("backends", _members, ()),
        vip=part.read("dataplane", _vip, None),
        conditions=part.read_conditions(),
        odd=part.list_odd(),
    )


def read_shown_node(raw: JsonObject) -> ShownNode:
    part = _PartReader.of_object(raw)
    nothing: Mapping[str, Any] = {}
    vpp = part.read("vpp", _section, nothing)
    direct = part.read("direct", _section, nothing)
    counts = part.read("frontends", _section, nothing)
    return ShownNode(
        version=_PartReader(vpp).read("version", _text, ""),
        pid=_PartReader(vpp).read("pid", _number, None),
        vpp_since=_PartReader(vpp).read("since", parse_time, None),
        programmed_count=_PartReader(counts).read("programmed", _number, 0),
        total=_PartReader(counts).read("total", _number, 0),
        others=part.read("others", _number, 0),
        direct=_PartReader(direct).read("operator", _text, ""),
        direct_since=_PartReader(direct).read("since", parse_time, None),
        last_change=part.read("lastChange", parse_time, None),
        programmed=part.read("programmed", _texts, {}),
        errors=part.read("errors", _errors, {}),
        conditions=part.read_conditions(),
        odd=part.list_odd(),
    )


def read_conditions(raw: JsonObject) -> tuple[ShownCondition, ...]:
    return _PartReader.of_object(raw).read_conditions()


def find_shown(conditions: Sequence[ShownCondition], type_: str) -> ShownCondition | None:
    return next((one for one in conditions if one.type == type_), None)


# --- kinds of values: each raises TypeError, ValueError or KeyError for what it is not ----------


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("not a text")
    return value


def _number(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise TypeError("not a number")
    return value


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise TypeError("neither true nor false")
    return value


def _section(value: object) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise TypeError("not an object")
    return value


def _entries(value: object) -> tuple[Mapping[str, Any], ...]:
    if not isinstance(value, list):
        raise TypeError("not a list")
    return tuple(_section(one) for one in value)


def _texts(value: object) -> Mapping[str, str]:
    return {name: _text(one) for name, one in _section(value).items()}


def _errors(value: object) -> Mapping[str, str]:
    return {_text(one["frontend"]): _text(one["message"]) for one in _entries(value)}


def _condition(entry: Mapping[str, Any]) -> ShownCondition:
    if entry["status"] not in ("True", "False", "Unknown"):
        raise ValueError("not a status")
    since = entry.get("lastTransitionTime")
    return ShownCondition(
        type=_text(entry["type"]),
        status=entry["status"],
        reason=_text(entry["reason"]),
        message=_text(entry.get("message") or ""),
        since=parse_time(since) if since else None,
    )


def _transitions(value: object) -> tuple[ShownTransition, ...]:
    return tuple(
        ShownTransition(
            at=parse_time(one["at"]),
            before=HealthState(one["from"]).value,
            after=HealthState(one["to"]).value,
            code=_text(one.get("code") or ""),
            detail=_text(one.get("detail") or ""),
        )
        for one in _entries(value)
    )


def _members(value: object) -> tuple[ShownMember, ...]:
    return tuple(
        ShownMember(
            pool=_text(one["pool"]),
            name=_text(one["name"]),
            address=_text(one.get("address") or ""),
            state=HealthState(one["state"]),
            effective_weight=_number(one["effectiveWeight"]),
        )
        for one in _entries(value)
    )


def _vip(value: object) -> ShownVip:
    given = _section(value)
    vip = VipId(
        ip_network(_text(given["prefix"])), VipProtocol(given["protocol"]), _number(given["port"])
    )
    length = _number(given["flowTableLength"])
    if not length:
        raise ValueError("a table has a bucket")
    return ShownVip(
        vip=vip,
        encap=_text(given["encap"]),
        table_length=length,
        revision=_text(given["revision"]),
        weights=dict(_weights(given["servers"])),
    )


def _weights(value: object) -> Iterator[tuple[IPAddress, int]]:
    for one in _entries(value):
        yield ip_address(_text(one["address"])), _number(one["weight"])
