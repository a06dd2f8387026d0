"""Two queues of work on the API server: what carries traffic, and what may wait for it.

Both have workers of their own, so that neither waits for the other's requests. But they share the
server's time, and a thousand backends that fail must not take it from the frontends that follow.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, TypeVar

from vpplb.kube.calm import Calm
from vpplb.kube.gate import Gate

GAP = 0.25
"""Seconds after which something ordinary is done though something urgent is due."""

T = TypeVar("T")

Take = Callable[[T, int], Awaitable[None]]
"""Does what is to be done for an item, whose turn has this number."""


class _Turn(NamedTuple, Generic[T]):
    priority: int
    number: int
    item: T


@dataclass(slots=True)
class Lanes(Generic[T]):
    """`parallel` workers a queue, behind `gate`; the lowest priority first, then the oldest.

    While there is no calm a single ordinary worker goes on, in the gaps of the urgent ones.
    """

    gate: Gate
    calm: Calm
    parallel: int
    _urgent: asyncio.PriorityQueue[_Turn[T]] = field(default_factory=asyncio.PriorityQueue)
    _ordinary: asyncio.PriorityQueue[_Turn[T]] = field(default_factory=asyncio.PriorityQueue)
    _turns: int = 0

    def reserve(self) -> int:
        """Return the number of a turn behind all others; numbers grow, from 1."""
        self._turns += 1
        return self._turns

    def put(self, item: T, priority: int, *, urgent: bool, number: int | None = None) -> int:
        """Give an item a turn among its equals, the last or the one reserved; return its number."""
        turn = _Turn(priority, number or self.reserve(), item)
        if urgent:
            self.calm.disturb()
        queue = self._urgent if urgent else self._ordinary
        queue.put_nowait(turn)
        return turn.number

    async def run(self, take: Take[T]) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as group:
            for number in range(self.parallel):
                group.create_task(self._work(self._urgent, _at_once, take))
                wait = self.calm.comes if number else self._gap
                group.create_task(self._work(self._ordinary, wait, take))

    async def rest(self, patience: float) -> None:
        """Wait until nothing is due or under way, `patience` seconds at most."""
        with suppress(TimeoutError):
            async with asyncio.timeout(patience):
                await self._urgent.join()
                await self._ordinary.join()

    async def _work(
        self,
        queue: asyncio.PriorityQueue[_Turn[T]],
        wait: Callable[[], Awaitable[None]],
        take: Take[T],
    ) -> None:
        while True:
            await wait()
            await self.gate.opened()
            turn = await queue.get()
            if self.gate.is_open:
                await take(turn.item, turn.number)
                if queue is self._urgent:
                    self.calm.disturb()
            else:
                queue.put_nowait(turn)
            queue.task_done()

    async def _gap(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(GAP):
                await self._urgent.join()


async def _at_once() -> None:
    """Wait for nothing."""
