"""Findings about what users wrote: values with a reason and a message, never exceptions."""

from dataclasses import dataclass
from typing import Literal

from vpplb.model.names import ObjectKey

ProblemReason = Literal[
    "BackendNotFound",
    "Conflict",
    "HealthCheckNotFound",
    "Invalid",
    "MixedFamilies",
    "NatDropsTcp",
    "NatSwapsPort",
    "ProbeDenied",
    "SecretNotFound",
    "ServersInVip",
]
"""Why: the reason of the condition that tells of it (`resources.condition_reasons`), or, of what is
only to be beware of, a name for tests."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Something wrong with one object.

    `field` is the path of the field (`spec.pools[0].backends[1].name`), `message` a sentence for
    people.
    """

    kind: str
    key: ObjectKey
    reason: ProblemReason
    message: str
    field: str = ""

    def __str__(self) -> str:
        field = f"{self.field}: " if self.field else ""
        return f"{self.kind} {self.key}: {field}{self.message}"
