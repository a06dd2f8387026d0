"""Kubernetes Events: told without waiting, sent at a bounded rate, the oldest dropped first.

They are created as events.k8s.io/v1, the current API: it has a time to the microsecond, and
`kubectl describe` and `kubectl get events` show it as well as core/v1 (both are views of the
same objects). An event is a courtesy; under mass failure the newest of them are worth more
than a late complete list, and status is never delayed for one.
"""

import asyncio
import hashlib
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, NamedTuple, Self

from vpplb.kube.api_types import (
    RESOURCES,
    ApiError,
    ApiUnreachable,
    KubeError,
    NamespaceTerminating,
)
from vpplb.kube.client import KubeClient
from vpplb.model.names import ObjectKey, ObjectKind
from vpplb.model.token_bucket import TokenBucket
from vpplb.resources.event_reasons import EventNote
from vpplb.resources.fields import format_time

log = logging.getLogger(__name__)

BURST = 100
PER_SECOND = 10.0
QUEUE = 1000
NOTE_BYTES = 1024
INSTANCE_BYTES = 128
"""The API server refuses events with a longer note, or a longer name of the program's instance."""
STEM = 200
"""Characters of an object's name in its events' names, which end in a stamp (253 in all)."""

PATIENCE = 0.5
"""Seconds that an event waits for statuses."""
MOMENT = 0.15
"""Seconds for which an event waits in any case: what it tells of is just being carried out, and a
request would take the time of it."""
RETRY_DELAY = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectEvent:
    """Something that happened to an object. `at` is aware; `note` is for people."""

    kind: ObjectKind
    key: ObjectKey
    uid: str
    type: Literal["Normal", "Warning"]
    reason: str
    note: str
    at: datetime
    action: str = "Observe"

    @classmethod
    def of_note(
        cls,
        note: EventNote,
        kind: ObjectKind,
        key: ObjectKey,
        uid: str,
        at: datetime,
        action: str = "Observe",
    ) -> Self:
        """Make the event that a note is about an object; `at` is aware."""
        return cls(
            kind=kind,
            key=key,
            uid=uid,
            type=note.type,
            reason=note.reason,
            note=note.text,
            at=at,
            action=action,
        )


class _QueuedEvent(NamedTuple):
    """An event, and the loop's time from which it may be sent."""

    due: float
    event: ObjectEvent


@dataclass(slots=True)
class EventRecorder:
    """Sends events behind. `reporter` names the program (`operator`), `instance` its pod or host.

    `on_drop` is called once for each event that is dropped. `rest` waits until nothing is under
    way that matters more, for so many seconds at most.
    """

    client: KubeClient
    reporter: str
    instance: str
    on_drop: Callable[[], None] = lambda: None
    rest: Callable[[float], Awaitable[None]] = lambda patience: asyncio.sleep(0)
    burst: int = BURST
    per_second: float = PER_SECOND
    _queue: deque[_QueuedEvent] = field(default_factory=deque)
    _more: asyncio.Event = field(default_factory=asyncio.Event)
    _idle: asyncio.Event = field(default_factory=asyncio.Event)
    _sent: int = 0
    _said_refused: bool = False
    _patience: float = PATIENCE

    def __post_init__(self) -> None:
        self._idle.set()

    def emit_event(self, event: ObjectEvent) -> None:
        """Queue an event; returns at once. When the queue is full its oldest is dropped."""
        if len(self._queue) >= QUEUE:
            self._queue.popleft()
            self.on_drop()
        self._queue.append(_QueuedEvent(asyncio.get_running_loop().time() + MOMENT, event))
        self._more.set()
        self._idle.clear()

    async def drain(self, timeout: float) -> None:
        """Send all that there is without patience; wait for it, `timeout` seconds at most."""
        self._patience = 0.0
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._idle.wait()

    async def run(self) -> None:
        """Send until cancelled, one at a time, within the rate."""
        clock, bucket = asyncio.get_running_loop().time, TokenBucket(self.per_second, self.burst)
        while True:
            await self._more.wait()
            if self._patience:
                await asyncio.sleep(self._queue[0].due - clock())
            if wait := bucket.seconds_until(clock()):
                await asyncio.sleep(wait)
            bucket.take_tokens(clock())
            await self.rest(self._patience)
            await self._send_event(self._queue.popleft())
            if not self._queue:
                self._more.clear()
                self._idle.set()

    async def _send_event(self, queued: _QueuedEvent) -> None:
        event = queued.event
        self._sent += 1
        try:
            await self.client.create_event(self._build_event(event))
            self._said_refused = False
        except NamespaceTerminating:
            log.debug("%s on %s: its namespace is being deleted", event.reason, event.key)
        except (ApiUnreachable, ApiError) as error:
            if isinstance(error, ApiError) and error.status not in (429, 503):
                self._note_refusal(event, error)
                return
            # It goes back to the front: newer ones push it out should the queue fill up.
            if len(self._queue) < QUEUE:
                self._queue.appendleft(queued)
            else:
                self.on_drop()
            await asyncio.sleep(RETRY_DELAY)
        except KubeError as error:
            self._note_refusal(event, error)

    def _note_refusal(self, event: ObjectEvent, error: KubeError) -> None:
        self.on_drop()
        level = logging.DEBUG if self._said_refused else logging.WARNING
        self._said_refused = True
        log.log(
            level, "events are not taken, here %s on %s %s: %s",
            event.reason, event.kind, event.key, error,
        )  # fmt: skip

    def _build_event(self, event: ObjectEvent) -> dict[str, object]:
        stamp = f"{int(event.at.timestamp() * 1_000_000):x}.{self._sent:x}"
        return {
            "metadata": {
                "name": f"{_shorten_name(event.key.name)}.{stamp}",
                # Events of cluster-scoped objects live in `default`, as all of Kubernetes does.
                "namespace": event.key.namespace or "default",
            },
            "eventTime": format_time(event.at),
            "reportingController": f"vpplb.dev/{self.reporter}",
            "reportingInstance": _cut_text(self.instance, INSTANCE_BYTES),
            "type": event.type,
            "reason": event.reason,
            "action": event.action,
            "note": _cut_text(event.note, NOTE_BYTES),
            "regarding": {
                "apiVersion": RESOURCES[event.kind].api_version,
                "kind": event.kind,
                "namespace": event.key.namespace,
                "name": event.key.name,
                "uid": event.uid,
            },
        }


def _shorten_name(name: str) -> str:
    """Shorten an object's name so that it still is a name, and no other's."""
    if len(name) <= STEM:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{name[: STEM - 9].rstrip('-.')}.{digest}"  # each part ends in a letter or a digit


def _cut_text(text: str, most: int) -> str:
    return text.encode()[:most].decode(errors="ignore")
