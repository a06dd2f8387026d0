"""Conditions, as Kubernetes has them: what holds, since when, and why."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Literal

from vpplb.resources.base import StatusModel
from vpplb.resources.fields import Count, Timestamp

ConditionStatus = Literal["True", "False", "Unknown"]


class StatusCondition(StatusModel):
    """What holds or does not, since when, and why."""

    type: str
    """Name of the condition."""
    status: ConditionStatus
    """Whether it holds."""
    reason: str
    """Why, in one CamelCase word."""
    message: str = ""
    """Why, in words for people."""
    last_transition_time: Timestamp | None = None
    """When the status changed last."""
    observed_generation: Count | None = None
    """The generation of the spec that this was concluded from."""


Conditions = tuple[StatusCondition, ...]
"""Conditions by type, in the order in which they were first set."""


def set_condition(
    old: Sequence[StatusCondition],
    new: StatusCondition,
    now: datetime,
    generation: int | None = None,
) -> tuple[StatusCondition, ...]:
    """Return the conditions with `new` in place of the one of its type, or at the end.

    The time of the last transition stays as it was unless the status changes; `now` is aware.
    `generation` is that of the spec from which it was concluded; None: as `new` says.
    """
    present = next((one for one in old if one.type == new.type), None)
    kept = present is not None and present.status == new.status
    time = present.last_transition_time if present is not None and kept else None
    seen = new.observed_generation if generation is None else generation
    timed = StatusCondition(  # a copy that is updated costs twice as much
        type=new.type,
        status=new.status,
        reason=new.reason,
        message=new.message,
        last_transition_time=time or now,
        observed_generation=seen,
    )
    if present is None:
        return (*old, timed)
    return tuple(timed if one is present else one for one in old)


def find_condition(
    conditions: Sequence[StatusCondition], condition_type: str
) -> StatusCondition | None:
    return next((one for one in conditions if one.type == condition_type), None)


def load_conditions(status: object) -> tuple[StatusCondition, ...]:
    """Read the conditions that a status shows, the first of each type.

    Those that make no sense are left out.
    """
    read: dict[str, StatusCondition] = {}
    for entry in _list_shown(status):
        if condition := _load_entry(entry):
            read.setdefault(condition.type, condition)
    return tuple(read.values())


def load_condition(status: object, condition_type: str) -> StatusCondition | None:
    """Read the condition of one type that a status shows; the others cost nothing."""
    entries = (one for one in _list_shown(status) if isinstance(one, Mapping))
    ours = (one for one in entries if one.get("type") == condition_type)
    return next(filter(None, map(_load_entry, ours)), None)


def _list_shown(status: object) -> Sequence[object]:
    shown = status.get("conditions") if isinstance(status, Mapping) else None
    return shown if isinstance(shown, list | tuple) else ()


def _load_entry(entry: object) -> StatusCondition | None:
    try:
        return StatusCondition.model_validate(entry)
    except ValueError:
        return None
