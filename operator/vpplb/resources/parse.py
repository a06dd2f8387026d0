"""From an object as JSON to a value of the model, or to all that is wrong with it: strictly.

Nothing that a user may write raises. What the API server refuses is refused here too, in the
same words where the words are ours. Objects of the API server are read by `resources.stored`.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from pydantic import ValidationError

from vpplb.model.names import API_VERSION, ObjectKind
from vpplb.model.objects import Backend, Frontend, HealthCheck
from vpplb.model.problem import Problem
from vpplb.resources import convert
from vpplb.resources.allowances import NOTHING, AddressAllowances
from vpplb.resources.backend import BACKEND
from vpplb.resources.base import Finding, KindDefinition, Loc, SpecT
from vpplb.resources.frontend import FRONTEND
from vpplb.resources.healthcheck import HEALTH_CHECK
from vpplb.resources.messages import list_findings, spell_path
from vpplb.resources.meta import ObjectMeta, read_meta
from vpplb.resources.raw_fields import drop_nulls

if TYPE_CHECKING:
    from vpplb.resources.dataplane import DataplaneSpec

T = TypeVar("T")

_TOP = frozenset({"apiVersion", "kind", "metadata", "spec", "status"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedDataplane:
    """A Dataplane: the node's name, and the settings of its VPP (`ignored` as of a Frontend)."""

    node: str
    spec: "DataplaneSpec"
    generation: int = 0
    ignored: tuple[Problem, ...] = ()


Parsed = HealthCheck | Backend | Frontend | ParsedDataplane


def convert_dataplane(meta: ObjectMeta, spec: "DataplaneSpec") -> ParsedDataplane:
    return ParsedDataplane(node=meta.key.name, spec=spec, generation=meta.generation)


def _parse_kind(
    definition: KindDefinition[SpecT],
    converter: Callable[[ObjectMeta, SpecT], T],
    raw: Mapping[str, object],
    allowed: AddressAllowances,
) -> T | list[Problem]:
    meta, wrong = read_meta(raw, namespaced=definition.kind.is_namespaced)
    unknown = [key for key in raw if key not in _TOP]
    wrong += [((str(key),), "is not a known field") for key in unknown]
    spec, found = read_spec(drop_nulls(raw.get("spec")), definition, allowed)
    wrong += [(("spec", *loc), message) for loc, message in found]
    if spec is None or wrong:
        return problems_of(definition.kind, meta, wrong)
    return converter(meta, spec)


def _parse_health_check(
    raw: Mapping[str, object], allowed: AddressAllowances
) -> HealthCheck | list[Problem]:
    # What probes are made of takes long to import, for who reads other kinds only.
    from vpplb.resources.convert_check import convert_health_check

    return _parse_kind(HEALTH_CHECK, convert_health_check, raw, allowed)


def _parse_dataplane(
    raw: Mapping[str, object], allowed: AddressAllowances
) -> ParsedDataplane | list[Problem]:
    # As above: a kind of eight models.
    from vpplb.resources.dataplane import DATAPLANE

    return _parse_kind(DATAPLANE, convert_dataplane, raw, allowed)


PARSERS: Mapping[
    str, Callable[[Mapping[str, object], AddressAllowances], Parsed | list[Problem]]
] = {
    HEALTH_CHECK.kind: _parse_health_check,
    BACKEND.kind: partial(_parse_kind, BACKEND, convert.convert_backend),
    FRONTEND.kind: partial(_parse_kind, FRONTEND, convert.convert_frontend),
    ObjectKind.DATAPLANE: _parse_dataplane,
}
"""Read an object of a kind, or return all that is wrong with it (reason `Invalid`)."""


def parse_object(
    raw: Mapping[str, object], allowed: AddressAllowances = NOTHING
) -> Parsed | list[Problem]:
    """Read an object of any of our kinds; `apiVersion` and `kind` must say which."""
    kind = str(raw.get("kind") or "")
    wrong: list[Finding] = []
    if raw.get("apiVersion") != API_VERSION:
        wrong.append((("apiVersion",), f"must be {API_VERSION}"))
    if kind not in PARSERS:
        wrong.append((("kind",), f"must be one of {', '.join(PARSERS)}"))
    if wrong:
        return problems_of(kind, read_meta(raw)[0], wrong)
    return PARSERS[kind](raw, allowed)


def problems_of(kind: str, meta: ObjectMeta, wrong: Iterable[Finding]) -> list[Problem]:
    """Turn what is wrong with fields into problems of an object."""
    return [
        Problem(kind=kind, key=meta.key, reason="Invalid", field=spell_path(loc), message=message)
        for loc, message in wrong
    ]


def read_spec(
    raw: object, definition: KindDefinition[SpecT], allowed: AddressAllowances
) -> tuple[SpecT | None, list[Finding]]:
    """Read a spec; of one with bad fields the rest is judged by the rules all the same."""
    if raw is None:
        if definition.spec_required:
            return None, [((), "is required")]
        raw = {}
    spec, wrong = _validate_spec(raw, definition)
    if spec is None:
        spec, _ = _validate_spec(drop_fields(raw, [loc for loc, _ in wrong]), definition)
        if spec is None:
            return None, wrong
    bad = [loc for loc, _ in wrong]
    return spec, [*wrong, *_broken_rules(spec, definition, bad), *definition.checks(spec, allowed)]


def _validate_spec(
    raw: object, definition: KindDefinition[SpecT]
) -> tuple[SpecT | None, list[Finding]]:
    try:
        return definition.spec.model_validate(raw), []
    except ValidationError as error:
        return None, list_findings(error, definition.spec)


def drop_fields(raw: object, bad: Iterable[Loc], at: Loc = ()) -> object:
    """Copy without the fields at these paths; positions of lists stay as they are."""
    bad = set(bad)
    if isinstance(raw, dict):
        kept = {key: item for key, item in raw.items() if (*at, key) not in bad}
        return {key: drop_fields(item, bad, (*at, key)) for key, item in kept.items()}
    if isinstance(raw, list):
        return [drop_fields(item, bad, (*at, position)) for position, item in enumerate(raw)]
    return raw


def _broken_rules(
    spec: SpecT, definition: KindDefinition[SpecT], bad: Iterable[Loc]
) -> Iterable[Finding]:
    bad = list(bad)
    for rule in definition.rules:
        read = [tuple(field.split(".")) for field in (rule.field, *rule.reads)]
        suspect = any(field[: len(loc)] == loc for field in read for loc in bad)
        if not suspect and not rule.holds(spec):
            yield read[0], rule.message
