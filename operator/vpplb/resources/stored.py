"""Objects as the API server has them: what is known is read, and what is not is said.

A stored object may be of another version: a newer CRD gives it fields by default, and leaves them
when the programs are rolled back; an older one let pass what is refused today. Files are read
strictly (`resources.parse`), but here strictness would stop what serves. So fields that this
version does not know are ignored and told, and nulls are as if absent. What cannot be understood
for the value of a field that is known has no value here, and what stands in for it is
the last version that was understood: from memory, or as its own status tells it.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from pydantic import ValidationError

from vpplb.model.health import HealthState
from vpplb.model.names import ObjectKey
from vpplb.model.objects import Backend, Frontend, HealthCheck, Pool, PoolMember
from vpplb.model.problem import Problem
from vpplb.model.vip import IPAddress
from vpplb.resources import convert, parse
from vpplb.resources.allowances import NOTHING, AddressAllowances
from vpplb.resources.backend import BACKEND, BackendSpec
from vpplb.resources.base import Finding, KindDefinition, Loc, SpecT, StatusModel
from vpplb.resources.dataplane_codec import load_dataplane
from vpplb.resources.frontend import FRONTEND, FrontendBackend, FrontendStatus
from vpplb.resources.healthcheck import HEALTH_CHECK
from vpplb.resources.messages import unknown_fields
from vpplb.resources.meta import ObjectMeta, read_meta
from vpplb.resources.raw_fields import check_selector, drop_nulls, spec_of

T = TypeVar("T", HealthCheck, Backend, Frontend, parse.ParsedDataplane)
M = TypeVar("M", bound=StatusModel)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredReading(Generic[T]):
    """What was read of an object. `value` None: it is not understood, for these `problems`."""

    value: T | None
    problems: tuple[Problem, ...] = ()


def read_health_check(
    raw: Mapping[str, object], allowed: AddressAllowances = NOTHING
) -> StoredReading[HealthCheck]:
    # What probes are made of takes long to import, for who does without (`is_check_understood`).
    from vpplb.resources.convert_check import convert_health_check

    return _read_object(raw, HEALTH_CHECK, convert_health_check, allowed)


def is_check_understood(raw: Mapping[str, object], allowed: AddressAllowances = NOTHING) -> bool:
    """Tell whether `read_health_check` would have a value."""
    return _understand_spec(raw, HEALTH_CHECK, allowed)[1] is not None


def read_backend(
    raw: Mapping[str, object], allowed: AddressAllowances = NOTHING
) -> StoredReading[Backend]:
    return _read_object(raw, BACKEND, convert.convert_backend, allowed)


def read_frontend(
    raw: Mapping[str, object], allowed: AddressAllowances = NOTHING
) -> StoredReading[Frontend]:
    return _read_object(raw, FRONTEND, convert.convert_frontend, allowed)


def read_dataplane(raw: Mapping[str, object]) -> StoredReading[parse.ParsedDataplane]:
    """Read a Dataplane of the API server.

    Its fields do not depend on each other, so those that are understood are served in any case. A
    `paused` that is not understood counts as true: hands off changes nothing.
    """
    # A kind of eight models, which only nodes need.
    from vpplb.resources.dataplane import DATAPLANE

    read = _read_object(raw, DATAPLANE, parse.convert_dataplane, NOTHING)
    if read.value is not None:
        return read
    good = _understood_fields(raw, DATAPLANE, _list_wrong_fields(read.problems))
    paused = spec_of(raw).get("paused", False) is not False
    spec = DATAPLANE.spec.model_validate(good | {"paused": paused})
    meta, _ = read_meta(raw, namespaced=False)
    return replace(read, value=parse.convert_dataplane(meta, spec))


def decided_selector(raw: Mapping[str, object]) -> Mapping[str, str] | None:
    """Return the labels of the nodes for which a Frontend's `status.dataplane` was decided.

    An older operator left the selector to the spec. None: they are not understood.
    """
    dataplane = _read_mapping(_read_mapping(raw.get("status")).get("dataplane"))
    return check_selector(dataplane.get("nodeSelector") or spec_of(raw).get("nodeSelector"))


def read_status(raw: Mapping[str, object], model: type[M]) -> M:
    """Read an object's status; what of it makes no sense to this version is as if absent."""
    status = _read_mapping(raw.get("status"))
    try:
        return model.model_validate(status)
    except ValidationError as error:
        bad = {details["loc"][:1] for details in error.errors(include_url=False)}
        return model.model_validate(parse.drop_fields(status, bad))


# --- in the place of what is not understood -----------------------------------------------------


def stand_in_for_backend(
    raw: Mapping[str, object],
    last: Backend | None = None,
    address: IPAddress | None = None,
    allowed: AddressAllowances = NOTHING,
) -> Backend | None:
    """Return what stands in for a Backend that is not understood; None where nothing can.

    That is the version understood `last`; without one, what is understood of this, at the
    `address` that frontends have it at where its own is not. In any case a person's word that it
    shall not serve counts, where that is understood.
    """
    last = last or _understood_of(raw, address, allowed)
    if last is None:
        return None
    return replace(
        last,
        enabled=_read_switch(raw, "enabled", default=True, before=last.enabled),
        paused=_read_switch(raw, "paused", default=False, before=last.paused),
    )


