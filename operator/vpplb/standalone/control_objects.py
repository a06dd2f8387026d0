"""What `vpplb ctl` sees and may change: the objects in force, and the one node there is."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import asdict
from typing import Any

from vpplb.kube.api_types import RESOURCES, Gone, JsonObject, api_error
from vpplb.kube.user_api.control_server import ObjectChange
from vpplb.model.names import ObjectKey, ObjectKind
from vpplb.standalone.hand_changes import ChangeRefused, HandChanges
from vpplb.standalone.local_statuses import LocalObjects
from vpplb.standalone.local_vpp import NODE, LocalVpp
from vpplb.standalone.manifest_folder import ManifestFolder
from vpplb.telemetry.event_stream import RESET, EventStream
from vpplb.telemetry.state_view import DecidedStateView

_TOLD = {"frontend": ObjectKind.FRONTEND, "backend": ObjectKind.BACKEND}
"""Kinds whose changes the stream tells, by their names there."""
_LOCAL = ObjectKey("", NODE)


class ControlObjects:
    """Implements `control_server.ServedObjects`."""

    def __init__(
        self,
        objects: LocalObjects,
        view: DecidedStateView,
        stream: EventStream,
        folder: ManifestFolder,
        changes: HandChanges,
        vpp: LocalVpp,
    ) -> None:
        self._objects, self._view, self._stream = objects, view, stream
        self._folder, self._changes, self._vpp = folder, changes, vpp

    @property
    def version(self) -> str:
        return self._stream.last_id

    def list_keys(self, kind: ObjectKind) -> Sequence[ObjectKey]:
        return [_LOCAL] if kind == ObjectKind.DATAPLANE else sorted(self._objects.list_keys(kind))

    def show_object(self, kind: ObjectKind, key: ObjectKey) -> JsonObject | None:
        if kind == ObjectKind.DATAPLANE:
            return self._show_node() if key == _LOCAL else None
        stored = self._objects.get(kind, key)
        shown = self._view.show_object(kind, key)
        if stored is None or shown is None:
            return None
        metadata = shown["metadata"]
        assert isinstance(metadata, Mapping)
        added = {"generation": stored.generation, "resourceVersion": self.version}
        changes = [asdict(one) for one in self._changes.list_changes(kind, key)]
        return {
            "apiVersion": RESOURCES[kind].api_version,
            "kind": str(kind),
            **shown,
            "metadata": {**metadata, **added},
            **({"deviations": changes} if changes else {}),
        }

    def _show_node(self) -> JsonObject:
        kind = ObjectKind.DATAPLANE
        total = len(self._objects.list_keys(ObjectKind.FRONTEND))
        return {
            "apiVersion": RESOURCES[kind].api_version,
            "kind": str(kind),
            "metadata": {"name": NODE, "resourceVersion": self.version, "generation": 1},
            "spec": {},
            "status": {**self._vpp.describe_node(total).dump_json(), "observedGeneration": 1},
        }

    async def edit_spec(
        self, kind: ObjectKind, key: ObjectKey, edit: Callable[[Any], Any], by: str
    ) -> None:
        try:
            await self._folder.change_object((kind, key), edit, by)
        except ChangeRefused as error:
            raise api_error(422, "Invalid", str(error)) from error
        except OSError as error:
            said = f"the change cannot be kept, and was not made: {error}"
            raise api_error(507, "InsufficientStorage", said) from error

    async def reload_files(self, *, discard_changes: bool) -> Mapping[str, object]:
        findings = await self._folder.read_again()
        try:
            wanted = discard_changes and not findings
            discarded = await self._folder.discard_changes() if wanted else []
        except OSError as error:
            said = f"the manifests are in force, but the changes cannot be forgotten: {error}"
            raise api_error(507, "InsufficientStorage", said) from error
        return {
            "findings": findings,
            "discarded": discarded,
            "objects": sum(len(self._objects.list_keys(kind)) for kind in ObjectKind),
        }

    def describe_refusal(self) -> str:
        return self._folder.refused

    async def follow_changes(self, version: str) -> AsyncIterator[ObjectChange]:
        async with aclosing(self._stream.subscribe(version)) as events:
            async for event in events:
                if event.type == RESET:
                    raise Gone(410, "Expired", "too old resource version")
                if event.type in _TOLD and event.about is not None:
                    key = ObjectKey.parse_text(event.about)
                    yield ObjectChange(event.id, _TOLD[event.type], key)
