"""What is wrong with objects, and what was changed by hand."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from vpplb.cli.verbs.shown_status import ShownCondition
from vpplb.kube.api_types import JsonObject
from vpplb.resources.raw_fields import find_time

_BAD_WHEN_TRUE = frozenset({"Degraded"})
_SUM = "Ready"
"""The condition that says nothing but what the others say."""


def _describe_unreadable(odd: Sequence[str]) -> str:
    """Say which part of a status makes no sense; empty when all does."""
    return f"of another version of vpplb, it seems: {', '.join(odd)}" if odd else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldDeviation:
    """A field that was changed by hand beside the files of a router; in a cluster there is none."""

    field: str
    value: bool | int
    files: bool | int
    by: str
    at: datetime | None

    def __str__(self) -> str:
        value, files = str(self.value).lower(), str(self.files).lower()
        return f"{self.field} is {value} by hand, the files say {files}"


def read_deviations(raw: JsonObject) -> tuple[FieldDeviation, ...]:
    """Return where an object deviates from the files; what is not understood is left out."""
    return tuple(
        FieldDeviation(
            field=str(one.get("field")),
            value=one["value"],
            files=one["files"],
            by=str(one.get("by") or ""),
            at=find_time(one.get("at")),
        )
        for one in raw.get("deviations") or ()
        if isinstance(one, dict)
        and isinstance(one.get("value"), int)
        and isinstance(one.get("files"), int)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectProblem:
    """A condition that should be otherwise, or what else is wrong; `since` when it began."""

    condition: str
    reason: str
    message: str
    since: datetime | None = None

    @property
    def is_pending(self) -> bool:
        """Whether nodes are waited for."""
        return (self.condition, self.reason) == ("Programmed", "Pending")

    def __str__(self) -> str:
        return f"{self.reason}: {self.message}" if self.message else self.reason


def find_problems(
    raw: JsonObject, conditions: Sequence[ShownCondition], odd: Sequence[str]
) -> tuple[ObjectProblem, ...]:
    """Return what is wrong with an object, as its conditions say; `odd` are unreadable parts."""
    said = _describe_unreadable(odd)
    unread = (ObjectProblem(condition="", reason="StatusUnreadable", message=said),) if said else ()
    return (*unread, *_not_seen(raw, conditions), *_bad_conditions(conditions))


def _bad_conditions(conditions: Sequence[ShownCondition]) -> Iterator[ObjectProblem]:
    for one in conditions:
        if one.type != _SUM and one.status != ("False" if one.type in _BAD_WHEN_TRUE else "True"):
            yield ObjectProblem(
                condition=one.type, reason=one.reason, message=one.message, since=one.since
            )


def _not_seen(raw: JsonObject, conditions: Sequence[ShownCondition]) -> Iterator[ObjectProblem]:
    """Say that nobody has looked at the object, or not at its newest version."""
    if not conditions:
        yield ObjectProblem(
            condition="", reason="NoStatus", message="nobody has written its status yet"
        )
        return
    wanted = raw["metadata"].get("generation") or 0
    seen = (raw.get("status") or {}).get("observedGeneration") or 0
    if seen < wanted:
        message = f"its status is that of generation {seen}, it is at {wanted}"
        yield ObjectProblem(condition="", reason="NotSeenYet", message=message)
