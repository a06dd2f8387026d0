"""Draw the machines of the guard against a blind prober: run `make docs`."""

import sys
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
[decision 13](decisions/0013-blind-guard.md). An event without an arrow changes nothing.

## What is thought of the prober

Of several events at once the first in this order decides:

{order}
"""
BACKEND = """\
## The grace of a backend

Each probed backend is in one of these states. In all but `none` it is in grace: when it goes down
then, it is held, which is to say that it counts as up. `passed`, `answered`, `stalled` and `silent`
are what its last probe had for a response (answered: it failed by an answer).
"""


def draw_machine(transitions: Mapping[State, Mapping[Event, State]], start: State) -> Iterator[str]:
    """Yield the lines of a Mermaid state diagram; arrows from one state to another are one."""
    yield from ("```mermaid", "stateDiagram-v2", f"    [*] --> {start.value}")
    for state, table in transitions.items():
        arrows: dict[State, list[str]] = {}
        for event, target in table.items():
            arrows.setdefault(target, []).append(event.value)
        for target, events in arrows.items():
            yield f"    {state.value} --> {target.value}: {' /<br/>'.join(events)}"
    yield "```"


def render_page() -> str:
    """Return docs/blind-guard.md."""
    order = [one.value for one in blind_guard.GuardEvent][:5]
    return "\n".join(
        [
            INTRODUCTION.format(order="\n".join(f"1. {event}" for event in order)),
            *draw_machine(blind_guard.PROBER_TRANSITIONS, blind_guard.ProberTrust.TRUSTED),
            "",
            BACKEND,
            *draw_machine(blind_guard.GRACE_TRANSITIONS, blind_guard.GraceState.NONE),
            "",
        ]
    )


if __name__ == "__main__":
    sys.stdout.write(render_page())
