"""The statuses of all objects where there is no API server: in memory, shown, and in a file."""

import asyncio
import logging
from collections.abc import Mapping

from vpplb.files.state import StateFile
from vpplb.model.names import ObjectKey, ObjectKind
from vpplb.resources.renderer import StatusRenderer
from vpplb.telemetry.state_view import DecidedStateView

log = logging.getLogger(__name__)

SAVE_PAUSE = 0.05
"""Seconds between two writings of the state file; what changes meanwhile is gathered.

A crash within that time resumes from the state before, so it must be short.
"""


class LocalStatuses:
    """Keeps statuses as rendered last, and saves them behind."""

    def __init__(
        self, renderer: StatusRenderer, view: DecidedStateView, state_file: StateFile
    ) -> None:
        self._renderer, self._view, self._state_file = renderer, view, state_file
        self._statuses: dict[str, dict[ObjectKey, dict[str, object]]] = {}
        self._changed = asyncio.Event()

    def note_object(self, kind: str, key: ObjectKey, raw: Mapping[str, object]) -> None:
        """Take note of an object, as a user wrote it and with the status that is resumed from."""
        self._renderer.seen(kind, key, raw)
        self._view.note_object(kind, key, raw)

    def forget_object(self, kind: str, key: ObjectKey) -> None:
        self._renderer.gone(kind, key)
        self._view.forget_object(kind, key)

    def refresh_frontend(self, key: ObjectKey) -> None:
        """Show and keep a frontend's status as it is now."""
        self.refresh_status(ObjectKind.FRONTEND, key)

    def refresh_status(self, kind: str, key: ObjectKey) -> None:
        """Show and keep the status of an object as it is now."""
        self._view.publish_object(kind, key)
        status = self._renderer.render(kind, key)
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
            await asyncio.to_thread(self._state_file.save, statuses)
        except OSError as error:
            log.error("the state cannot be written to %s: %s", self._state_file.path, error)
