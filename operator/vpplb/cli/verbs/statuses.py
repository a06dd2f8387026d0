"""Specs and statuses of objects, maybe of another version of vpplb, and what is wrong with them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from pydantic import ValidationError

from vpplb.kube.api_types import JsonObject
from vpplb.model.vip import Vip, VipId
from vpplb.resources.base import StatusModel
from vpplb.resources.conditions import StatusCondition
from vpplb.resources.dataplane_codec import load_dataplane
from vpplb.resources.fields import parse_time
from vpplb.resources.renderer import load_conditions
from vpplb.resources.stored import spec_of

_BAD_WHEN_TRUE = frozenset({"Degraded"})


def read_pools(raw: JsonObject) -> list[JsonObject]:
    """Return the pools of a Frontend that have a name, each with its `backends` that have one."""
    pools = _named_entries(spec_of(raw).get("pools"))
    return [pool | {"backends": _named_entries(pool.get("backends"))} for pool in pools]


def _named_entries(entries: object) -> list[JsonObject]:
    found = entries if isinstance(entries, list) else []
    return [one for one in found if isinstance(one, dict) and isinstance(one.get("name"), str)]


def read_wanted(raw: JsonObject) -> tuple[VipId, Vip, str] | None:
    """Read what a Frontend's nodes shall have: VIP, servers and revision.

    None where nothing is decided, or where it cannot be read (`unreadable`).
    """
    try:
        return load_dataplane(raw.get("status"))
    except ValueError:
        return None


def _describe_unreadable(raw: JsonObject, model: type[StatusModel]) -> str:
    """Say which part of a status makes no sense; empty when all does."""
    try:
        model.model_validate(raw.get("status") or {})
        load_dataplane(raw.get("status"))
    except ValidationError as error:
        parts = sorted({str(details["loc"][0]) for details in error.errors() if details["loc"]})
        return f"of another version of vpplb, it seems: {', '.join(parts) or 'all of it'}"
    except ValueError:
        return "of another version of vpplb, it seems: dataplane"
    return ""


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
            at=parse_time(one.get("at")),
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

    def __str__(self) -> str:
        return f"{self.reason}: {self.message}" if self.message else self.reason


def find_problems(raw: JsonObject, model: type[StatusModel]) -> tuple[ObjectProblem, ...]:
    """Return what is wrong with an object, whose status is of `model`, as its conditions say."""
    conditions = load_conditions(raw.get("status"))
    said = _describe_unreadable(raw, model)
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
