"""The statuses of all objects where there is no API server: in memory, shown, and in a file."""

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

from vpplb.files.state_file import StateFile
from vpplb.model.names import ObjectKey, ObjectKind
from vpplb.resources.meta import read_generation
from vpplb.resources.renderer import StatusRenderer
from vpplb.resources.stored_objects import StoredObject, StoredObjects
from vpplb.resources.unsettled_frontends import UnsettledFrontends
from vpplb.telemetry.state_view import DecidedStateView

log = logging.getLogger(__name__)

SAVE_PAUSE = 0.05
"""Seconds between two writings of the state file; what changes meanwhile is gathered.

A crash within that time resumes from the state before, so it must be short.
"""


class LocalObjects(StoredObjects):
    """Objects that a folder tells, so that no version says which is newer: the last one is."""

    def put_object(self, kind: ObjectKind, key: ObjectKey, raw: Mapping[str, Any]) -> None:
        generation = read_generation(raw)
        stored = StoredObject(key=key, raw=dict(raw), generation=generation)
        self._objects.setdefault(kind, {})[key] = stored

    def remove_object(self, kind: ObjectKind, key: ObjectKey) -> None:
        self._objects.get(kind, {}).pop(key, None)


class LocalStatuses:
    """Keeps statuses as rendered last, and saves them behind."""

    def __init__(
        self,
        objects: LocalObjects,
        renderer: StatusRenderer,
        view: DecidedStateView,
        state_file: StateFile,
    ) -> None:
        self._objects, self._renderer, self._view = objects, renderer, view
        self._state_file = state_file
        self._statuses: dict[str, dict[ObjectKey, dict[str, object]]] = {}
        self._changed = asyncio.Event()
        self._unsettled = UnsettledFrontends(
            renderer.judgements, lambda key: self.refresh_status(ObjectKind.FRONTEND, key)
        )

    def on_upsert(self, kind: ObjectKind, key: ObjectKey, raw: Mapping[str, object]) -> None:
        """Take note of an object, as a user wrote it and with the status that is resumed from."""
        self._objects.put_object(kind, key, raw)

    def on_delete(self, kind: ObjectKind, key: ObjectKey) -> None:
        self._renderer.forget_object(kind, key)
        self._view.publish_deletion(kind, key)
        self._objects.remove_object(kind, key)

    def refresh_status(self, kind: ObjectKind, key: ObjectKey) -> None:
        self._view.publish_object(kind, key)
        status = self._renderer.render(kind, key)
        self._unsettled.note_rendered(kind, key)
        if status is None:
            self._statuses.get(kind, {}).pop(key, None)
        else:
            self._statuses.setdefault(kind, {})[key] = status
        self._changed.set()

    async def run(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            await self.save_statuses()
            await asyncio.sleep(SAVE_PAUSE)

    async def save_statuses(self) -> None:
        """Write the state file; it is logged where that is not possible."""
        statuses = {kind: dict(of_kind) for kind, of_kind in self._statuses.items()}
        try:
            await asyncio.to_thread(self._state_file.save_statuses, statuses)
        except OSError as error:
            log.error("the state cannot be written to %s: %s", self._state_file.path, error)