def _understood_of(
    raw: Mapping[str, object], address: IPAddress | None, allowed: AddressAllowances
) -> Backend | None:
    meta, _ = read_meta(raw)
    bad = _list_wrong_fields(read_backend(raw, allowed).problems)
    good = _understood_fields(raw, BACKEND, bad)
    if "address" not in good and address is None:
        return None  # one that nobody decided for is not to be served
    spec = BackendSpec.model_validate({"address": _ANY_ADDRESS} | good)
    backend = convert.convert_backend(meta, spec)
    state = _read_mapping(raw.get("status")).get("state")
    return replace(
        backend,
        address=backend.address if "address" in good else address or backend.address,
        # A check that is not understood is none that says it is up.
        health_check=_UNKNOWN_CHECK if "healthCheckRef" in bad else backend.health_check,
        enabled=state != HealthState.DISABLED.value,
        paused=state == HealthState.PAUSED.value,
    )


_ANY_ADDRESS = "192.0.2.1"
_UNKNOWN_CHECK = ObjectKey("", "")


def _read_switch(raw: Mapping[str, object], name: str, *, default: bool, before: bool) -> bool:
    if not isinstance(raw.get("spec"), Mapping):
        return before
    value = spec_of(raw).get(name, default)
    return value if isinstance(value, bool) else before


def stand_in_for_frontend(raw: Mapping[str, object]) -> Frontend | None:
    """Return the Frontend that a status was decided for; None where it tells none.

    For a Frontend that is not understood, and of which no earlier version is remembered.
    """
    meta, _ = read_meta(raw)
    try:
        loaded = load_dataplane(raw.get("status"))
    except ValueError:
        return None
    if loaded is None:
        return None
    vip, wanted, _ = loaded
    selector = decided_selector(raw)
    if selector is None:
        return None
    flush = spec_of(raw).get("flushOnDown", True)
    return Frontend(
        key=meta.key,
        vip=vip,
        pools=_pools_of(meta.key.namespace, read_status(raw, FrontendStatus).backends),
        encap=wanted.settings.encap,
        dscp=wanted.settings.dscp,
        target_port=wanted.settings.target_port,
        src_ip_sticky=wanted.settings.src_ip_sticky,
        flush_on_down=flush is not False,
        table_length=None if wanted.any_length else wanted.settings.table_length,
        node_selector=tuple(sorted(selector.items())),
        created=meta.created,
        generation=meta.generation,
    )


def _pools_of(namespace: str, shown: Iterable[FrontendBackend]) -> tuple[Pool, ...]:
    pools: dict[str, list[PoolMember]] = {}
    for one in shown:
        pools.setdefault(one.pool, []).append(
            PoolMember(ObjectKey(namespace, one.name), one.weight)
        )
    return tuple(Pool(name=name, members=tuple(members)) for name, members in pools.items())


# --- pieces ------------------------------------------------------------------------------------


def _read_object(
    raw: Mapping[str, object],
    definition: KindDefinition[SpecT],
    converter: Callable[[ObjectMeta, SpecT], T],
    allowed: AddressAllowances,
) -> StoredReading[T]:
    meta, spec, problems = _understand_spec(raw, definition, allowed)
    if spec is None:
        return StoredReading(value=None, problems=problems)
    return StoredReading(value=replace(converter(meta, spec), ignored=problems))


def _understand_spec(
    raw: Mapping[str, object], definition: KindDefinition[SpecT], allowed: AddressAllowances
) -> tuple[ObjectMeta, SpecT | None, tuple[Problem, ...]]:
    """Return the spec and what of it is ignored, or None and what is wrong with the object."""
    meta, wrong = read_meta(raw, namespaced=definition.kind.is_namespaced)
    fields, unknown = drop_nulls(raw.get("spec")), list[Loc]()
    spec, found = parse.read_spec(fields, definition, allowed)
    if found:
        fields, unknown = _without_unknown(fields, definition)
        spec, found = parse.read_spec(fields, definition, allowed)
    wrong += _in_spec(found)
    if spec is None or wrong:
        return meta, None, tuple(parse.problems_of(definition.kind, meta, wrong))
    # The first of each: a default that a CRD gives to each of a thousand entries is said once.
    first = {tuple(part for part in loc if isinstance(part, str)): loc for loc in unknown[::-1]}
    said = _in_spec((loc, "is not known to this version and is ignored") for loc in first.values())
    return meta, spec, tuple(parse.problems_of(definition.kind, meta, said[::-1]))


def _in_spec(findings: Iterable[Finding]) -> list[Finding]:
    return [(("spec", *loc), message) for loc, message in findings]


def _without_unknown(raw: object, definition: KindDefinition[SpecT]) -> tuple[object, list[Loc]]:
    unknown: list[Loc] = []
    try:
        definition.spec.model_validate(raw)
    except ValidationError as error:
        unknown = unknown_fields(error)
    return parse.drop_fields(raw, unknown) if unknown else raw, unknown


def _understood_fields(
    raw: Mapping[str, object], definition: KindDefinition[SpecT], bad: Collection[str]
) -> dict[str, object]:
    fields, _ = _without_unknown(spec_of(raw), definition)
    known = fields if isinstance(fields, dict) else {}
    return {name: value for name, value in known.items() if name not in bad}


def _list_wrong_fields(problems: Iterable[Problem]) -> set[str]:
    fields = (problem.field.removeprefix("spec.") for problem in problems)
    return {field.partition(".")[0].partition("[")[0] for field in fields}


def _read_mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}
