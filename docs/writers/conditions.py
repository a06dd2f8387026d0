"""The page of conditions and events, from where they are declared."""

from collections.abc import Iterator
from itertools import groupby

from vpplb.resources.condition_reasons import CONDITION_REASONS
from vpplb.resources.event_reasons import EVENT_REASONS

INTRODUCTION = """\
# Conditions and events

<!-- Generated from vpplb/resources/condition_reasons.py and event_reasons.py: edit those, then run
`make docs`. -->

All that statuses and Kubernetes events can say. What they are for, and when they are written, is in
[what you are told](status.md).

## Conditions

Each has `observedGeneration`, the version of the spec it is about; `lastTransitionTime` moves with
the status alone.
"""
EVENTS = """\
## Events

A transition of a Backend is one event for each Frontend that names it, with the weight that it has
there.

| object | event | type | when |
| --- | --- | --- | --- |"""


def render_page() -> str:
    """Return docs/conditions.md."""
    events = [f"| {one.kind} | `{one.reason}` | {one.type} | {one.when} |" for one in EVENT_REASONS]
    return "\n".join([INTRODUCTION, *_list_conditions(), EVENTS, *events, ""])


def _list_conditions() -> Iterator[str]:
    for condition, reasons in groupby(CONDITION_REASONS, lambda one: one.condition):
        yield f"### {condition}\n"
        yield "| status | reason | of | when |"
        yield "| --- | --- | --- | --- |"
        for one in reasons:
            yield f"| {one.status} | `{one.reason}` | {', '.join(one.kinds)} | {one.when} |"
        yield ""
