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
from vpplb.standalone.local_view import LocalStateView
from vpplb.standalone.manifest_folder import ManifestFolder
from vpplb.telemetry.event_stream import RESET, EventStream

_TOLD = {"frontend": ObjectKind.FRONTEND, "backend": ObjectKind.BACKEND}
"""Kinds whose changes the stream tells, by their names there."""


class ControlObjects:
    """Implements `control_server.ServedObjects`."""

    def __init__(
        self,
        objects: LocalObjects,
        view: LocalStateView,
        stream: EventStream,
        folder: ManifestFolder,
        changes: HandChanges,
    ) -> None:
        self._objects, self._view, self._stream = objects, view, stream
        self._folder, self._changes = folder, changes

    @property
    def version(self) -> str:
        return self._stream.last_id

    def list_keys(self, kind: ObjectKind) -> Sequence[ObjectKey]:
        return self._view.list_keys(kind)

    def show_object(self, kind: ObjectKind, key: ObjectKey) -> JsonObject | None:
        shown = self._view.show_object(kind, key)
        if shown is None:
            return None
        metadata, stored = shown["metadata"], self._objects.get(kind, key)
        assert isinstance(metadata, Mapping)
        generation = stored.generation if stored is not None else 1
        added = {"generation": generation, "resourceVersion": self.version}
        changes = [asdict(one) for one in self._changes.list_changes(kind, key)]
        return {
            "apiVersion": RESOURCES[kind].api_version,
            "kind": str(kind),
            **shown,
            "metadata": {**metadata, **added},
            **({"deviations": changes} if changes else {}),
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
