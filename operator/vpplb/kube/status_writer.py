"""`StatusWriter`: writes statuses behind: the newest of each object, the most urgent first.

Who decides calls `submit_status` as often as it likes; nothing waits for the API server. What is
to be written is asked for (`render`) when its turn has come, so a write always carries the newest,
and ten changes while one write is under way make one more write. What the server has already is
not written; what it has otherwise is replaced, so a change that we have not heard of makes a
conflict, and then the object is read first.

What nobody waits for may be given some time in which more of it gathers. Then an object that
changes again and again is written a few times on end, and once a second from then on. And all
writes together are bounded, so that the server is left to others: see `work_queue`, in which those
that agents wait for may go in advance of that bound.

Two things can fail: the server, which makes all writes wait, or one object, which then waits alone
(see `work_queue`).
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import NamedTuple

from vpplb.kube.api_types import (
    RESOURCES,
    ApiError,
    ApiUnreachable,
    Conflict,
    JsonObject,
    KubeError,
    NotFound,
)
from vpplb.kube.client import KubeClient
from vpplb.kube.object_cache import ObjectCache, ObjectPlace
from vpplb.kube.work_queue import WorkQueue
from vpplb.model.names import ObjectKey, ObjectKind
from vpplb.model.token_bucket import TokenBucket
from vpplb.resources.stored_objects import StoredObject

log = logging.getLogger(__name__)

PARALLEL = 8
"""Requests at once for what carries traffic (the two first priorities); as many for the rest."""
FAILING = 3.0
"""Seconds that a write fails before that is told: most failures pass within a moment."""
PACE, ON_END = 1.0, 3
"""Writes a second of one object that may wait, and how many may follow one another at once."""
IN_ADVANCE = 1.0
"""Writes of one object that may be made ahead of its pace."""

RenderStatus = Callable[[], Mapping[str, object] | None]
"""Gives an object's whole status as of now, in JSON's types; None when there is none to write."""


class WritePriority(IntEnum):
    """What goes first: who carries traffic before who is measured, failures before recoveries.

    FRONTEND_DOWN is for a frontend that has anything down, PROGRAMMED for what nodes say of one.
    """

    FRONTEND_DOWN = 0
    FRONTEND = 1
    PROGRAMMED = 2
    BACKEND_DOWN = 3
    BACKEND = 4
    OTHER = 5


class WriteResult(StrEnum):
    """How a write ended, as `vpplb_status_writes_total` counts it.

    UNCHANGED: no request was made. GONE: the object is deleted. THROTTLED: 429 or 503.
    FORBIDDEN: 401 or 403. NO_STATUS: the CRD has no status. TOO_LARGE: for etcd or the server.
    REFUSED: any other failure answered by the server. ERROR: `render` raised.
    """

    WRITTEN = "written"
    UNCHANGED = "unchanged"
    GONE = "gone"
    CONFLICT = "conflict"
    THROTTLED = "throttled"
    UNREACHABLE = "unreachable"
    FORBIDDEN = "forbidden"
    NO_STATUS = "no_status"
    TOO_LARGE = "too_large"
    REFUSED = "refused"
    ERROR = "error"


class RenderError(KubeError):
    """There is no status to be had: `render` raised."""


class NoStatusResource(KubeError):
    """The object is there, but its status is not to be written: its CRD has no such subresource."""

    def __init__(self, kind: ObjectKind) -> None:
        resource = RESOURCES[kind]
        super().__init__(
            f"the CRD {resource.plural}.{resource.group} has no status subresource (is it of"
            " another version? `vpplb crds` writes those of this one)"
        )


class _WriteBase(NamedTuple):
    """What a write replaces."""

    version: int
    status: Mapping[str, object]


@dataclass(slots=True)
class _PendingWrite:
    """A status that is to be written. Times are of the loop's clock.

    `changed_at` is when the first change was that it shows. Of a write that has failed, `failure`
    says why and `failing_since` since when. `stale` is a version that is not the newest, though
    the cache may have nothing newer; `answered` is the version of the last answer.
    """

    render: RenderStatus
    changed_at: float | None
    conflicted: bool = False
    stale: int = 0
    answered: int = 0
    failure: str = ""
    failing_since: float = 0.0


class StatusWriter:
    """Writes the statuses of one program. `run` does the work; all else only notes.

    `cache` is what the server is known to have; answers to writes go into it. `on_write` is told
    each result by kind, `on_delay` the seconds from a change until it was written. There are
    `per_second` writes a second at most, but for what `WorkQueue` saves and lends; 0: no bound.
    All methods are for the event loop that runs `run`.
    """

    def __init__(
        self,
        client: KubeClient,
        cache: ObjectCache,
        *,
        on_write: Callable[[str, str], None] = lambda kind, result: None,
        on_delay: Callable[[float], None] = lambda seconds: None,
        parallel: int = PARALLEL,
        per_second: float = 0.0,
    ) -> None:
        self.cache, self._client = cache, client
        self._on_write, self._on_delay = on_write, on_delay
        self._writes: dict[ObjectPlace, _PendingWrite] = {}
        self._failing: dict[ObjectPlace, _PendingWrite] = {}
        self._queue: WorkQueue[ObjectPlace] = WorkQueue(
            parallel=parallel, urgent=WritePriority.FRONTEND, per_second=per_second
        )
        self._paces: dict[ObjectPlace, TokenBucket] = {}
        # By object, what the server made of a status (an older CRD, for example, drops the fields
        # that it does not know), and what it was made of.
        self._pruned: dict[ObjectPlace, tuple[Mapping[str, object], Mapping[str, object]]] = {}

    # --- noting ------------------------------------------------------------------------------

    def submit_status(
        self,
        kind: ObjectKind,
        key: ObjectKey,
        render: RenderStatus,
        priority: int = WritePriority.OTHER,
        *,
        since: float | None = None,
        delay: float = 0.0,
        in_advance: bool = False,
    ) -> None:
        """Have the object's status written soon; the newest `render` is the one that counts.

        `since` is the loop's time of the change that this write shows: its delay is told once it
        is written. `delay` are the seconds that it may wait for more to gather, and longer where
        the object was written often of late; 0: at once. `in_advance`: one write may be made sooner
        than that, which later ones then wait for. The most urgent priority of the pending submits
        counts, and the earliest time.
        """
        if delay and (pace := self._paces.get((kind, key))):
            left = 1.0 - IN_ADVANCE if in_advance else 1.0
            delay = max(delay, pace.seconds_until(asyncio.get_running_loop().time(), left))
        write = self._writes.get((kind, key))
        if write is None:
            self._writes[kind, key] = _PendingWrite(render, since)
        else:
            write.render = render
            write.changed_at = _earlier_of(write.changed_at, since)
        self._queue.add((kind, key), priority, delay)

    def hold_ordinary(self) -> None:
        """Have no status written for a moment that no agent waits for: decisions are being made."""
        self._queue.hold_ordinary()

    def note_change(self, kind: ObjectKind, old: StoredObject | None, new: StoredObject) -> bool:
        """Take note that the cache has an object anew.

        Return whether its status has changed though nothing was being written: then somebody else
        has written it. While it is, it may be our own, and is compared after that.
        """
        if old is None or old.uid != new.uid or old.status == new.status:
            return False
        write = self._writes.get((kind, new.key))
        if write is not None and new.version != write.answered:
            self._queue.repeat((kind, new.key))
        return write is None

    def forget_object(self, kind: ObjectKind, key: ObjectKey) -> None:
        """Drop everything of a deleted object, also a write that is still due."""
        self._pruned.pop((kind, key), None)
        self._paces.pop((kind, key), None)
        self._writes.pop((kind, key), None)
        self._failing.pop((kind, key), None)
        self._queue.remove((kind, key))

    @property
    def pending(self) -> int:
        """How many objects have a write due, waiting or under way."""
        return len(self._queue)

    @property
    def tokens(self) -> float:
        """How many writes may be made at once; below 0 where they were made in advance."""
        return self._queue.tokens

    @property
    def trouble(self) -> str:
        """Say which status cannot be written for a while, and why; empty when all can."""
        if not self._failing:
            return ""
        (kind, key), write = min(self._failing.items(), key=lambda item: item[1].failing_since)
        seconds = asyncio.get_running_loop().time() - write.failing_since
        if seconds < FAILING:
            return ""
        others = len(self._failing) - 1
        more = f" (nor {others} others)" if others else ""
        return (
            f"the status of {kind} {key} cannot be written for {seconds:.0f} s{more}:"
            f" {write.failure}"
        )

    # --- working -----------------------------------------------------------------------------

    async def run(self) -> None:
        await self._queue.run(self._process_object)

    async def wait_idle(self, patience: float) -> None:
        """Wait until no write is due or under way, `patience` seconds at most."""
        await self._queue.wait_idle(patience)

    async def drain(self, timeout: float) -> int:
        """Wait until nothing is pending, `timeout` seconds at most; return what is left."""
        left = await self._queue.drain(timeout)
        if left:
            log.warning("%d status writes were not made in %g s", left, timeout)
        return left

    async def _process_object(self, at: ObjectPlace) -> None:
        write = self._writes[at]
        result, error = await self._write_status(at, write)
        self._on_write(at[0], result)
        if self._is_wanted(at, write):
            self._settle_write(at, write, error)

    async def _write_status(
        self, at: ObjectPlace, write: _PendingWrite
    ) -> tuple[WriteResult, KubeError | None]:
        changed_at, write.changed_at = write.changed_at, None
        try:
            known = self._get_known(at, write)
            base = known or await self._read_base(at, write)
            # Rendered last: what was read may be another object of that name.
            status = _render_status(at, write) if self._is_wanted(at, write) else None
            if status is None:
                return WriteResult.GONE, None
            if known is not None and self._is_shown(at, known, status):
                return WriteResult.UNCHANGED, None
            if base.status != status:  # else an earlier write arrived, whose answer was lost
                await self._replace_status(at, write, base, status)
        except KubeError as error:
            write.changed_at = _earlier_of(changed_at, write.changed_at)
            return result_of(error), error
        self._queue.note_success()
        if changed_at is not None:
            self._on_delay(asyncio.get_running_loop().time() - changed_at)
        return WriteResult.WRITTEN, None

    def _get_known(self, at: ObjectPlace, write: _PendingWrite) -> _WriteBase | None:
        """Return what the server is known to have; None when that is not known (any more)."""
        cached = self.cache.get(*at)
        if cached is None or cached.version <= write.stale:
            return None
        return _WriteBase(cached.version, cached.status)

    def _is_shown(self, at: ObjectPlace, known: _WriteBase, status: Mapping[str, object]) -> bool:
        """Whether the server has this status, as far as it can have it."""
        return known.status == status or self._pruned.get(at) == (known.status, status)

    async def _read_base(self, at: ObjectPlace, write: _PendingWrite) -> _WriteBase:
        """Read what the server has where nothing is known, or no longer true."""
        return self._take_answer(at, write, await self._client.get_object(*at))

    async def _replace_status(
        self, at: ObjectPlace, write: _PendingWrite, base: _WriteBase, status: Mapping[str, object]
    ) -> None:
        self._queue.take_token()
        pace = self._paces.setdefault(at, TokenBucket(PACE, ON_END, most_debt=IN_ADVANCE))
        pace.take_tokens(asyncio.get_running_loop().time())
        try:
            with self.cache.awaiting_echo(at, status):
                answer = await self._client.replace_status(*at, base.version, status)
                made = self._take_answer(at, write, answer).status
        except NotFound:
            await self._read_base(at, write)  # or it is gone
            raise NoStatusResource(at[0]) from None
        except Conflict:
            write.stale = base.version
            raise
        if made != status and self._is_wanted(at, write):
            self._pruned[at] = made, status

    def _take_answer(self, at: ObjectPlace, write: _PendingWrite, answer: JsonObject) -> _WriteBase:
        base = _WriteBase(int(answer["metadata"]["resourceVersion"]), answer.get("status") or {})
        write.answered = base.version
        if self._is_wanted(at, write):
            try:
                self.cache.apply_event(at[0], "MODIFIED", answer)
            except Exception:  # a bug of who is told: it must not cost us the other writes
                log.exception("%s %s could not be taken in", *at)
        return base

    def _is_wanted(self, at: ObjectPlace, write: _PendingWrite) -> bool:
        """Whether the object has not been deleted since."""
        return self._writes.get(at) is write

    def _settle_write(self, at: ObjectPlace, write: _PendingWrite, error: KubeError | None) -> None:
        """Decide what becomes of an object whose write has ended."""
        if error is None or isinstance(error, NotFound):
            write.failure, write.conflicted = "", False
            self._failing.pop(at, None)
            self._queue.finish(at)
            if at not in self._queue:
                del self._writes[at]
            return
        if not write.failure:
            write.failing_since = asyncio.get_running_loop().time()
        write.failure = str(error)
        self._failing[at] = write
        match error:
            case ApiUnreachable() | ApiError(status=429 | 503):
                asked = error.retry_after if isinstance(error, ApiError) else None
                self._queue.pause_all(write.failure, asked)
                self._queue.requeue(at)
            case Conflict() if not write.conflicted:
                write.conflicted = True
                self._queue.requeue(at)
            case _:
                delay = self._queue.retry(at, write.failure)
                level = logging.WARNING if self._queue.count_failures(at) == 1 else logging.DEBUG
                log.log(level, "status of %s %s: %s (again in %.1f s)", *at, error, delay)


def result_of(error: KubeError) -> WriteResult:
    """Name the result of a write that failed with `error`."""
    match error:
        case ApiUnreachable():
            return WriteResult.UNREACHABLE
        case RenderError():
            return WriteResult.ERROR
        case NotFound():
            return WriteResult.GONE
        case ApiError(status=409):
            return WriteResult.CONFLICT
        case NoStatusResource():
            return WriteResult.NO_STATUS
        case ApiError(status=401 | 403):
            return WriteResult.FORBIDDEN
        case ApiError() if error.status == 413 or "too large" in error.message:
            return WriteResult.TOO_LARGE
        case ApiError(status=429 | 503):
            return WriteResult.THROTTLED
        case _:
            return WriteResult.REFUSED


def _render_status(at: ObjectPlace, write: _PendingWrite) -> Mapping[str, object] | None:
    try:
        return write.render()
    except Exception as error:  # a bug: it must not stop the writes of all others
        log.exception("status of %s %s cannot be rendered", *at)
        raise RenderError(f"cannot be rendered: {error}") from error


def _earlier_of(one: float | None, other: float | None) -> float | None:
    """Return the earlier of two times, of which either may not be."""
    times = [time for time in (one, other) if time is not None]
    return min(times) if times else None
