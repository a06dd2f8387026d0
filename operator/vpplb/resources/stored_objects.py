"""Objects as they are kept, the newest of each: whoever keeps them, all others read them so."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vpplb.model.names import ObjectKey, ObjectKind


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredObject:
    """An object as somebody wrote it, with the status that was written last.

    `generation` grows with each change of its spec. `version` and `uid` are the API server's: 0
    and empty where there is none, and `version` also where the server's history has changed since
    and it says nothing of what the server has now. `raw` has `metadata.managedFields` only where
    a handler is told of it as new: they are half of an object, and nobody else needs them.
    """

    key: ObjectKey
    raw: dict[str, Any]
    generation: int
    version: int = 0
    uid: str = ""

    @property
    def status(self) -> Mapping[str, object]:
        """Return the status, empty where there is none."""
        return self.raw.get("status") or {}


class StoredObjects:
    """The newest of each object, to be read. How they come is the affair of who keeps them."""

    def __init__(self) -> None:
        self._objects: dict[ObjectKind, dict[ObjectKey, StoredObject]] = {}

    def get(self, kind: ObjectKind, key: ObjectKey) -> StoredObject | None:
        return self._objects.get(kind, {}).get(key)

    def list_keys(self, kind: ObjectKind) -> list[ObjectKey]:
        return list(self._objects.get(kind, ()))

    def list_objects(self, kind: ObjectKind) -> list[StoredObject]:
        return list(self._objects.get(kind, {}).values())
