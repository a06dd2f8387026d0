"""Timers of many things that are due at few moments.

Starts lie on a grid, and deadlines may be rounded to one, so that most moments have several
things: those share an entry of the heap, and adding one more costs a look into a dictionary.
"""

from heapq import heappop, heappush
from math import inf
from typing import Generic, TypeVar

T = TypeVar("T")


class TimerQueue(Generic[T]):
    """Things by the moment they are due, in seconds of some clock. `next` is the earliest."""

    __slots__ = ("_due", "_moments", "next")

    def __init__(self) -> None:
        self.next = inf
        self._moments: list[float] = []  # a heap, each moment once
        self._due: dict[float, list[T]] = {}

    def add_timer(self, moment: float, thing: T) -> None:
        due = self._due.get(moment)
        if due is not None:
            due.append(thing)
            return
        self._due[moment] = [thing]
        heappush(self._moments, moment)
        self.next = self._moments[0]

    def take_due(self, now: float, at_most: int) -> list[T]:
        """Remove and return what is due, earlier moments first, but not more than so much."""
        taken: list[T] = []
        while self.next <= now and len(taken) < at_most:
            due = self._due[self.next]
            room = at_most - len(taken)
            taken += due[:room]
            if len(due) > room:
                del due[:room]
                break
            del self._due[heappop(self._moments)]
            self.next = self._moments[0] if self._moments else inf
        return taken
