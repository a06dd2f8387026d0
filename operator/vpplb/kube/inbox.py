"""From kopf's thread to ours: what is not yet read is replaced by what is newer.

However fast objects change, and however long the reader is busy, no more is kept than one event
an object.
"""

import asyncio
import logging
import threading
from collections.abc import Callable
from contextlib import suppress

from vpplb.kube.api_resources import JsonObject
from vpplb.model.names import ObjectKind

log = logging.getLogger(__name__)

Read = Callable[[ObjectKind, str | None, JsonObject], None]
"""Takes a kind, a type of event (None: part of a list) and the object."""


class Inbox:
    """Hands events to `read` on the loop it was made on. An exception of `read` is logged."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self._loop = asyncio.get_running_loop()
        self._lock = threading.Lock()
        self._waiting: dict[tuple[ObjectKind, str, str], tuple[str | None, JsonObject]] = {}

    def put(self, kind: ObjectKind, event_type: str | None, raw: JsonObject) -> None:
        """Have an event read soon; from any thread. After the end of the loop: nothing."""
        metadata = raw["metadata"]
        key = (kind, metadata.get("namespace", ""), metadata["name"])
        with self._lock:
            first = not self._waiting
            self._waiting.pop(key, None)  # so that the newest is the last
            self._waiting[key] = (event_type, raw)
        if first:
            with suppress(RuntimeError):  # the loop is closed
                self._loop.call_soon_threadsafe(self._deliver)

    def _deliver(self) -> None:
        with self._lock:
            waiting, self._waiting = self._waiting, {}
        for (kind, namespace, name), (event_type, raw) in waiting.items():
            try:
                self._read(kind, event_type, raw)
            except Exception:  # a bug: it must not cost us the others
                log.exception("%s %s/%s could not be taken in", kind, namespace, name)
