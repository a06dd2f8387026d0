"""`ObjectCache`: the newest of each object that the API server has, by kind and key.

Watches, lists and the answers to our own writes tell of objects, in whatever order they come.
Versions of objects are numbers that only grow (Kubernetes 1.35 and later say so), so whatever is
older than what is known is dropped here, and everybody else reads what is left.

But a server that was restored from a backup counts again from where it was then, and all that it
tells would be older than what is known. A list is as new as the server was when it was asked. So
one that is older than what was known before, or shows an object older than it was known, says that
history has changed: then nothing counts that was known of versions, until all is listed again.
"""

import asyncio
import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol

from vpplb.kube.api_types import PAGE, JsonObject, ObjectListing, key_of, version_of
from vpplb.model.names import ObjectKey, ObjectKind
from vpplb.resources.stored_objects import StoredObject, StoredObjects

log = logging.getLogger(__name__)

ObjectPlace = tuple[ObjectKind, ObjectKey]
"""Where an object is: its kind, and its key among those of the kind."""


class CacheEvent(NamedTuple):
    """What a watch, or an answer, tells of an object; `type` None: it is in a list of the watch."""

    kind: ObjectKind
    type: str | None
    raw: JsonObject


class ObjectHandler(Protocol):
    """Who is told what changes. Called on the event loop; must not block or raise."""

    def on_upsert(self, kind: ObjectKind, old: StoredObject | None, new: StoredObject) -> None:
        """Take an object that is there, new or changed.

        `old` may be another object of that name (`uid`), whose deletion nobody told. Its version
        is 0 where the server's history has changed since: then all objects are told anew, and
        what is not there any more is told as deleted.
        """

    def on_delete(self, kind: ObjectKind, key: ObjectKey) -> None:
        """Take note that an object that was known is deleted; the cache has it until all know."""


class HistoryChanged(Exception):
    """A list is older than what was known before it was asked for; the text says what."""


