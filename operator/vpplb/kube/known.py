"""The newest status that the API server is known to have, for each object."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from vpplb.kube.kinds import Kind
from vpplb.model.names import ObjectKey


class Seen(NamedTuple):
    """A status, and the version of the object that showed it."""

    version: int
    status: Mapping[str, object]


@dataclass(slots=True)
class KnownStatuses:
    """Told by watches and by the answers to our own writes, in whatever order they come."""

    _seen: dict[tuple[Kind, ObjectKey], Seen] = field(default_factory=dict)

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
            self._seen[kind, key] = Seen(version, status)

    def get(self, kind: Kind, key: ObjectKey) -> Seen | None:
        """Return what is known of an object, None for nothing."""
        return self._seen.get((kind, key))

    def forget(self, kind: Kind, key: ObjectKey) -> None:
        """Know nothing of an object any more."""
        self._seen.pop((kind, key), None)
