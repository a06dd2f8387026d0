"""The newest status that the API server is known to have, for each object."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from vpplb.kube.kinds import Kind
from vpplb.model.names import ObjectKey


class _Seen(NamedTuple):
    version: int
    status: Mapping[str, object]


@dataclass(slots=True)
class KnownStatuses:
    """Told by watches and by the answers to our own writes, in whatever order they come."""

    _seen: dict[tuple[Kind, ObjectKey], _Seen] = field(default_factory=dict)

    def saw(
        self, kind: Kind, key: ObjectKey, status: Mapping[str, object], resource_version: str
    ) -> None:
        """Take note of a status; one older than what is known is ignored.

        So the echo of an earlier write does not undo what a later one told. Versions are
        compared as numbers, as Kubernetes 1.35 and later guarantee.
        """
        version = int(resource_version)
        seen = self._seen.get((kind, key))
        if seen is None or version >= seen.version:
            self._seen[kind, key] = _Seen(version, status)

    def get(self, kind: Kind, key: ObjectKey) -> Mapping[str, object] | None:
        """Return the status, None when nothing is known of the object."""
        seen = self._seen.get((kind, key))
        return None if seen is None else seen.status

    def forget(self, kind: Kind, key: ObjectKey) -> None:
        """Drop a deleted object."""
        self._seen.pop((kind, key), None)