class ObjectCache(StoredObjects):
    """Takes events and lists, keeps the newest of each object, and tells `handlers` in order."""

    def __init__(self, handlers: Sequence[ObjectHandler] = ()) -> None:
        super().__init__()
        self._handlers = list(handlers)
        self._deleted: dict[ObjectPlace, int] = {}
        self._newest: dict[ObjectKind, int] = {}
        self._complete: dict[tuple[ObjectKind, str | None], int] = {}
        self._echoes = WriteEchoes()

    def add_handlers(self, *handlers: ObjectHandler) -> None:
        """Tell more handlers from now on, in order, as those that themselves read the cache."""
        self._handlers += handlers

    # --- versions ----------------------------------------------------------------------------

    def newest_version(self, kind: ObjectKind) -> int:
        """Return the newest version that the server is known to have had of a kind; 0: none."""
        return self._newest.get(kind, 0)

    def note_version(self, kind: ObjectKind, version: int) -> None:
        """Take note of a version that the server had reached."""
        self._newest[kind] = max(version, self._newest.get(kind, 0))

    def is_known(self, event: CacheEvent) -> bool:
        """Whether an event tells nothing new: we know this version of the object, or a newer one.

        Or the answer to a write tells it in a moment: then the event is kept back until that is
        there (`awaiting_echo`). Any thread may ask.
        """
        known = self.get(event.kind, key_of(event.raw))
        if known is None or event.type == "DELETED":
            return False
        return version_of(event.raw) <= known.version or self._echoes.keep_back(event, known)

    def awaiting_echo(
        self, at: ObjectPlace, status: Mapping[str, object]
    ) -> AbstractContextManager[None]:
        """Keep back an event that shows this status and no other change, as long as it is written.

        The answer tells the same. A write that fails may have been made all the same: then the
        event is taken after all.
        """
        return self._echoes.awaiting(at, status, lambda event: self.apply_events([event]))

    # --- taking ------------------------------------------------------------------------------

    def apply_event(self, kind: ObjectKind, event_type: str | None, raw: JsonObject) -> None:
        """Take one event, such as what the answer to a write tells."""
        self.apply_events([CacheEvent(kind, event_type, raw)])

    def apply_events(self, events: Iterable[CacheEvent]) -> None:
        """Take events in their order, and tell the handlers of those that are news.

        What a handler raises is logged: it is a bug, and must not cost us the other objects.
        """
        for kind, event_type, raw in events:
            version, key = version_of(raw), key_of(raw)
            self.note_version(kind, version)
            try:
                if event_type == "DELETED":
                    self._delete(kind, key, version)
                elif version <= self._complete_version(kind, key) and not self.get(kind, key):
                    continue  # a whole list, at least as new, did not have it: it was deleted
                elif change := self._put_newer(kind, key, raw):
                    for handler in self._handlers:
                        handler.on_upsert(kind, *change)
            except Exception:
                log.exception("%s %s could not be taken in", kind, key)

    async def apply_listing(
        self, kind: ObjectKind, namespace: str | None, listing: ObjectListing, *, asked_at: int = 0
    ) -> None:
        """Take the whole of a namespace (None: of all): what it does not show is deleted.

        `asked_at` is the `newest_version` from before the list was asked for. HistoryChanged, and
        nothing is taken, where the list cannot be of the history that is known. Others have their
        turn meanwhile: 10,000 objects take a second.
        """
        version, listed = int(listing.resource_version), {key_of(raw): raw for raw in listing.items}
        self._check_history(kind, listed, version, asked_at)
        self.note_version(kind, version)
        for number, (key, raw) in enumerate(listed.items(), 1):
            if change := self._put_newer(kind, key, raw):
                for handler in self._handlers:
                    handler.on_upsert(kind, *change)
            if number % PAGE == 0:
                await asyncio.sleep(0)
        for key, known in list(self._objects.get(kind, {}).items()):
            inside = namespace in (None, key.namespace)
            if inside and key not in listed and known.version <= version:
                log.info("%s %s was deleted while nobody watched", kind, key)
                self._delete(kind, key, version)
        self._complete[kind, namespace] = version
        # What was deleted before this list is in no later one, and an event of it comes too late.
        self._deleted = {at: v for at, v in self._deleted.items() if at[0] != kind or v > version}

    def reset_versions(self) -> None:
        """Hold all that is known for older than anything: the server counts anew."""
        for objects in self._objects.values():
            for key, known in objects.items():
                objects[key] = replace(known, version=0)
        for notes in (self._deleted, self._newest, self._complete):
            notes.clear()

    def _complete_version(self, kind: ObjectKind, key: ObjectKey) -> int:
        """Return the version of the last whole list that an object would have been in; 0: none."""
        found = (self._complete.get((kind, scope), 0) for scope in (None, key.namespace))
        return max(found)

    def _check_history(
        self, kind: ObjectKind, listed: Mapping[ObjectKey, JsonObject], version: int, asked_at: int
    ) -> None:
        if version < asked_at:
            raise HistoryChanged(f"{kind.plural} are at version {version}, and were at {asked_at}")
        for key, raw in listed.items():
            known = self.get(kind, key)
            # Where the object is known from after the list, the list is merely late.
            if known is not None and version_of(raw) < known.version <= version:
                raise HistoryChanged(
                    f"{kind} {key} is at version {version_of(raw)}, and was at {known.version}"
                )

    def _put_newer(
        self, kind: ObjectKind, key: ObjectKey, raw: JsonObject
    ) -> tuple[StoredObject | None, StoredObject] | None:
        """Keep an object; return what was known before, and it. None: no news, nothing is kept."""
        objects, version = self._objects.setdefault(kind, {}), version_of(raw)
        old = objects.get(key)
        if version <= max(old.version if old else 0, self._deleted.get((kind, key), 0)):
            return None
        metadata = raw["metadata"]
        uid, generation = metadata.get("uid", ""), metadata.get("generation", 0)
        new = StoredObject(key=key, raw=raw, generation=generation, version=version, uid=uid)
        # Left out of a copy, since the thread that watches may still read its own.
        kept = {name: value for name, value in metadata.items() if name != "managedFields"}
        objects[key] = replace(new, raw={**raw, "metadata": kept})
        return old, new

    def _delete(self, kind: ObjectKind, key: ObjectKey, version: int) -> None:
        known = self.get(kind, key)
        if known is None or known.version > version:
            # An object made and deleted while a list is under way must not come with that list.
            self._deleted[kind, key] = max(version, self._deleted.get((kind, key), 0))
            return
        self._deleted[kind, key] = version
        for handler in self._handlers:
            handler.on_delete(kind, key)
        del self._objects[kind][key]


