"""`WorkQueue`: keys that wait for their turn, by priority, as client-go's workqueue has them.

Each key is in the queue at most once, however often it is added. A key that is added while it is
worked on gets a turn behind those that are there then, and is worked on once more: two never work
on one key at the same time.

A key may be given some time in which more of it gathers: then its turn comes later, once. Added
again it keeps the earlier of both times, so that nothing postpones it for ever.

Keys are urgent or ordinary, and both have workers of their own, so that neither waits for the
other's requests. But they share the server's time, and a thousand ordinary keys must not take it
from the urgent ones: while urgent work goes on a single ordinary worker goes on beside it, in its
gaps. What the work costs is bounded by a token bucket (`take_token`): nobody begins while there is
none. But the urgent may take some in advance, which the ordinary then wait for.

What is done for a key takes our own time as well. Somebody who has more urgent work than that can
have the ordinary keys wait for it (`hold_ordinary`), half of the time at most.

Two things can fail. A key that fails (`retry`) waits alone, the longer the more often it has
failed. A server that fails (`pause_all`) makes everybody wait for a moment, and then go on in
the same order; so do many keys that fail with no success in between.
"""

import asyncio
import logging
import math
import random
from collections.abc import Awaitable, Callable, Hashable
from contextlib import suppress
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

from vpplb.model.backoff import backoff_seconds
from vpplb.model.token_bucket import TokenBucket

log = logging.getLogger(__name__)

KEY_BACKOFF = (0.1, 10.0)
SERVER_BACKOFF = (0.1, 5.0)
"""First and longest wait after a failure, in seconds: all goes on soon after the server is back."""
LONGEST_RETRY_AFTER = 10.0
"""Seconds for which a server is left alone that asks for it: it may be well long before."""
FAILING_KEYS = 8
"""So many keys that fail with no success in between are the server's failure."""
QUIET = 0.2
"""Seconds without urgent work until there is more than one ordinary worker."""
GAP = 0.25
"""Seconds after which something ordinary is done though something urgent is due."""
HOLD, LONGEST_HOLD = 0.03, 1.0
"""Seconds for which ordinary keys wait once they are asked to, and if they are asked again and
again. For as long as they waited nobody can ask them anew."""
IN_ADVANCE = 5.0
"""Seconds whose tokens the urgent may take in advance. For so long the ordinary may wait for some;
then a single one is done all the same."""

K = TypeVar("K", bound=Hashable)


class _QueueTurn(NamedTuple, Generic[K]):
    """A place in a queue: the lowest priority goes first, then the lowest number."""

    priority: int
    number: int
    key: K


@dataclass(slots=True, kw_only=True)
class _QueueEntry:
    """A key that is due (`turn`), waits for its time (`timer`), or is worked on (neither).

    It waits for more to gather, or to be tried again. `again` is the priority with which it is due
    once more when it was worked on, from `again_at` on, by the loop's clock. `reserved` is the
    turn that it has then, so that it is not behind those that were added later.
    """

    priority: int
    turn: int | None = None
    timer: asyncio.TimerHandle | None = None
    again: int | None = None
    again_at: float = math.inf
    reserved: int | None = None
    failures: int = 0

    @property
    def under_way(self) -> bool:
        return self.turn is None and self.timer is None

    @property
    def gathers_until(self) -> float:
        """When its turn comes, in the past unless more of it gathers."""
        return -math.inf if self.timer is None or self.failures else self.timer.when()


