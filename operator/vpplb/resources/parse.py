"""From an object as JSON to a value of the model, or to all that is wrong with it: strictly.

Nothing that a user may write raises. What the API server refuses is refused here too, in the
same words where the words are ours. Objects of the API server are read by `resources.stored`.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from pydantic import ValidationError

from vpplb.model.objects import Backend, Frontend, HealthCheck
from vpplb.model.problem import Problem
from vpplb.resources import convert
from vpplb.resources.allowances import NOTHING, Allowances
from vpplb.resources.backend import BACKEND
from vpplb.resources.base import API_VERSION, Definition, Finding, Loc, SpecT
from vpplb.resources.dataplane import DATAPLANE, DataplaneSpec
from vpplb.resources.frontend import FRONTEND
from vpplb.resources.healthcheck import HEALTH_CHECK
from vpplb.resources.messages import findings_of, spell
from vpplb.resources.meta import Meta, read_meta

T = TypeVar("T")

_TOP = frozenset({"apiVersion", "kind", "metadata", "spec", "status"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataplane:
    """A Dataplane: the node's name, and the settings of its VPP (`ignored` as of a Frontend)."""

    node: str
    spec: DataplaneSpec
    generation: int = 0
    ignored: tuple[Problem, ...] = ()


Parsed = HealthCheck | Backend | Frontend | Dataplane


def parse_health_check(
    raw: Mapping[str, object], allowed: Allowances = NOTHING
) -> HealthCheck | list[Problem]:
    """Read a HealthCheck, or return all that is wrong with it (reason `Invalid`)."""
    return _parse(raw, HEALTH_CHECK, convert.health_check, allowed)


def parse_backend(
    raw: Mapping[str, object], allowed: Allowances = NOTHING
) -> Backend | list[Problem]:
    """Read a Backend, or return all that is wrong with it (reason `Invalid`)."""
    return _parse(raw, BACKEND, convert.backend, allowed)


def parse_frontend(
    raw: Mapping[str, object], allowed: Allowances = NOTHING
) -> Frontend | list[Problem]:
    """Read a Frontend, or return all that is wrong with it (reason `Invalid`)."""
    return _parse(raw, FRONTEND, convert.frontend, allowed)


def parse_dataplane(
    raw: Mapping[str, object], allowed: Allowances = NOTHING
) -> Dataplane | list[Problem]:
    """Read a Dataplane, or return all that is wrong with it (reason `Invalid`)."""
    return _parse(raw, DATAPLANE, dataplane, allowed)


def dataplane(meta: Meta, spec: DataplaneSpec) -> Dataplane:
    """Convert a Dataplane."""
    return Dataplane(node=meta.key.name, spec=spec, generation=meta.generation)


PARSERS: Mapping[str, Callable[[Mapping[str, object], Allowances], Parsed | list[Problem]]] = {
    HEALTH_CHECK.kind: parse_health_check,
    BACKEND.kind: parse_backend,
    FRONTEND.kind: parse_frontend,
    DATAPLANE.kind: parse_dataplane,
}


def parse(raw: Mapping[str, object], allowed: Allowances = NOTHING) -> Parsed | list[Problem]:
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


def _parse(
    raw: Mapping[str, object],
    definition: Definition[SpecT],
    converter: Callable[[Meta, SpecT], T],
    allowed: Allowances,
) -> T | list[Problem]:
    meta, wrong = read_meta(raw, namespaced=definition.namespaced)
    unknown = [key for key in raw if key not in _TOP]
    wrong += [((str(key),), "is not a known field") for key in unknown]
    spec, found = read_spec(plain(raw.get("spec")), definition, allowed)
    wrong += [(("spec", *loc), message) for loc, message in found]
    if spec is None or wrong:
        return problems_of(definition.kind, meta, wrong)
    return converter(meta, spec)


def problems_of(kind: str, meta: Meta, wrong: Iterable[Finding]) -> list[Problem]:
    """Turn what is wrong with fields into problems of an object."""
    return [
        Problem(kind=kind, key=meta.key, reason="Invalid", field=spell(loc), message=message)
        for loc, message in wrong
    ]


def plain(value: object) -> object:
    """Copy to dicts and lists, leaving out fields that are null, as the API server does."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items() if item is not None}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


def read_spec(
    raw: object, definition: Definition[SpecT], allowed: Allowances
) -> tuple[SpecT | None, list[Finding]]:
    """Read a spec; of one with bad fields the rest is judged by the rules all the same."""
    if raw is None:
        if definition.spec_required:
            return None, [((), "is required")]
        raw = {}
    spec, wrong = _validate(raw, definition)
    if spec is None:
        spec, _ = _validate(without(raw, [loc for loc, _ in wrong]), definition)
        if spec is None:
            return None, wrong
    bad = [loc for loc, _ in wrong]
    return spec, [*wrong, *_broken_rules(spec, definition, bad), *definition.checks(spec, allowed)]


def _validate(raw: object, definition: Definition[SpecT]) -> tuple[SpecT | None, list[Finding]]:
    try:
        return definition.spec.model_validate(raw), []
    except ValidationError as error:
        return None, findings_of(error, definition.spec)


def without(raw: object, bad: Iterable[Loc], at: Loc = ()) -> object:
    """Copy without the fields at these paths; positions of lists stay as they are."""
    bad = set(bad)
    if isinstance(raw, dict):
        kept = {key: item for key, item in raw.items() if (*at, key) not in bad}
        return {key: without(item, bad, (*at, key)) for key, item in kept.items()}
    if isinstance(raw, list):
        return [without(item, bad, (*at, position)) for position, item in enumerate(raw)]
    return raw


def _broken_rules(
    spec: SpecT, definition: Definition[SpecT], bad: Iterable[Loc]
) -> Iterable[Finding]:
    bad = list(bad)
    for rule in definition.rules:
        read = [tuple(field.split(".")) for field in (rule.field, *rule.reads)]
        suspect = any(field[: len(loc)] == loc for field in read for loc in bad)
        if not suspect and not rule.holds(spec):
            yield read[0], rule.message
