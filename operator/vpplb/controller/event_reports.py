"""Which Kubernetes events are sent: what was announced of each object, and what is new of it."""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial

from vpplb.controller.degradation_events import DegradationEvents
from vpplb.controller.event_notes import (
    Announcement,
    announce_frontend,
    note_broken_references,
    note_frontend_changes,
    note_suspicion,
    note_transition,
    read_announcement,
    read_broken_references,
)
from vpplb.kube.api_types import JsonObject, key_of
from vpplb.kube.kubernetes_events import EventRecorder, ObjectEvent
from vpplb.kube.object_cache import ObjectCache
from vpplb.model.clock import Clock
from vpplb.model.names import ObjectKey, ObjectKind
from vpplb.plan.decisions import DecidedState, Decisions, UnreadFrontend
from vpplb.plan.desired import FrontendView
from vpplb.resources.dataplane_conditions import is_declared_gone
from vpplb.resources.event_reasons import AGENT_FOUND, AGENT_LOST, NOT_SERVED, EventNote
from vpplb.resources.frontend_conditions import FrontendJudgement
from vpplb.resources.stored_objects import StoredObject

LASTING = 3.0
"""Seconds that a reference leads nowhere before that is told."""


@dataclass(slots=True)
class BrokenReferences:
    """References to nothing: told once they have lasted, since objects are applied in any order.

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


class EventReports:
    """Tells people of what was decided. Implements `ObjectHandler`.

    What an object's status says at first sight counts as announced, so a restart tells nothing
    again; until something is decided here, that of the newest status does.
    """

    def __init__(
        self, cache: ObjectCache, decided: DecidedState, recorder: EventRecorder, clock: Clock
    ) -> None:
        self._cache, self._decided, self._recorder, self._clock = cache, decided, recorder, clock
        self._announced: dict[ObjectKey, Announcement] = {}
        self._broken = BrokenReferences(self._emit_note)
        self._degradations = DegradationEvents(partial(self._emit_note, ObjectKind.FRONTEND))

    # --- what the API server has -------------------------------------------------------------

    def on_upsert(self, kind: ObjectKind, old: StoredObject | None, new: StoredObject) -> None:
        remade = old is not None and old.uid != new.uid
        if remade:
            self.on_delete(kind, new.key)
        if kind == ObjectKind.DATAPLANE:
            self._announce_agent(old, new)
        if self._decided.begun and old is not None and not remade:
            return
        if kind == ObjectKind.FRONTEND:
            self._announced[new.key] = read_announcement(new.status)
            self._degradations.set_announced(new.key, str(new.status.get("problem") or ""))
        if kind in (ObjectKind.FRONTEND, ObjectKind.BACKEND):
            told = read_broken_references(kind, new.status)
            self._broken.set_announced(kind, new.key, told)

    def on_delete(self, kind: ObjectKind, key: ObjectKey) -> None:
        self._broken.forget_object(kind, key)
        if kind == ObjectKind.FRONTEND:
            self._announced.pop(key, None)
            self._degradations.forget_frontend(key)

    # --- what is decided ---------------------------------------------------------------------

    def announce_decisions(self, decisions: Decisions) -> None:
        """Send an event for each thing that people should know; `decided` has them already."""
        for key, view in decisions.frontends.items():
            if view is not None:
                self._announce_frontend(key, view)
        for key, backend in decisions.backends.items():
            if backend is not None:
                note = note_broken_references(backend.problems)
                self._broken.update_note(ObjectKind.BACKEND, key, note)
        if decisions.alarm is not None and decisions.alarm_changed:
            about = sorted(key for key, view in self._decided.views() if view.suspect)
            if about:  # once, on the first of the frontends that it is about
                notes = note_suspicion(decisions.alarm, len(about))
                self._emit_notes(ObjectKind.FRONTEND, about[0], notes)
        for transition in decisions.transitions:
            frontends = self._decided.frontends_of(transition.backend)
            views = {key: self._decided.frontend_view(key) for key in frontends}
            notes = note_transition(transition, views)
            self._emit_notes(ObjectKind.BACKEND, transition.backend, notes)

    def announce_judgement(self, key: ObjectKey, judged: FrontendJudgement) -> None:
        """Send an event where what keeps a frontend from serving as it should is another."""
        self._degradations.note_judgement(key, judged)

    def announce_unserved(self, kind: ObjectKind, raw: JsonObject, said: str) -> None:
        """Send an event on a frontend that is served no more; it may be none that is watched."""
        if kind == ObjectKind.FRONTEND:
            note = NOT_SERVED.note(said)
            self._send_event(kind, key_of(raw), raw["metadata"]["uid"], note)

    def _announce_frontend(self, key: ObjectKey, view: FrontendView | UnreadFrontend) -> None:
        if key not in self._announced:
            return  # deleted since
        before = self._announced[key]
        after = self._announced[key] = announce_frontend(before, view)
        self._emit_notes(ObjectKind.FRONTEND, key, note_frontend_changes(before, after))
        unresolved = view.config.resolved.unresolved if isinstance(view, FrontendView) else ()
        self._broken.update_note(ObjectKind.FRONTEND, key, note_broken_references(unresolved))

    def _announce_agent(self, old: StoredObject | None, new: StoredObject) -> None:
        """Tell that a node's agent is lost, or there again, as its Dataplane has come to say."""
        before, after = is_declared_gone(old.status if old else {}), is_declared_gone(new.status)
        if self._decided.begun and old is not None and before is not after:
            note = AGENT_LOST if after else AGENT_FOUND
            said = "its lease has run out" if after else "it renews its lease again"
            self._emit_note(ObjectKind.DATAPLANE, new.key, note.note(said))

    def _emit_notes(self, kind: ObjectKind, key: ObjectKey, notes: Iterable[EventNote]) -> None:
        for note in notes:
            self._emit_note(kind, key, note)

    def _emit_note(self, kind: ObjectKind, key: ObjectKey, note: EventNote) -> None:
        known = self._cache.get(kind, key)
        if known is not None:  # else it was deleted since
            self._send_event(kind, key, known.uid, note)

    def _send_event(self, kind: ObjectKind, key: ObjectKey, uid: str, note: EventNote) -> None:
        event = ObjectEvent.of_note(note, kind, key, uid, self._clock.now())
        self._recorder.emit_event(event)
