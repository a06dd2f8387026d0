"""A status that is to be written, and how far that has got."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from vpplb.model.names import ObjectKey, ObjectKind

Render = Callable[[], Mapping[str, object] | None]
"""Gives an object's whole status as of now, in JSON's types; None when there is none to write."""


@dataclass(slots=True, kw_only=True)
class Pending:
    """A write that is due (`turn` is its place in the queue), waiting (`retry`), or under way.

    `again` is the priority of the write that has to follow the one under way, if any; `reserved`
    its turn, so that who changes meanwhile is not behind those that change later.
    """

    kind: ObjectKind
    key: ObjectKey
    render: Render
    priority: int
    since: float | None
    turn: int | None = None
    retry: asyncio.TimerHandle | None = None
    again: int | None = None
    reserved: int | None = None
    failures: int = 0
    conflicted: bool = False

    @property
    def under_way(self) -> bool:
        """Whether it is being written."""
        return self.turn is None and self.retry is None


def earlier(one: float | None, other: float | None) -> float | None:
    """Return the earlier of two times, of which either may not be."""
    times = [time for time in (one, other) if time is not None]
    return min(times) if times else None
