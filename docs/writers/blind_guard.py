"""The page of the guard against a blind prober: its machines, as their tables have them."""

from collections.abc import Iterator, Mapping
from enum import Enum
from typing import TypeVar

from vpplb.plan import blind_guard

State = TypeVar("State", bound=Enum)
Event = TypeVar("Event", bound=Enum)
INTRODUCTION = """\
# The guard against a blind prober

<!-- Generated from vpplb/plan/blind_guard.py: edit that, then run `make docs`. -->

What it does for users is in
[semantics](semantics.md#a-blind-prober-does-not-take-the-service-down), and why in
[decision 13](decisions/0013-blind-guard.md). An event that has no line changes nothing.

## What is thought of the prober

It begins as `{start}`. Of several events at once the first in this order decides:

{order}
"""
BACKEND = """\
## The grace of a backend

Each probed backend is in one of these states, at first in `{start}`. In all others it is in grace:
when it goes down then, it is held, which is to say that it counts as up. `passed`, `answered`,
`stalled` and `silent` are what its last probe had for a response (answered: it failed by one).
"""


def render_page() -> str:
    """Return docs/blind-guard.md."""
    order = [one.value for one in blind_guard.GuardEvent][:5]
    start = blind_guard.ProberTrust.TRUSTED.value
    return "\n".join(
        [
            INTRODUCTION.format(start=start, order="\n".join(f"1. {event}" for event in order)),
            *_list_transitions(blind_guard.PROBER_TRANSITIONS),
            "",
            BACKEND.format(start=blind_guard.GraceState.NONE.value),
            *_list_transitions(blind_guard.GRACE_TRANSITIONS),
            "",
        ]
    )


def _list_transitions(transitions: Mapping[State, Mapping[Event, State]]) -> Iterator[str]:
    """Yield a table; the events that lead from one state to another are in one line."""
    yield "| from | to | when |"
    yield "| --- | --- | --- |"
    for state, table in transitions.items():
        arrows: dict[State, list[str]] = {}
        for event, target in table.items():
            arrows.setdefault(target, []).append(event.value)
        for target, events in arrows.items():
            yield f"| `{state.value}` | `{target.value}` | {'; or '.join(events)} |"