class WriteEchoes:
    """Keeps back events of writes under way: one in three comes before the answer is read.

    The answer tells the same. Without this its echo would be taken for somebody else's write.
    """

    def __init__(self) -> None:
        self._lock, self._awaited = threading.Lock(), dict[ObjectPlace, _AwaitedEcho]()

    @contextmanager
    def awaiting(
        self,
        at: ObjectPlace,
        status: Mapping[str, object],
        on_failure: Callable[[CacheEvent], None],
    ) -> Iterator[None]:
        """Keep back what shows this status of an object; a failure gives it to `on_failure`."""
        echo, answered = _AwaitedEcho(status), False
        with self._lock:
            self._awaited[at] = echo
        try:
            yield
            answered = True
        finally:
            with self._lock:
                if self._awaited.get(at) is echo:  # an object made anew may be written already
                    del self._awaited[at]
            if echo.event is not None and not answered:
                on_failure(echo.event)

    def keep_back(self, event: CacheEvent, known: StoredObject) -> bool:
        """Keep an event back, on any thread, if beside what is `known` it shows that status."""
        at = event.kind, known.key
        with self._lock:
            echo = self._awaited.get(at)
        if echo is None or event.raw.get("status") != echo.status:
            return False
        if _lasting_metadata(event.raw) != _lasting_metadata(known.raw):
            return False
        with self._lock:
            if self._awaited.get(at) is not echo:
                return False  # it was answered, or has failed, meanwhile
            echo.event = event
        return True


@dataclass(slots=True)
class _AwaitedEcho:
    """A status that is being written, and the event that shows it, once it was told."""

    status: Mapping[str, object]
    event: CacheEvent | None = None


def _lasting_metadata(raw: JsonObject) -> JsonObject:
    """Return what a status write leaves as it is; the spec is the same where `generation` is."""
    changing = ("managedFields", "resourceVersion")
    return {name: value for name, value in raw["metadata"].items() if name not in changing}


class EventInbox(Iterable[CacheEvent]):
    """Hands what is told on another thread to `read`, on the loop that it was made on.

    What is not read yet is replaced by what is newer of the same object: however fast objects
    change, and however long the reader is busy, no more is kept than one event an object.
    """

    def __init__(
        self,
        read: Callable[[Iterable[CacheEvent]], None],
        is_known: Callable[[CacheEvent], bool] = lambda event: False,
    ) -> None:
        self._read, self._is_known, self._loop = read, is_known, asyncio.get_running_loop()
        self._lock, self._closed = threading.Lock(), False
        self._waiting: dict[ObjectPlace, CacheEvent] = {}

    def is_news(self, kind: ObjectKind, event: Mapping[str, Any], **_: object) -> bool:
        """Tell whether an event is to be put: an echo of our own write, for example, is known.

        This is the filter of kopf's handler, asked before kopf prepares to call that.
        """
        return not self._is_known(CacheEvent(kind, event["type"], event["object"]))

    async def put_event(self, kind: ObjectKind, event: Mapping[str, Any], **_: object) -> None:
        """Have an event read soon; after the end of the loop: nothing.

        This is kopf's handler. It awaits nothing, but must be a coroutine: plain functions are
        run in a pool of threads, out of order.
        """
        told = CacheEvent(kind, event["type"], dict(event["object"]))
        place = kind, key_of(told.raw)
        with self._lock:
            first = not self._waiting
            other = self._waiting.pop(place, told)  # so that the newest is the last
            # Of an object made anew kopf may tell before it tells of the deletion before.
            self._waiting[place] = max(told, other, key=lambda event: version_of(event.raw))
        if first:
            with suppress(RuntimeError):  # the loop is closed
                self._loop.call_soon_threadsafe(self._read, self)

    def close(self) -> None:
        """Have nothing more read: a thread that was left behind may tell of another history."""
        self._closed = True

    def __iter__(self) -> Iterator[CacheEvent]:
        """Take out all that waits."""
        with self._lock:
            waiting, self._waiting = self._waiting, {}
        for event in waiting.values():
            if not self._closed:
                yield event
