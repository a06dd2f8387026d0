"""What a status is to say once nobody keeps it: that it is old, and what it was last.

State and decision stay: the next operator goes on from them, and nodes carry them meanwhile.
"""

from collections.abc import Mapping
from datetime import datetime

from vpplb.model.names import ObjectKind
from vpplb.resources import condition_reasons as reasons
from vpplb.resources.conditions import find_condition, load_conditions, set_condition

_SAYS = {
    ObjectKind.FRONTEND: (reasons.STALE_AVAILABLE, reasons.STALE_DEGRADED, reasons.STALE_READY),
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
    ready = find_condition(shown, "Ready")
    if not shown or (ready is not None and ready.reason == reasons.STALE_READY.reason):
        return None
    for reason in _SAYS[kind]:
        before = find_condition(shown, reason.condition)
        generation = before.observed_generation if before is not None else None
        said = reason.make_condition(since).model_copy(update={"observed_generation": generation})
        shown = set_condition(shown, said, now)
    conditions = [one.dump_json() for one in shown]
    stale = f"{reasons.STALE_READY.reason}: {since}"
    return {**status, "problem": stale, "conditions": conditions}
