"""What all kinds are made of: base models, rules that span fields, the definition of a kind.

A rule is stated once, in Python for files and in CEL for the API server, with one message, so
that both refuse the same objects in the same words.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from vpplb.model.names import ObjectKind
from vpplb.resources.allowances import AddressAllowances

# No plugin of pydantic that happens to be installed reads our objects, and none is looked for.
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")

Loc = tuple[str | int, ...]
"""Path of a field: keys and list positions."""

Finding = tuple[Loc, str]
"""A field and what is wrong with it; the sentence completes the field's path."""


class SpecModel(BaseModel):
    """What a user writes: strict types, camelCase names, unknown fields refused."""

    model_config = ConfigDict(
        strict=True,
        extra="forbid",
        frozen=True,
        alias_generator=to_camel,
        defer_build=True,
        hide_input_in_errors=True,  # a log that quotes an error of ours quotes no secret
    )


class StatusModel(BaseModel):
    """What we write. Built by field name, read leniently, dumped without what is None."""

    model_config = ConfigDict(
        extra="ignore",
        frozen=True,
        alias_generator=to_camel,
        validate_by_name=True,
        defer_build=True,
    )

    def dump_json(self) -> dict[str, object]:
        """Return the JSON object of the API: camelCase, fields in order of declaration."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


def build_models() -> None:
    """Build all models that are imported, before threads use them side by side.

    Two that use one first at a time may meet half of it (pydantic#11849, #13419, before 2.14).
    """
    for base in (SpecModel, StatusModel):
        for model in _list_subclasses(base):
            model.model_rebuild()


def _list_subclasses(base: type[BaseModel]) -> Iterator[type[BaseModel]]:
    for model in base.__subclasses__():
        yield model
        yield from _list_subclasses(model)


SpecT = TypeVar("SpecT", bound=SpecModel)


@dataclass(frozen=True, slots=True, kw_only=True)
class CelRule(Generic[SpecT]):
    """A rule that spans fields.

    `field` is the one to blame and `reads` the others that `holds` looks at, as paths below
    `spec`; the rule is not asked when one of them is already known to be wrong. `cel` says the
    same as `holds`, `self` being the spec with its defaults.
    """

    field: str
    message: str
    holds: Callable[[SpecT], bool]
    cel: str
    reads: tuple[str, ...] = ()


class PrintColumn(NamedTuple):
    """A column of `kubectl get`; `wide` ones show with `-o wide` only."""

    name: str
    path: str
    type: str = "string"
    wide: bool = False


def condition_column(condition: str) -> PrintColumn:
    """Show the status (True, False, Unknown) of a condition."""
    return PrintColumn(condition, f'.status.conditions[?(@.type=="{condition}")].status')


def reason_column(condition: str) -> PrintColumn:
    """Show the reason of a condition, in wide listings."""
    path = f'.status.conditions[?(@.type=="{condition}")].reason'
    return PrintColumn(condition, path, wide=True)


AGE = PrintColumn("Age", ".metadata.creationTimestamp", "date")


@dataclass(frozen=True, slots=True, kw_only=True)
class KindDefinition(Generic[SpecT]):
    """A kind. `checks` yields what the API server refuses by other means than CEL, or cannot."""

    kind: ObjectKind
    short_name: str
    description: str
    spec: type[SpecT]
    status: type[StatusModel]
    columns: tuple[PrintColumn, ...]
    rules: tuple[CelRule[SpecT], ...] = ()
    checks: Callable[[SpecT, AddressAllowances], Iterable[Finding]] = lambda *_: ()
    spec_required: bool = True
