"""What is wrong with an object by its own status: conditions that are not as they should be."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from vpplb.cli.kubectl.statuses import describe_unreadable
from vpplb.kube.api_types import JsonObject
from vpplb.resources.base import StatusModel
from vpplb.resources.conditions import StatusCondition
from vpplb.resources.renderer import load_conditions

_BAD_WHEN_TRUE = frozenset({"Degraded"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectProblem:
    """A condition that should be otherwise, or what else is wrong; `since` when it began."""

    condition: str
    reason: str
    message: str
    since: datetime | None = None

    def __str__(self) -> str:
        return f"{self.reason}: {self.message}" if self.message else self.reason


def find_problems(raw: JsonObject, model: type[StatusModel]) -> tuple[ObjectProblem, ...]:
    """Return what is wrong with an object, whose status is of `model`, as its conditions say."""
    conditions = load_conditions(raw.get("status"))
    said = describe_unreadable(raw, model)
    odd = (ObjectProblem(condition="", reason="StatusUnreadable", message=said),) if said else ()
    return (*odd, *_not_seen(raw, conditions), *_bad_conditions(conditions))


def _bad_conditions(conditions: Sequence[StatusCondition]) -> Iterator[ObjectProblem]:
    for one in conditions:
        if one.status != ("False" if one.type in _BAD_WHEN_TRUE else "True"):
            yield ObjectProblem(
                condition=one.type,
                reason=one.reason,
                message=one.message,
                since=one.last_transition_time,
            )


def _not_seen(raw: JsonObject, conditions: Sequence[StatusCondition]) -> Iterator[ObjectProblem]:
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
