"""References to nothing: an event for each, once it has lasted.

Objects are applied in any order, so most references to nothing pass within a moment; a condition
shows them at once, an event would only be noise.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from vpplb.controller.event_notes import EventNote
from vpplb.model.names import ObjectKey, ObjectKind

LASTING = 3.0
"""Seconds that a reference leads nowhere before that is told."""


@dataclass(slots=True)
class BrokenReferences:
    """What is wrong with the references of each object, and what of that was told.

    `emit` tells it. An object that refers to nothing else than what was told is not told again.
    """

    emit: Callable[[ObjectKind, ObjectKey, EventNote], None]
    _announced: dict[tuple[ObjectKind, ObjectKey], str] = field(default_factory=dict)
    _waiting: dict[tuple[ObjectKind, ObjectKey], tuple[EventNote, asyncio.TimerHandle]] = field(
        default_factory=dict
    )

    def set_announced(self, kind: ObjectKind, key: ObjectKey, text: str) -> None:
        """Take over what the status of an object says; empty for nothing."""
        self._announced[kind, key] = text

    def update_note(self, kind: ObjectKind, key: ObjectKey, note: EventNote | None) -> None:
        """Take note of what is wrong at present; None: all references lead somewhere."""
        waiting = self._waiting.get((kind, key))
        if waiting is not None and waiting[0] == note:
            return
        self._stop_waiting(kind, key)
        if note is None:
            self._announced.pop((kind, key), None)
        elif note.text != self._announced.get((kind, key)):
            loop = asyncio.get_running_loop()
            timer = loop.call_later(LASTING, self._emit_note, kind, key, note)
            self._waiting[kind, key] = note, timer

    def forget_object(self, kind: ObjectKind, key: ObjectKey) -> None:
        self._stop_waiting(kind, key)
        self._announced.pop((kind, key), None)

    def _emit_note(self, kind: ObjectKind, key: ObjectKey, note: EventNote) -> None:
        del self._waiting[kind, key]
        self._announced[kind, key] = note.text
        self.emit(kind, key, note)

    def _stop_waiting(self, kind: ObjectKind, key: ObjectKey) -> None:
        waiting = self._waiting.pop((kind, key), None)
        if waiting is not None:
            waiting[1].cancel()
