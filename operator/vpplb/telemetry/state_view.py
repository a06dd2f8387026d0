"""What the API and the dashboard of a program show, and what its metrics read per object.

It keeps what users wrote (names and spec), asks the renderer for the status when somebody looks,
and tells the stream of events what changed.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

from vpplb.model.health import HealthState, Transition
from vpplb.model.names import ObjectKey
from vpplb.plan.decisions import DecidedState
from vpplb.telemetry.objects import FrontendSample
from vpplb.telemetry.stream import EventStream

Render = Callable[[str, ObjectKey], Mapping[str, object] | None]
"""Gives the status of an object, by kind and key, as of now."""

_KINDS = {
    "frontends": "Frontend",
    "backends": "Backend",
    "healthchecks": "HealthCheck",
    "dataplanes": "Dataplane",
}
HIDDEN = "(hidden)"
"""What is shown in place of a secret."""
_TOLD = {"Frontend": "frontend", "Backend": "backend"}
"""Kinds whose changes are told to the stream, and under which name."""


class DecidedStateView:
    """Implements `http.StateView` and `objects.ObjectView`."""

    def __init__(self, decided: DecidedState, render: Render, stream: EventStream) -> None:
        self._decided, self._render, self._stream = decided, render, stream
        self._written: dict[str, dict[ObjectKey, Mapping[str, object]]] = {
            kind: {} for kind in _KINDS.values()
        }

    def note_object(self, kind: str, key: ObjectKey, raw: Mapping[str, object]) -> None:
        """Take note of what a user wrote; of a Dataplane, of its status too."""
        metadata = {"name": key.name, "labels": _labels(raw)}
        if key.namespace:
            metadata["namespace"] = key.namespace
        written: dict[str, object] = {"metadata": metadata, "spec": without_secrets(kind, raw)}
        if kind == "Dataplane":
            written["status"] = raw.get("status") or {}
        self._written[kind][key] = written

    def forget_object(self, kind: str, key: ObjectKey) -> None:
        """Forget an object and tell it."""
        known = self._written[kind].pop(key, None)
        if known is not None and kind in _TOLD:
            told = {"deleted": True, "object": {"metadata": known["metadata"]}}
            self._stream.publish(_TOLD[kind], told, object=str(key))

    def publish_object(self, kind: str, key: ObjectKey) -> None:
        if kind in _TOLD and key in self._written[kind]:
            self._stream.publish(_TOLD[kind], partial(self._told, kind, key), object=str(key))

    def publish_transition(self, transition: Transition) -> None:
        """Tell a transition, with each frontend that it concerns."""
        frontends = self._decided.frontends_of(transition.backend)
        self._stream.publish(
            "transition",
            {
                "backend": str(transition.backend),
                "from": transition.from_state.value,
                "to": transition.to_state.value,
                "at": transition.at.isoformat(),
                "code": transition.code,
                "detail": transition.detail,
                "frontends": [str(key) for key in sorted(frontends)],
            },
        )

    def publish_removal(self, backend: ObjectKey, frontend: ObjectKey) -> None:
        """Tell that a backend is no longer probed for a frontend."""
        self._stream.publish("removed", {"backend": str(backend), "frontend": str(frontend)})

    # --- what is shown -----------------------------------------------------------------------

    def keys(self, kind: str) -> Sequence[ObjectKey] | None:
        """Give the names of a kind's objects (`http.StateView`)."""
        return sorted(self._written[_KINDS[kind]])

    def shown(self, kind: str, key: ObjectKey) -> Mapping[str, object] | None:
        """Give an object with its status, if it is there (`http.StateView`)."""
        name = _KINDS[kind]
        return self._shown(name, key) if key in self._written[name] else None

    def backends(self) -> Iterator[tuple[ObjectKey, HealthState]]:
        """Give every backend with its state, if that is decided here (`objects.ObjectView`)."""
        # A copy: this is read in slices, between which objects come and go.
        for key, view in tuple(self._decided.backends.items()):
            yield key, view.health.state

    def frontends(self) -> Iterator[FrontendSample]:
        """Give every frontend with its weights (`objects.ObjectView`)."""
        for key, view in self._decided.views():
            weights = [
                (one.member.pool, one.member.backend.name, one.effective)
                for one in view.decision.members
            ]
            yield FrontendSample(key, view.decision.state.value, weights)

    def _told(self, kind: str, key: ObjectKey) -> Mapping[str, object]:
        """Say what an object is when somebody reads it; it may have been deleted since."""
        if key in self._written[kind]:
            return {"object": self._shown(kind, key)}
        return {"deleted": True, "object": {"metadata": key._asdict()}}

    def _shown(self, kind: str, key: ObjectKey) -> Mapping[str, object]:
        written = self._written[kind][key]
        if kind == "Dataplane":
            return written
        return {**written, "status": self._render(kind, key) or {}}


def without_secrets(kind: str, raw: Mapping[str, object]) -> object:
    """Return the spec without the values of `http.headers`: tokens and passwords are among them."""
    spec = raw.get("spec") or {}
    http = spec.get("http") if kind == "HealthCheck" and isinstance(spec, Mapping) else None
    headers = http.get("headers") if isinstance(http, Mapping) else None
    if not isinstance(spec, Mapping) or not isinstance(http, Mapping) or not headers:
        return spec
    hidden = [_hidden(one) for one in (headers if isinstance(headers, list | tuple) else ())]
    return {**spec, "http": {**http, "headers": hidden}}


def _hidden(header: object) -> object:
    """Show of a header its name, and which Secret its value is in."""
    if not isinstance(header, Mapping):
        return HIDDEN
    return {
        field: value
        if field == "valueFrom" or (field == "name" and isinstance(value, str))
        else HIDDEN
        for field, value in header.items()
    }


def _labels(raw: Mapping[str, object]) -> object:
    metadata = raw.get("metadata")
    return (metadata.get("labels") or {}) if isinstance(metadata, Mapping) else {}
