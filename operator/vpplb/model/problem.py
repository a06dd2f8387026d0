"""Findings about what users wrote: values with a reason and a message, never exceptions."""

from dataclasses import dataclass

from vpplb.model.names import ObjectKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Something wrong with one object.

    `reason` is the CamelCase reason of the condition it ends up in (contract: `Conflict`,
    `BackendNotFound`, …), `field` the path of the field (`spec.pools[0].backends[1].name`),
    `message` a sentence for people.
    """

    kind: str
    key: ObjectKey
    reason: str
    message: str
    field: str = ""

    def __str__(self) -> str:
        field = f"{self.field}: " if self.field else ""
        return f"{self.kind} {self.key}: {field}{self.message}"
