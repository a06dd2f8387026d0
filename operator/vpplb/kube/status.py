"""Writing status behind: the newest of each object, the most urgent first, never lost.

Whoever decides calls `submit` as often as it likes; nothing waits for the API server. Each
object has at most one entry. What is to be written is asked for (`render`) when its turn has
come, so a write always carries the newest, and ten changes while one write is under way make
one more write. What the server has already is not written; what it has otherwise is replaced, so
a change that we have not heard of makes a conflict, and then the object is read first.

Two things can fail: the server (see `gate`), which makes everybody wait for a moment and try
again in the same order; or one object, which then waits alone.
"""

import asyncio
import logging
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum

from vpplb.kube.api_resources import JsonObject
from vpplb.kube.calm import Calm
from vpplb.kube.errors import ApiError, ApiUnreachable, Conflict, KubeError, NotFound
from vpplb.kube.gate import Gate
from vpplb.kube.hooks import StatusClient, WriterHooks
from vpplb.kube.known import KnownStatuses, Seen, seen_in
from vpplb.kube.lanes import Lanes
from vpplb.kube.pending import Pending, Render, earlier
from vpplb.kube.result import NoStatus, Unrenderable, WriteResult, result_of
from vpplb.kube.troubles import Troubles
from vpplb.model.backoff import backoff_seconds
from vpplb.model.names import ObjectKey, ObjectKind

log = logging.getLogger(__name__)

PARALLEL = 8
"""Requests at once for what carries traffic (the two first priorities); as many for the rest."""
CALM = 0.2
"""Seconds without a write of the first kind until the second has more than one request at once."""
OBJECT_BACKOFF = (0.1, 10.0)
"""First and longest wait after a failure, in seconds; each failure doubles it."""


class Priority(IntEnum):
    """What goes first: who carries traffic before who is measured, failures before recoveries.

    FRONTEND_DOWN is for a frontend that has anything down, PROGRAMMED for what nodes say of one.
    """

    FRONTEND_DOWN = 0
    FRONTEND = 1
    PROGRAMMED = 2
    BACKEND_DOWN = 3
    BACKEND = 4
    OTHER = 5