class WorkQueue(Generic[K]):
    """Keys with a priority, of which those up to `urgent` are urgent.

    Each kind has `parallel` workers. There are `per_second` tokens a second, and as many may be
    saved (0: no bound). All methods are for the event loop that runs `run`.
    """

    def __init__(self, *, parallel: int, urgent: int, per_second: float = 0.0) -> None:
        self._parallel, self._urgent_up_to = parallel, urgent
        self._entries: dict[K, _QueueEntry] = {}
        self._urgent: asyncio.PriorityQueue[_QueueTurn[K]] = asyncio.PriorityQueue()
        self._ordinary: asyncio.PriorityQueue[_QueueTurn[K]] = asyncio.PriorityQueue()
        self._tokens = (
            TokenBucket(per_second, max(1.0, per_second), most_debt=IN_ADVANCE * per_second)
            if per_second
            else TokenBucket(1.0, math.inf)
        )
        self._in_advance = IN_ADVANCE * per_second
        self._turns = 0
        self._busy_until = 0.0
        self._held_since = self._held_until = -math.inf
        self._running = _set_event()
        self._pauses = 0
        self._failing: set[K] = set()
        self._empty = _set_event()

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: K) -> bool:
        return key in self._entries

    # --- adding and removing -----------------------------------------------------------------

    def add(self, key: K, priority: int, delay: float = 0.0) -> None:
        """Have a key worked on in `delay` seconds, or sooner if it was added with less.

        One that is there already becomes more urgent, or stays as it is. One that is worked on has
        another turn after that; one that has failed waits for its time all the same.
        """
        entry, due = self._entries.get(key), asyncio.get_running_loop().time() + delay
        if entry is None:
            self._entries[key] = entry = _QueueEntry(priority=priority)
            self._empty.clear()
            self._schedule_key(key, entry, due)
        elif entry.under_way:
            entry.again_at = min(entry.again_at, due)
            if entry.again is None or priority < entry.again:
                entry.again, entry.reserved = priority, self._next_turn()
        else:
            more_urgent = priority < entry.priority
            entry.priority = min(priority, entry.priority)
            if entry.turn is not None and more_urgent:
                self._enqueue_key(key, entry)
            elif due < entry.gathers_until:
                self._schedule_key(key, entry, due)

    def repeat(self, key: K) -> None:
        """Have a key worked on once more if it is worked on now: what it read may be old."""
        entry = self._entries[key]
        if entry.under_way and entry.again is None:
            entry.again, entry.again_at = entry.priority, 0.0

    def hold_ordinary(self) -> None:
        """Have no ordinary key begin for a moment: there is more urgent work than that."""
        now = asyncio.get_running_loop().time()
        if now > self._held_until:
            if now < 2 * self._held_until - self._held_since:
                return
            self._held_since = now
        self._held_until = min(now + HOLD, self._held_since + LONGEST_HOLD)

    def remove(self, key: K) -> None:
        """Take a key out, whether it is due, waits, or is worked on."""
        entry = self._entries.pop(key, None)
        if entry is not None and entry.timer is not None:
            entry.timer.cancel()
        if not self._entries:
            self._empty.set()

    # --- what became of a key that was worked on ---------------------------------------------

    def finish(self, key: K) -> None:
        """Take a key out that was worked on, unless it was added meanwhile."""
        entry = self._entries[key]
        entry.failures = 0
        if entry.again is None:
            self.remove(key)
            return
        entry.priority = entry.again
        self._schedule_key(key, entry, entry.again_at)

    def requeue(self, key: K) -> None:
        """Have a key worked on once more, as soon as its turn comes."""
        entry = self._entries[key]
        if entry.again is not None:
            entry.priority = min(entry.priority, entry.again)
        self._enqueue_key(key, entry)

    def retry(self, key: K, why: str) -> float:
        """Have a key that failed worked on later; return in how many seconds."""
        entry = self._entries[key]
        entry.failures += 1
        delay = backoff_seconds(entry.failures, *KEY_BACKOFF, jitter=random.random())
        entry.timer = asyncio.get_running_loop().call_later(delay, self.requeue, key)
        self._failing.add(key)
        if len(self._failing) >= FAILING_KEYS:
            self.pause_all(why)
        return delay

    def count_failures(self, key: K) -> int:
        """Return how often a key has failed in a row."""
        return self._entries[key].failures

    # --- what the work costs -----------------------------------------------------------------

    @property
    def tokens(self) -> float:
        """How much may be done at once; below 0 where it was done in advance."""
        return self._tokens.count_tokens(asyncio.get_running_loop().time())

    def take_token(self) -> None:
        """Take note that work is done which costs the server something."""
        self._tokens.take_tokens(asyncio.get_running_loop().time())

    # --- what became of the server -----------------------------------------------------------

    @property
    def paused(self) -> bool:
        """Whether nothing may begin at present."""
        return not self._running.is_set()

    def pause_all(self, why: str, at_least: float | None = None) -> None:
        """Let nothing begin for a moment: the server fails, or asks for some seconds of rest.

        Failures of what was under way when the pause began do not prolong it.
        """
        if self.paused:
            return
        self._running.clear()
        self._pauses += 1
        delay = backoff_seconds(self._pauses, *SERVER_BACKOFF, jitter=random.random())
        if at_least:
            delay = max(delay, min(at_least, LONGEST_RETRY_AFTER))
        if self._pauses == 1:
            log.warning("status writes wait for the API server: %s", why)
        asyncio.get_running_loop().call_later(delay, self._running.set)

    def note_success(self) -> None:
        """Take note that the server does what it is asked."""
        self._failing.clear()
        if self._pauses:
            log.info("the API server takes status writes again")
            self._pauses = 0

    # --- working -----------------------------------------------------------------------------

    async def run(self, work: Callable[[K], Awaitable[None]]) -> None:
        """Work until cancelled. `work` ends by `finish`, `requeue` or `retry`, or by `remove`."""
        async with asyncio.TaskGroup() as group:
            for number in range(self._parallel):
                group.create_task(self._run_worker(self._urgent, self._wait_for_advance, work))
                wait = self._wait_for_quiet if number else self._wait_for_gap
                group.create_task(self._run_worker(self._ordinary, wait, work))

    async def wait_idle(self, patience: float) -> None:
        """Wait until nothing is due or under way, `patience` seconds at most."""
        with suppress(TimeoutError):
            async with asyncio.timeout(patience):
                await self._urgent.join()
                await self._ordinary.join()

    async def drain(self, timeout: float) -> int:
        """Wait until the queue is empty, `timeout` seconds at most; return how many are left.

        What gathers is due now.
        """
        self._held_until = -math.inf
        for key, entry in self._entries.items():
            if entry.gathers_until > 0:
                self._schedule_key(key, entry, 0.0)
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                while self._entries:  # the last to finish may be followed by another at once
                    await self._empty.wait()
        return len(self._entries)

    async def _run_worker(
        self,
        queue: asyncio.PriorityQueue[_QueueTurn[K]],
        wait: Callable[[], Awaitable[None]],
        work: Callable[[K], Awaitable[None]],
    ) -> None:
        while True:
            await wait()
            await self._running.wait()
            turn = await queue.get()
            if self.paused:  # it began while there was nothing to get
                queue.put_nowait(turn)
            elif self._begin_turn(turn):
                await work(turn.key)
                if queue is self._urgent:
                    self._note_urgent()
                # A restart finds thousands unchanged; without a request nobody else has a turn.
                await asyncio.sleep(0)
            queue.task_done()

    def _begin_turn(self, turn: _QueueTurn[K]) -> bool:
        """Begin with a key, unless it has had another turn meanwhile or was removed."""
        entry = self._entries.get(turn.key)
        if entry is None or entry.turn != turn.number:
            return False
        entry.turn = None
        return True

    def _schedule_key(self, key: K, entry: _QueueEntry, due: float) -> None:
        """Give a key its turn when its time has come."""
        if entry.timer is not None:
            entry.timer.cancel()
        loop = asyncio.get_running_loop()
        if due > loop.time():
            entry.timer = loop.call_at(due, self._enqueue_key, key, entry)
        else:
            self._enqueue_key(key, entry)

    def _enqueue_key(self, key: K, entry: _QueueEntry) -> None:
        """Give a key its turn: behind its equals, or as reserved while it was worked on."""
        entry.turn = entry.reserved or self._next_turn()
        entry.again = entry.reserved = entry.timer = None
        entry.again_at = math.inf
        urgent = entry.priority <= self._urgent_up_to
        if urgent:
            self._note_urgent()
        queue = self._urgent if urgent else self._ordinary
        queue.put_nowait(_QueueTurn(entry.priority, entry.turn, key))

    def _next_turn(self) -> int:
        self._turns += 1
        return self._turns

    def _note_urgent(self) -> None:
        self._busy_until = asyncio.get_running_loop().time() + QUIET

    async def _wait_for_advance(self) -> None:
        await self._wait_for_tokens(1 - self._in_advance)

    async def _wait_for_quiet(self) -> None:
        await self._wait_for_tokens(1)
        clock = asyncio.get_running_loop().time
        while (wait := max(self._busy_until, self._held_until) - clock()) > 0:  # noqa: ASYNC110 (it is known when to look again)
            # A wait of less than the clock tells apart would end before it began, for ever.
            await asyncio.sleep(max(0.001, wait))

    async def _wait_for_gap(self) -> None:
        if self.tokens < 1:
            with suppress(TimeoutError):
                async with asyncio.timeout(IN_ADVANCE):  # then the urgent take all that there is
                    await self._wait_for_tokens(1)
        clock = asyncio.get_running_loop().time
        while (wait := self._held_until - clock()) > 0:  # noqa: ASYNC110 (it is known when)
            await asyncio.sleep(max(0.001, wait))
        with suppress(TimeoutError):
            async with asyncio.timeout(GAP):
                await self._urgent.join()

    async def _wait_for_tokens(self, count: float) -> None:
        clock = asyncio.get_running_loop().time
        while wait := self._tokens.seconds_until(clock(), count):  # noqa: ASYNC110 (it is known when)
            await asyncio.sleep(max(0.001, wait))


def _set_event() -> asyncio.Event:
    event = asyncio.Event()
    event.set()
    return event
