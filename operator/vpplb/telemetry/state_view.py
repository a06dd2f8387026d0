"""What the API and the dashboard of a program show, and what its metrics read per object.

What users wrote is read where objects are kept, and the renderer is asked for the status when
somebody looks; the stream of events is told what changed.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from types import MappingProxyType
from typing import Any

from vpplb.model.health import HealthTransition
from vpplb.model.names import ObjectKey, ObjectKind
from vpplb.plan.decisions import DecidedState
from vpplb.resources.frontend_conditions import FrontendJudgement
from vpplb.resources.raw_fields import spec_of
from vpplb.resources.stored_objects import StoredObjects
from vpplb.telemetry.event_stream import EventStream
from vpplb.telemetry.object_metrics import BackendSample, FrontendSample

ShowStatus = Callable[[ObjectKind, ObjectKey], Mapping[str, object] | None]
"""Gives the status of an object as of now."""

HIDDEN = "(hidden)"
"""What is shown in place of a secret."""
_TOLD = {ObjectKind.FRONTEND: "frontend", ObjectKind.BACKEND: "backend"}
"""Kinds whose changes are told to the stream, and under which name."""


class DecidedStateView:
    """Implements `object_lists.StateView` and `object_metrics.ObjectView`."""

    def __init__(
        self,
        objects: StoredObjects,
        decided: DecidedState,
        render: ShowStatus,
        stream: EventStream,
        judgements: Mapping[ObjectKey, FrontendJudgement] = MappingProxyType({}),
    ) -> None:
        self._objects, self._decided = objects, decided
        self._render, self._stream, self._judgements = render, stream, judgements

    def publish_object(self, kind: ObjectKind, key: ObjectKey) -> None:
        if kind in _TOLD and self._objects.get(kind, key) is not None:
            self._stream.publish(_TOLD[kind], partial(self._event_data, kind, key), object=str(key))

    def publish_deletion(self, kind: ObjectKind, key: ObjectKey) -> None:
        """Tell that an object, which is kept still, is deleted."""
        stored = self._objects.get(kind, key)
        if kind in _TOLD and stored is not None:
            told = {"deleted": True, "object": {"metadata": _metadata(key, stored.raw)}}
            self._stream.publish(_TOLD[kind], told, object=str(key))

    def publish_transition(self, transition: HealthTransition) -> None:
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

    def publish_failover(self, frontend: ObjectKey, before: str, pool: str, at: datetime) -> None:
        """Tell that a frontend is served by another pool than before; empty: by none."""
        told = {"frontend": str(frontend), "from": before, "to": pool, "at": at.isoformat()}
        self._stream.publish("failover", told)

    def publish_removal(self, backend: ObjectKey, frontend: ObjectKey) -> None:
        self._stream.publish("removed", {"backend": str(backend), "frontend": str(frontend)})

    # --- what is shown -----------------------------------------------------------------------

    def list_keys(self, kind: ObjectKind) -> Sequence[ObjectKey]:
        return sorted(self._objects.list_keys(kind))

    def list_members(self, frontend: ObjectKey) -> Sequence[ObjectKey]:
        view = self._decided.frontend_view(frontend)
        members = view.decision.members if view is not None else ()
        return sorted({one.member.backend for one in members})

    def list_users(self, health_check: ObjectKey) -> Sequence[ObjectKey]:
        return [
            key
            for key in self.list_keys(ObjectKind.BACKEND)
            if key.namespace == health_check.namespace
            and self._name_check(key) == health_check.name
        ]

    def _name_check(self, backend: ObjectKey) -> object:
        stored = self._objects.get(ObjectKind.BACKEND, backend)
        reference = spec_of(stored.raw).get("healthCheckRef") if stored is not None else None
        return reference.get("name") if isinstance(reference, Mapping) else None

    def show_object(self, kind: ObjectKind, key: ObjectKey) -> Mapping[str, object] | None:
        stored = self._objects.get(kind, key)
        return self._show_object(kind, key, stored.raw) if stored is not None else None

    def iter_backends(self) -> Iterator[BackendSample]:
        """Give every backend with its state, where it is decided (`object_metrics.ObjectView`)."""
        # A copy: this is read in slices, between which objects come and go.
        for key, view in tuple(self._decided.backends.items()):
            yield BackendSample(key, view.health.state, view.health.since)

    def iter_frontends(self) -> Iterator[FrontendSample]:
        """Give every frontend with its pools and weights (`object_metrics.ObjectView`)."""
        for key, view in self._decided.views():
            decision, judged = view.decision, self._judgements.get(key)
            states = {one.member.backend: one.state for one in decision.members}
            yield FrontendSample(
                key,
                (judged.state if judged else decision.state).value,
                weights=[
                    (one.member.pool, one.member.backend.name, one.effective)
                    for one in decision.members
                ],
                pools=[pool.name for pool in view.config.resolved.frontend.pools],
                active_pool=decision.active_pool,
                backends=Counter(states.values()),
                degraded=[one.reason.reason for one in judged.degradations] if judged else (),
            )

    def _event_data(self, kind: ObjectKind, key: ObjectKey) -> Mapping[str, object]:
        """Say what an object is when somebody reads it; it may have been deleted since."""
        stored = self._objects.get(kind, key)
        if stored is not None:
            return {"object": self._show_object(kind, key, stored.raw)}
        return {"deleted": True, "object": {"metadata": key._asdict()}}

    def _show_object(
        self, kind: ObjectKind, key: ObjectKey, raw: Mapping[str, Any]
    ) -> Mapping[str, object]:
        """Show names, spec and status; of a Dataplane that which its agent wrote."""
        agents = kind == ObjectKind.DATAPLANE
        status = raw.get("status") if agents else self._render(kind, key)
        return {
            "metadata": _metadata(key, raw),
            "spec": without_secrets(kind, raw),
            "status": status or {},
        }


def without_secrets(kind: ObjectKind, raw: Mapping[str, object]) -> object:
    """Return the spec without the values of `http.headers`: tokens and passwords are among them."""
    spec = raw.get("spec") or {}
    http = (
        spec.get("http") if kind == ObjectKind.HEALTH_CHECK and isinstance(spec, Mapping) else None
    )
    headers = http.get("headers") if isinstance(http, Mapping) else None
    if not isinstance(spec, Mapping) or not isinstance(http, Mapping) or not headers:
        return spec
    hidden = [_hide_header(one) for one in (headers if isinstance(headers, list | tuple) else ())]
    return {**spec, "http": {**http, "headers": hidden}}


def _hide_header(header: object) -> object:
    """Show of a header its name, and which Secret its value is in."""
    if not isinstance(header, Mapping):
        return HIDDEN
    return {
        field: value
        if field == "valueFrom" or (field == "name" and isinstance(value, str))
        else HIDDEN
        for field, value in header.items()
    }


def _metadata(key: ObjectKey, raw: Mapping[str, Any]) -> Mapping[str, object]:
    found = raw.get("metadata")
    labels = found.get("labels") if isinstance(found, Mapping) else None
    metadata = {"name": key.name, "labels": labels or {}}
    return metadata | ({"namespace": key.namespace} if key.namespace else {})