@dataclass(slots=True)
class StatusWriter:
    """The queue of status writes of one program. `run` does the work; all else only notes.

    All methods are for the event loop that runs `run`.
    """

    client: StatusClient
    hooks: WriterHooks = field(default_factory=WriterHooks)
    parallel: int = PARALLEL
    _known: KnownStatuses = field(default_factory=KnownStatuses)
    _entries: dict[tuple[ObjectKind, ObjectKey], Pending] = field(default_factory=dict)
    _calm: Calm = field(default_factory=lambda: Calm(CALM))
    _gate: Gate = field(default_factory=Gate)
    _lanes: Lanes[Pending] = field(init=False)
    _troubles: Troubles = field(default_factory=Troubles)
    _idle: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self._lanes = Lanes(self._gate, self._calm, self.parallel)
        self._idle.set()

    # --- noting ------------------------------------------------------------------------------

    def submit(
        self,
        kind: ObjectKind,
        key: ObjectKey,
        render: Render,
        priority: int = Priority.OTHER,
        *,
        since: float | None = None,
    ) -> None:
        """Have the object's status written soon; the newest `render` is the one that counts.

        `since` is the loop's time of the change that this write shows: its delay is told to
        the hooks once it is written. The most urgent priority of the pending submits counts.
        """
        entry = self._entries.get((kind, key))
        if entry is None:
            entry = Pending(kind=kind, key=key, render=render, priority=priority, since=since)
            self._entries[kind, key] = entry
            self._idle.clear()
            self._enqueue(entry)
            return
        entry.render = render
        entry.since = earlier(entry.since, since)
        if entry.under_way:
            if entry.again is None or priority < entry.again:
                entry.again, entry.reserved = priority, self._lanes.reserve()
        elif priority < entry.priority:
            entry.priority = priority
            if entry.turn is not None:
                self._enqueue(entry)

    def known(self, kind: ObjectKind, key: ObjectKey, raw: JsonObject) -> bool:
        """Take note of an object seen on the server, by a watch or a list (see KnownStatuses).

        Return whether its status is another than was known though nothing was being written: then
        somebody else has written it. While it is, it may be our own, and is compared after that.
        """
        changed = self._known.saw(kind, key, seen_in(raw))
        entry = self._entries.get((kind, key))
        if changed and entry is not None and entry.under_way and entry.again is None:
            entry.again = entry.priority
        return changed and entry is None

    def rewound(self) -> None:
        """Take note that the server's versions count anew (see Informer)."""
        self._known.rewound()

    def forget(self, kind: ObjectKind, key: ObjectKey) -> None:
        """Drop everything of a deleted object, also a write that is still due."""
        self._known.forget(kind, key)
        self._troubles.note(f"{kind} {key}", None)
        entry = self._entries.get((kind, key))
        if entry is not None:
            self._finish(entry)

    @property
    def pending(self) -> int:
        """How many objects have a write due, waiting or under way."""
        return len(self._entries)

    @property
    def trouble(self) -> str:
        """Say which status cannot be written for a while, and why; empty when all can."""
        return self._troubles.text

    # --- working -----------------------------------------------------------------------------

    async def run(self) -> None:
        """Write until cancelled."""
        await self._lanes.run(self._take)

    async def rest(self, patience: float) -> None:
        """Wait until no write is due or under way, `patience` seconds at most."""
        await self._lanes.rest(patience)

    async def drain(self, timeout: float) -> int:
        """Wait until nothing is pending, `timeout` seconds at most; return what is left."""
        try:
            async with asyncio.timeout(timeout):
                while self._entries:
                    await self._idle.wait()
        except TimeoutError:
            log.warning("%d status writes were not made in %g s", self.pending, timeout)
        return self.pending

    async def _take(self, entry: Pending, turn: int) -> None:
        if turn != entry.turn:
            return  # it has had another turn meanwhile, or is no longer wanted
        entry.turn = None
        result, error = await self._write(entry)
        self.hooks.on_write(entry.kind, result)
        if self._is_wanted(entry):
            self._troubles.note(f"{entry.kind} {entry.key}", error)
            self._settle(entry, error)
        # A restart finds thousands unchanged; without a request nothing else gets its turn.
        await asyncio.sleep(0)

    async def _write(self, entry: Pending) -> tuple[WriteResult, KubeError | None]:
        since, entry.since = entry.since, None
        known = self._known.get(entry.kind, entry.key)
        try:
            base = known or await self._read(entry)
            # Rendered last: what was read may be another object of that name.
            status = _rendered(entry) if self._is_wanted(entry) else None
            if status is None:
                return WriteResult.GONE, None
            if known is not None and known.shows(status):
                return WriteResult.UNCHANGED, None
            if base.status != status:  # else an earlier write arrived, whose answer was lost
                await self._replace(entry, base, status)
        except KubeError as error:
            entry.since = earlier(since, entry.since)
            return result_of(error), error
        self._gate.succeeded()
        if since is not None:
            self.hooks.on_delay(asyncio.get_running_loop().time() - since)
        return WriteResult.WRITTEN, None

    async def _read(self, entry: Pending) -> Seen:
        """Read what the server has where nothing is known, or no longer true."""
        answer = await self.client.get(entry.kind, entry.key)
        self._took(entry, answer)
        return seen_in(answer)

    async def _replace(self, entry: Pending, base: Seen, status: Mapping[str, object]) -> None:
        kind, key = entry.kind, entry.key
        try:
            with self.hooks.writing(base.uid):
                answer = await self.client.replace_status(kind, key, base.version, status)
                self._took(entry, answer, status)
        except NotFound:
            await self._read(entry)  # or it is gone
            raise NoStatus(kind) from None
        except Conflict:
            newest = self._known.get(kind, key)
            if newest is not None and newest.version <= base.version:
                self._known.forget(kind, key)
            raise

    def _took(
        self, entry: Pending, answer: JsonObject, wrote: Mapping[str, object] | None = None
    ) -> None:
        """Note what the server has now, by itself or of what we wrote."""
        if self._is_wanted(entry):
            self._known.saw(entry.kind, entry.key, seen_in(answer, wrote))
            self.hooks.on_answer(entry.kind, answer)

    def _is_wanted(self, entry: Pending) -> bool:
        """Whether the object has not been deleted since."""
        return self._entries.get((entry.kind, entry.key)) is entry

    def _settle(self, entry: Pending, error: KubeError | None) -> None:
        """Decide what becomes of an entry whose write has ended."""
        match error:
            case ApiUnreachable() | ApiError(status=429 | 503):
                self._gate.server_failed(error)
                self._enqueue_again(entry)
            case NotFound() | None:
                entry.failures, entry.conflicted = 0, False
                if error is not None:
                    self._known.forget(entry.kind, entry.key)
                if entry.again is None:
                    self._finish(entry)
                else:
                    entry.priority = entry.again
                    self._enqueue(entry)
            case Conflict() if not entry.conflicted:
                entry.conflicted = True
                self._enqueue_again(entry)
            case _:
                self._retry(entry, error)
                self._gate.object_failed((entry.kind, entry.key), error)

    def _enqueue(self, entry: Pending) -> None:
        """Give the entry its turn: behind its equals, or as reserved while it was written."""
        urgent, number = entry.priority <= Priority.FRONTEND, entry.reserved
        entry.again = entry.reserved = entry.retry = None
        entry.turn = self._lanes.put(entry, entry.priority, urgent=urgent, number=number)

    def _enqueue_again(self, entry: Pending) -> None:
        if entry.again is not None:
            entry.priority = min(entry.priority, entry.again)
        self._enqueue(entry)

    def _finish(self, entry: Pending) -> None:
        if entry.retry is not None:
            entry.retry.cancel()
        entry.turn = None
        del self._entries[entry.kind, entry.key]
        if not self._entries:
            self._idle.set()

    def _retry(self, entry: Pending, error: KubeError) -> None:
        entry.failures += 1
        delay = backoff_seconds(entry.failures, *OBJECT_BACKOFF, jitter=random.random())
        level = logging.WARNING if entry.failures == 1 else logging.DEBUG
        log.log(level, "status of %s %s: %s (again in %.1f s)", entry.kind, entry.key, error, delay)
        loop = asyncio.get_running_loop()
        entry.retry = loop.call_later(delay, self._enqueue_again, entry)


def _rendered(entry: Pending) -> Mapping[str, object] | None:
    try:
        return entry.render()
    except Exception as error:  # a bug: it must not stop the writes of all others
        log.exception("status of %s %s cannot be rendered", entry.kind, entry.key)
        raise Unrenderable(f"cannot be rendered: {error}") from error
