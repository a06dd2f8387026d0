"""What a status is to say once nobody keeps it: that it is old, and what it was last.

State and decision stay: the next operator goes on from them, and nodes carry them meanwhile.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

from vpplb.model.names import ObjectKind
from vpplb.resources import condition_reasons as reasons
from vpplb.resources.conditions import (
    StatusCondition,
    find_condition,
    load_condition,
    load_conditions,
    set_condition,
)

_SAYS = {
    ObjectKind.FRONTEND: (
        reasons.STALE_AVAILABLE,
        reasons.STALE_PROGRAMMED,
        reasons.STALE_DEGRADED,
        reasons.STALE_READY,
    ),
    ObjectKind.BACKEND: (reasons.STALE_HEALTHY, reasons.STALE_READY),
}
STALE_KINDS = tuple(_SAYS)
"""Kinds that say something of the present."""


def age_status(
    kind: ObjectKind, status: Mapping[str, object], since: str, now: datetime
) -> dict[str, object] | None:
    """Return the status that says it is old; None where there is none, or it says so already.

    `since` says in words as of when it is, and why nobody keeps it.
    """
    shown = load_conditions(status)
    if not shown or is_stale(status):
        return None
    for reason in _SAYS[kind]:
        before = find_condition(shown, reason.condition)
        generation = before.observed_generation if before is not None else None
        said = reason.make_condition(since).model_copy(update={"observed_generation": generation})
        shown = set_condition(shown, said, now)
    stale = f"{reasons.STALE_READY.reason}: {since}"
    return {**status, "problem": stale, "conditions": _replace_said(kind, status, shown)}


def _replace_said(
    kind: ObjectKind, status: Mapping[str, object], shown: Sequence[StatusCondition]
) -> list[object]:
    """Put what is said in its place; all else stays as it was written, to the letter."""
    ours = {one.condition for one in _SAYS[kind]}
    said: dict[object, object] = {one.type: one.dump_json() for one in shown if one.type in ours}
    written = status["conditions"]
    assert isinstance(written, list | tuple)
    types = [one.get("type") if isinstance(one, Mapping) else None for one in written]
    kept = [said.pop(type_, one) for type_, one in zip(types, written, strict=True)]
    return [*kept, *said.values()]


def is_stale(status: Mapping[str, object]) -> bool:
    """Whether a status says that nobody keeps it."""
    ready = load_condition(status, "Ready")
    return ready is not None and ready.reason == reasons.STALE_READY.reason
