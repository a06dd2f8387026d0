"""The newest status that the API server is known to have, for each object."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from vpplb.kube.api_resources import JsonObject
from vpplb.model.names import ObjectKey, ObjectKind

_FOREGONE = 0
"""A version older than all others."""


class Seen(NamedTuple):
    """What an object showed: its version, its UID and its status.

    `wrote` is what we wrote, where the server made `status` of it: an older CRD, for example,
    drops the fields that it does not know.
    """

    version: int
    uid: str
    status: Mapping[str, object]
    wrote: Mapping[str, object] | None = None

    def shows(self, status: Mapping[str, object]) -> bool:
        """Whether the server has this status, as far as it can have it."""
        return status in (self.status, self.wrote)


def seen_in(raw: JsonObject, wrote: Mapping[str, object] | None = None) -> Seen:
    """Return what an object of the API server shows; `wrote` if it answers a write."""
    metadata, status = raw["metadata"], raw.get("status") or {}
    return Seen(
        int(metadata["resourceVersion"]),
        metadata["uid"],
        status,
        wrote if wrote != status else None,
    )


@dataclass(slots=True)
class KnownStatuses:
    """Told by watches and by the answers to our own writes, in whatever order they come."""

    _seen: dict[tuple[ObjectKind, ObjectKey], Seen] = field(default_factory=dict)

    def saw(self, kind: ObjectKind, key: ObjectKey, now: Seen) -> bool:
        """Take note of a status; one older than what is known is ignored.

        So the echo of an earlier write does not undo what a later one told. Versions are
        compared as numbers, as Kubernetes 1.35 and later guarantee. Return whether it is another
        than was known of this object.
        """
        seen = self._seen.get((kind, key))
        if seen is not None and now.version < seen.version:
            return False
        if seen is not None and seen.uid == now.uid and seen.status == now.status:
            self._seen[kind, key] = now._replace(wrote=now.wrote or seen.wrote)
            return False
        self._seen[kind, key] = now
        return seen is not None and seen.uid == now.uid

    def get(self, kind: ObjectKind, key: ObjectKey) -> Seen | None:
        """Return what is known of an object; None for nothing that still counts."""
        seen = self._seen.get((kind, key))
        return seen if seen is not None and seen.version != _FOREGONE else None

    def forget(self, kind: ObjectKind, key: ObjectKey) -> None:
        """Know nothing of an object any more."""
        self._seen.pop((kind, key), None)

    def rewound(self) -> None:
        """Hold all that is known for older than anything: the server counts anew."""
        self._seen = {at: seen._replace(version=_FOREGONE) for at, seen in self._seen.items()}
